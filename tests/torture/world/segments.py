"""A partition's files as Apache Kafka keeps them: read, and cut as a power loss without fsync cuts them, while no broker runs."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

# A batch: its first offset, its length from there on, the leader's epoch, the format, a checksum, attributes, how many offsets it spans, its
# first and last time, its producer, how many records.
HEAD = struct.Struct(">qiibIhiqqqhii")
PREFIX = 12
STAMPED_AS_TAKEN, COMPRESSED = 0x08, 0x07
# What a broker makes anew from the records.
DERIVED = (".index", ".timeindex", ".snapshot", ".txnindex")


@dataclass
class Stored:
    """A record as it lies in the file."""

    offset: int
    time: float
    key: bytes
    value: bytes
    headers: list[tuple[str, bytes]]


@dataclass
class Batch:
    """Records that were appended at once, and where in the file they begin. Only a whole batch is ever there or not."""

    base: int
    next: int
    begins: int
    records: list[Stored]


def newest(folder: Path) -> Path:
    """The segment that is written."""
    return max(folder.glob("*.log"))


def batches(segment: Path) -> Iterator[Batch]:
    """Every whole batch of a segment."""
    data, at = segment.read_bytes(), 0
    while at + HEAD.size <= len(data):
        base, length, *_, attributes, span, first, last, _, _, _, count = HEAD.unpack_from(data, at)
        end = at + PREFIX + length
        if length <= 0 or end > len(data):
            return
        if attributes & COMPRESSED:
            raise ValueError(f"{segment}: the batch at offset {base} is compressed")
        taken = last if attributes & STAMPED_AS_TAKEN else None
        cursor = Cursor(data, at + HEAD.size)
        yield Batch(base, base + span + 1, at, [cursor.record(base, first, taken) for _ in range(count)])
        at = end


def cut(folder: Path, keep: int) -> list[Stored]:
    """Cuts off the batch that holds the offset `keep`, and all that follow; answers their records."""
    segment = newest(folder)
    gone = [batch for batch in batches(segment) if batch.next > keep]
    if not gone:
        return []
    with segment.open("r+b") as file:
        file.truncate(gone[0].begins)
    for file in folder.iterdir():
        if file.suffix in DERIVED:
            file.unlink()
    return [record for batch in gone for record in batch.records]


class Cursor:
    """Where in the bytes we are."""

    def __init__(self, data: bytes, at: int):
        self.data, self.at = data, at

    def record(self, base: int, first: int, taken: int | None) -> Stored:
        """The next record."""
        self.number()
        self.at += 1
        written, offset = first + self.number(), base + self.number()
        key, value = self.text() or b"", self.text() or b""
        headers = [((self.text() or b"").decode(), self.text() or b"") for _ in range(self.number())]
        return Stored(offset, (written if taken is None else taken) / 1000, key, value, headers)

    def text(self) -> bytes | None:
        """Bytes with their length before them."""
        length = self.number()
        if length < 0:
            return None
        self.at += length
        return self.data[self.at - length : self.at]

    def number(self) -> int:
        """A number of as few bytes as it needs, its sign in the last bit."""
        found = shift = 0
        while True:
            byte = self.data[self.at]
            self.at += 1
            found |= (byte & 0x7F) << shift
            if byte < 0x80:
                return found >> 1 ^ -(found & 1)
            shift += 7
