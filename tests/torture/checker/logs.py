"""The logs by themselves: no holes, versions without gaps, groups whole, each command once, each event a legal next step."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from .evidence import Evidence, Log, Violation
from .lost import Touched
from .models import Illegal, model_of
from .runs import Group, group_of


def check(evidence: Evidence) -> list[Violation]:
    """All that is wrong with the logs."""
    log = evidence.log
    found = [Violation("hole-in-log", hole) for hole in log.holes]
    found += [
        Violation("undecodable", f"{record.position} cannot be decoded", record.key)
        for record in log.records
        if record.value is None
    ]
    touched = Touched(evidence)
    found += [
        violation
        for violation in judged(log, set(log.by_aggregate))
        if violation.kind != "illegal-event" or violation.aggregate not in touched.half_forgotten
    ]
    for loss in evidence.losses:
        found += [Violation("hole-in-log", hole) for hole in loss.log.holes]
        found += judged(loss.log, {group.aggregate for group in loss.groups})
    return found


def judged(log: Log, aggregates: set[str]) -> Iterator[Violation]:
    """What a log says of these aggregates."""
    for aggregate, groups in log.by_aggregate.items():
        if aggregate in aggregates:
            yield from versions(aggregate, groups)
            yield from legal(aggregate, groups)
    for group in log.groups:
        if group.aggregate in aggregates:
            yield from whole(group)
    yield from once(log.groups)


def versions(aggregate: str, groups: list[Group]) -> Iterator[Violation]:
    """An aggregate's versions are 1, 2, 3, ... in one partition."""
    if len({group.source for group in groups}) > 1:
        yield Violation("two-partitions", f"its events stand in {sorted({group.source for group in groups})}", aggregate)
    expected = 0
    for record in (record for group in groups for record in group.records):
        expected += 1
        if record.version != expected:
            yield Violation("version-gap", f"{record.position} is version {record.version}, {expected} was next", aggregate)
            expected = record.version


def whole(group: Group) -> Iterator[Violation]:
    """The events of a group are of one command on one aggregate, and numbered."""
    for index, record in enumerate(group.records, 1):
        same = (
            record.key == group.aggregate == record.headers.get("ce_subject")
            and record.headers["ce_id"] == f"{group.command}/{index}"
        )
        same = same and record.headers.get("fingerprint") == group.first.headers.get("fingerprint")
        if not same or group_of(record) != (index, len(group.records)):
            yield Violation(
                "group-mixed",
                f"{record.position} does not belong to the group that begins at {group.first.position}",
                group.aggregate,
            )


def once(groups: list[Group]) -> Iterator[Violation]:
    """No command counts twice."""
    seen: dict[tuple[str, str], list[Group]] = defaultdict(list)
    for group in groups:
        seen[group.first.service, group.command].append(group)
    for (_, command), twice in seen.items():
        if len(twice) > 1:
            places = ", ".join(group.first.position for group in twice)
            yield Violation("doubled-command", f"the command {command} counts {len(twice)} times: {places}", twice[0].aggregate)


def legal(aggregate: str, groups: list[Group]) -> Iterator[Violation]:
    """Each event is one that the aggregate's rules allow after those before it."""
    model = model_of(groups[0].first.service)
    for group in groups:
        for record in group.records:
            if record.value is None:
                continue
            try:
                model.take(record)
            except Illegal as illegal:
                yield Violation("illegal-event", f"{record.position} {record.type}: {illegal}", aggregate)
