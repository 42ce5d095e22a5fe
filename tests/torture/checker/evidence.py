"""What the checker is given: the logs, the history, the tables, the books, the mail, the dead letters; from memory or from a kept directory."""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..workload.history import Attempt, Operation, Read
from .runs import Group, Partition, Record

GIVEN = ("service", "partition", "offset", "time", "key", "headers", "value", "by")


@dataclass
class Violation:
    """A promise that was not kept."""

    kind: str
    text: str
    aggregate: str | None = None


@dataclass
class Log:
    """All logs, judged by the run rule."""

    records: list[Record] = field(default_factory=list)
    groups: list[Group] = field(default_factory=list)
    by_aggregate: dict[str, list[Group]] = field(default_factory=dict)
    ends: dict[str, int] = field(default_factory=dict)
    holes: list[str] = field(default_factory=list)

    def counted(self, service: str) -> list[Record]:
        """The events of a service that count, partition by partition."""
        return [record for group in self.groups if group.first.service == service for record in group.records]


@dataclass
class Loss:
    """A partition's log as it stood before it lost the records from `first` on: when the broker ended (`gone`), when it answered
    again (`back`), and all that counted till then."""

    source: str
    first: int
    gone: float
    back: float
    log: Log

    @property
    def groups(self) -> list[Group]:
        """What counted and is not there any more."""
        return [group for group in self.log.groups if group.last.offset >= self.first]

    @property
    def records(self) -> list[Record]:
        """The events of these groups."""
        return [record for group in self.groups for record in group.records]


@dataclass
class Evidence:
    """Everything."""

    log: Log
    operations: list[Operation] = field(default_factory=list)
    reads: list[Read] = field(default_factory=list)
    tables: dict[str, list[dict]] = field(default_factory=dict)
    books: list[dict] = field(default_factory=list)
    mails: list[dict] = field(default_factory=list)
    letters: list[dict] = field(default_factory=list)
    faults: list[dict] = field(default_factory=list)
    notes: list[dict] = field(default_factory=list)
    run: dict = field(default_factory=dict)
    losses: list[Loss] = field(default_factory=list)


def log_of(raw: list[dict]) -> Log:
    """The logs from records as they were read."""
    log = Log()
    rules: dict[str, Partition] = defaultdict(Partition)
    for each in sorted(raw, key=lambda each: (each["service"], each["partition"], each["offset"])):
        given: dict[str, Any] = {name: each.get(name) for name in GIVEN}
        record = Record(**given)
        source = f"{record.service}/{record.partition}"
        if record.offset != log.ends.get(source, 0):
            log.holes.append(f"{source}: {record.offset} follows {log.ends.get(source, 0) - 1}")
        log.ends[source] = record.offset + 1
        log.records.append(record)
        group = rules[source].take(record)
        if group is not None:
            log.groups.append(group)
            log.by_aggregate.setdefault(group.aggregate, []).append(group)
    return log


def losses_of(raw: list[dict], lost: list[dict]) -> list[Loss]:
    """The logs as they stood before each loss, in the order of the losses: from the last to the first, what was lost is put back."""
    found: list[Loss] = []
    stood: dict[str, list[dict]] = defaultdict(list)
    for each in raw if lost else []:
        stood[f"{each['service']}/{each['partition']}"].append(each)
    for each in reversed(lost):
        source, first = each["source"], each["first"]
        stood[source] = [record for record in stood[source] if record["offset"] < first] + each["records"]
        found.append(Loss(source, first, each["gone"], each["back"], log_of(stood[source])))
    return found[::-1]


def load(folder: Path) -> Evidence:
    """The evidence of a kept directory."""
    operations = [
        Operation(**{**each, "attempts": [Attempt(**attempt) for attempt in each["attempts"]]})
        for each in lines(folder / "operations.jsonl")
    ]
    tables: dict[str, list[dict]] = defaultdict(list)
    for each in lines(folder / "tables.jsonl"):
        tables[f"{each['database']}.{each['table']}"].append(each["row"])
    records = lines(folder / "records.jsonl")
    return Evidence(
        log=log_of(records),
        operations=operations,
        reads=[Read(**each) for each in lines(folder / "reads.jsonl")],
        tables=tables,
        books=lines(folder / "gateway.jsonl"),
        mails=lines(folder / "mails.jsonl"),
        letters=lines(folder / "letters.jsonl"),
        faults=lines(folder / "faults.jsonl"),
        notes=lines(folder / "notes.jsonl"),
        run=json.loads((folder / "run.json").read_text()),
        losses=losses_of(records, lines(folder / "losses.jsonl")),
    )


def lines(path: Path) -> list[dict]:
    """A file of JSON lines; nothing when there is none."""
    return [json.loads(line) for line in path.read_text().splitlines() if line.strip()] if path.exists() else []
