"""When an aggregate can have been in which state, as seen from outside.

A state begins when the leader took the last event of a group: the record's own time. It ends when the next group is known to be
committed, which is told by whatever can only come after: an answer that names it or a later position, an event that was caused by it,
an event of a later run (whose writer has read everything below its claim). So the span is never too short.

A log that lost its last records has several eras: what was lost was so until the broker answered again without it, and what came in its
place can have been so only after the broker had ended.
"""

from __future__ import annotations

import bisect
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

from .evidence import Evidence, Log, Loss
from .models import Illegal, model_of
from .runs import CLAIM, Group

NEVER = float("inf")
Sights = list[tuple[int, float]]


@dataclass
class Era:
    """A log between two losses: its groups by aggregate, and by when which of its offsets were seen."""

    begin: float
    end: float
    groups: dict[str, list[Group]]
    seen: tuple[list[int], list[float]]

    def known_by(self, offset: int) -> float:
        """The time by which everything up to the offset was certainly committed."""
        offsets, times = self.seen
        place = bisect.bisect_left(offsets, offset)
        return times[place] if place < len(times) else NEVER


class Moments:
    """The states of all aggregates over time."""

    def __init__(self, evidence: Evidence):
        self._eras = eras(evidence)
        self._states: dict[str, list[tuple[dict, float, float]]] = {}
        self._source = {
            aggregate: groups[0].source
            for log in (*(loss.log for loss in evidence.losses), evidence.log)
            for aggregate, groups in log.by_aggregate.items()
        }

    def within(self, service: str, aggregate: str, start: float, end: float) -> list[dict]:
        """The states in which the aggregate can have been at some moment between start and end."""
        return [state for state, begins, ends in self._all(service, aggregate) if begins <= end and ends >= start]

    def _all(self, service: str, aggregate: str) -> list[tuple[dict, float, float]]:
        if aggregate not in self._states:
            self._states[aggregate] = [*self._spans(service, aggregate)]
        return self._states[aggregate]

    def _spans(self, service: str, aggregate: str) -> Iterator[tuple[dict, float, float]]:
        source = self._source.get(aggregate)
        if source is None:
            yield model_of(service).glance(), 0.0, NEVER
            return
        for era in self._eras[source]:
            for state, begins, ends in states(service, era, aggregate):
                if begins <= era.end and ends >= era.begin:
                    yield state, max(begins, era.begin), min(ends, era.end)


def states(service: str, era: Era, aggregate: str) -> Iterator[tuple[dict, float, float]]:
    """The states of an aggregate in one era of its log."""
    groups = era.groups.get(aggregate, [])
    ends = [era.known_by(group.last.offset) for group in groups] + [NEVER]
    model = model_of(service)
    yield model.glance(), 0.0, ends[0]
    for group, end in zip(groups, ends[1:]):
        for record in group.records:
            try:
                model.take(record)
            except Illegal:
                continue
        yield model.glance(), group.last.time, end


def eras(evidence: Evidence) -> dict[str, list[Era]]:
    """The eras of each log."""
    found: dict[str, list[Era]] = defaultdict(list)
    losses: dict[str, list[Loss]] = defaultdict(list)
    for loss in evidence.losses:
        losses[loss.source].append(loss)
    sights = sightings(evidence, evidence.log)
    for source in {group.source for group in evidence.log.groups} | {*losses}:
        begin, since, carried = 0.0, 0.0, []
        for loss in losses[source]:
            seen = [*carried, *answers(evidence, source, since, loss.back), *sightings(evidence, loss.log).get(source, [])]
            found[source].append(Era(begin, loss.back, loss.log.by_aggregate, suffix_minima(seen)))
            begin, since = loss.gone, loss.back
            carried = [(offset, time) for offset, time in seen if offset < loss.first]
        seen = [*carried, *answers(evidence, source, since, NEVER), *sights.get(source, [])]
        found[source].append(Era(begin, NEVER, evidence.log.by_aggregate, suffix_minima(seen)))
    return found


def answers(evidence: Evidence, source: str, after: float, until: float) -> Sights:
    """What answers between two moments tell of a log. One that is still about what was lost tells nothing of what came in its place."""
    lost = {(group.aggregate, group.last.version, group.last.position) for loss in evidence.losses for group in loss.groups}
    found = []
    for operation in evidence.operations:
        for attempt in operation.attempts:
            if attempt.position and attempt.position.startswith(source + "/") and after <= attempt.end <= until:
                if after == 0.0 or (attempt.aggregate, attempt.version, attempt.position) not in lost:
                    found.append((int(attempt.position.rsplit("/", 1)[1]), attempt.end))
    return found


def sightings(evidence: Evidence, log: Log) -> dict[str, Sights]:
    """For each partition of a log: an offset, and a time by which it was certainly committed, as later events tell."""
    seen: dict[str, Sights] = defaultdict(list)
    places = {record.headers.get("ce_id"): record for record in log.records if record.counts}
    lost = [record for loss in evidence.losses for record in loss.log.records if record.offset >= loss.first]
    for record in (*evidence.log.records, *lost):
        cause = places.get(record.headers.get("causation-id"))
        # What a cause has caused before it was there, another one has, which was lost and had its id.
        if cause is not None and (not evidence.losses or cause.time <= record.appended_by):
            seen[f"{cause.service}/{cause.partition}"].append((cause.offset, record.appended_by))
    for record in log.records:
        run = record.headers.get("run", "")
        if run.isdigit() and record.counts and record.headers.get("ce_type") != CLAIM:
            seen[f"{record.service}/{record.partition}"].append((int(run), record.appended_by))
    return seen


def suffix_minima(sights: Sights) -> tuple[list[int], list[float]]:
    """Rising offsets, and for each the earliest time at which that offset or a later one was seen."""
    times, earliest = [], NEVER
    sights.sort()
    for _, time in reversed(sights):
        earliest = min(earliest, time)
        times.append(earliest)
    return [offset for offset, _ in sights], times[::-1]
