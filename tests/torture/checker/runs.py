"""Which records count: the run rule, written anew from its description.

A writer claims a partition with an ordinary record; the claim's offset names its run. Each event says to which run it belongs and at
which offset it expects to stand. It counts when that run is the current one and it stands at the very next place of it, and says
so. The first record that does not ends the run, and nothing counts until the next claim. The events of one command
are numbered i/n and count together, when the n-th has come. An owner's proof that it is one still stands in the run like an event of
one, and says nothing more.
"""

from __future__ import annotations

from dataclasses import dataclass, field

CLAIM = "daybook.log.PartitionClaimed"
PROOF = "daybook.log.OwnerConfirmed"


@dataclass
class Record:
    """A record as it stands in a log."""

    service: str
    partition: int
    offset: int
    time: float
    key: str
    headers: dict[str, str]
    value: dict | None
    by: float | None = None
    counts: bool = False
    why: str = ""

    @property
    def type(self) -> str:
        """The event's short name."""
        return self.headers.get("ce_type", "?").rsplit(".", 1)[-1]

    @property
    def appended_by(self) -> float:
        """By when it was certainly appended. `time` is when it was, or, where only the log's growth was watched, after when."""
        return self.time if self.by is None else self.by

    @property
    def position(self) -> str:
        """`service/partition/offset`."""
        return f"{self.service}/{self.partition}/{self.offset}"

    @property
    def version(self) -> int:
        """The aggregate's version after the event, as it says; -1 when it says none."""
        return _number(self.headers.get("version"))


@dataclass
class Group:
    """The events of one command, all of which count."""

    records: list[Record]

    @property
    def last(self) -> Record:
        """The last event."""
        return self.records[-1]

    @property
    def first(self) -> Record:
        """The first event."""
        return self.records[0]

    @property
    def command(self) -> str:
        """The command's id."""
        return self.first.headers["ce_id"].rsplit("/", 1)[0]

    @property
    def aggregate(self) -> str:
        """Whose events these are."""
        return self.first.key

    @property
    def source(self) -> str:
        """`service/partition`."""
        return f"{self.first.service}/{self.first.partition}"

    @property
    def correlation(self) -> str:
        """What the caller called it."""
        return self.first.headers.get("correlation-id", "")

    @property
    def by_reactor(self) -> bool:
        """Whether no client asked for it."""
        return self.first.headers.get("actor", "").startswith(("reactor/", "system/"))


@dataclass
class Partition:
    """The state of the rule between two records of one partition."""

    claim: int | None = None
    next: int = 0
    held: list[Record] = field(default_factory=list)

    def take(self, record: Record) -> Group | None:
        """Judges a record; answers a group when it is whole."""
        if record.headers.get("ce_type") == CLAIM and record.headers.get("ce_id"):
            self._end("a claim came before its group was whole")
            self.claim, self.next = record.offset, record.offset + 1
            record.why = "claim"
            return None
        wrong = self._wrong(record)
        if wrong:
            record.why = wrong
            self._end("its run ended before its group was whole")
            self.claim = None
            return None
        self.next += 1
        self.held.append(record)
        return self._whole(record)

    def _wrong(self, record: Record) -> str:
        if self.claim is None:
            return "there is no run"
        run, at = _number(record.headers.get("run")), _number(record.headers.get("at"))
        index, of = group_of(record)
        if run != self.claim:
            return f"it is of run {run}, the current one is {self.claim}"
        if at != record.offset or record.offset != self.next:
            return f"it was meant for {at} and stands at {record.offset}, {self.next} was next"
        if index != len(self.held) + 1 or index > of:
            return f"it is {index} of {of}, {len(self.held) + 1} was next"
        return ""

    def _whole(self, record: Record) -> Group | None:
        index, of = group_of(record)
        if index < of:
            record.why = "held"
            return None
        whole, self.held = Group(self.held), []
        for member in whole.records:
            member.counts, member.why = True, ""
        return None if record.headers.get("ce_type") == PROOF else whole

    def _end(self, why: str) -> None:
        for record in self.held:
            record.why = why
        self.held = []


def group_of(record: Record) -> tuple[int, int]:
    """Which event of how many; (0, -1) when it does not say."""
    index, _, of = record.headers.get("group", "").partition("/")
    return (_number(index), _number(of)) if of else (0, -1)


def _number(text: str | None) -> int:
    return int(text) if text and text.isascii() and text.isdigit() else -1
