"""The history: every operation, each of its attempts, and what was heard; one JSON object a line, written as it ends."""

from __future__ import annotations

import json
import threading
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path

ACKED, REFUSED, UNKNOWN = "acked", "refused", "unknown"


@dataclass
class Attempt:
    """One request and its answer. Times are seconds since 1970, by the clock that the brokers stamp records with."""

    node: str
    start: float
    end: float = 0.0
    status: int = 0
    error: str | None = None
    sent: bool = True
    code: str | None = None
    version: int | None = None
    aggregate: str | None = None
    position: str | None = None
    replayed: bool = False


@dataclass
class Operation:
    """What a client wanted, under one idempotency key. `id` is its correlation id in the log."""

    id: str
    client: int
    kind: str
    service: str
    path: str
    body: dict
    key: str
    aggregate: str | None = None
    if_match: int | None = None
    again: str | None = None
    attempts: list[Attempt] = field(default_factory=list)
    outcome: str = UNKNOWN

    @property
    def last(self) -> Attempt:
        """The attempt that ended it."""
        return self.attempts[-1]


@dataclass
class Read:
    """A GET that may not answer from before `position`."""

    path: str
    aggregate: str
    position: str
    at_least: int
    node: str
    start: float
    end: float = 0.0
    status: int = 0
    version: int | None = None


class History:
    """Where all clients write."""

    def __init__(self, folder: Path):
        self._operations = (folder / "operations.jsonl").open("w")
        self._reads = (folder / "reads.jsonl").open("w")
        self._lock = threading.Lock()
        self.counts = {ACKED: 0, REFUSED: 0, UNKNOWN: 0}
        self.last_ack = time.time()

    def add(self, operation: Operation) -> None:
        """Writes an operation that has ended."""
        line = json.dumps(asdict(operation))
        with self._lock:
            self.counts[operation.outcome] += 1
            if operation.outcome == ACKED:
                self.last_ack = operation.last.end
            self._operations.write(line + "\n")

    def add_read(self, read: Read) -> None:
        """Writes a read."""
        line = json.dumps(asdict(read))
        with self._lock:
            self._reads.write(line + "\n")

    def close(self) -> None:
        """Nothing more comes."""
        with self._lock:
            self._operations.close()
            self._reads.close()
