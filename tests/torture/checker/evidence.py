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


def load(folder: Path) -> Evidence:
    """The evidence of a kept directory."""
    operations = [
        Operation(**{**each, "attempts": [Attempt(**attempt) for attempt in each["attempts"]]})
        for each in lines(folder / "operations.jsonl")
    ]
    tables: dict[str, list[dict]] = defaultdict(list)
    for each in lines(folder / "tables.jsonl"):
        tables[f"{each['database']}.{each['table']}"].append(each["row"])
    return Evidence(
        log=log_of(lines(folder / "records.jsonl")),
        operations=operations,
        reads=[Read(**each) for each in lines(folder / "reads.jsonl")],
        tables=tables,
        books=lines(folder / "gateway.jsonl"),
        mails=lines(folder / "mails.jsonl"),
        letters=lines(folder / "letters.jsonl"),
        faults=lines(folder / "faults.jsonl"),
        notes=lines(folder / "notes.jsonl"),
        run=json.loads((folder / "run.json").read_text()),
    )


def lines(path: Path) -> list[dict]:
    """A file of JSON lines; nothing when there is none."""
    return [json.loads(line) for line in path.read_text().splitlines() if line.strip()] if path.exists() else []
