"""When an aggregate can have been in which state, as seen from outside.

A state begins when the leader took the last event of a group: the record's own time. It ends when the next group is known to be
committed, which is told by whatever can only come after: an answer that names it or a later position, an event that was caused by it,
an event of a later run (whose writer has read everything below its claim). So the span is never too short.
"""

from __future__ import annotations

import bisect
from collections import defaultdict

from .evidence import Evidence
from .models import Illegal, model_of
from .runs import CLAIM

NEVER = float("inf")


class Moments:
    """The states of all aggregates over time."""

    def __init__(self, evidence: Evidence):
        self._evidence = evidence
        self._seen = suffix_minima(sightings(evidence))
        self._states: dict[str, list[tuple[dict, float, float]]] = {}

    def known_by(self, source: str, offset: int) -> float:
        """The time by which everything up to the offset was certainly committed."""
        offsets, times = self._seen.get(source, ([], []))
        place = bisect.bisect_left(offsets, offset)
        return times[place] if place < len(times) else NEVER

    def within(self, service: str, aggregate: str, start: float, end: float) -> list[dict]:
        """The states in which the aggregate can have been at some moment between start and end."""
        return [state for state, begins, ends in self._all(service, aggregate) if begins <= end and ends >= start]

    def _all(self, service: str, aggregate: str) -> list[tuple[dict, float, float]]:
        if aggregate not in self._states:
            self._states[aggregate] = self._spans(service, aggregate)
        return self._states[aggregate]

    def _spans(self, service: str, aggregate: str) -> list[tuple[dict, float, float]]:
        groups = self._evidence.log.by_aggregate.get(aggregate, [])
        ends = [self.known_by(group.source, group.last.offset) for group in groups] + [NEVER]
        model = model_of(service)
        spans = [(model.glance(), 0.0, ends[0])]
        for group, end in zip(groups, ends[1:]):
            for record in group.records:
                try:
                    model.take(record)
                except Illegal:
                    continue
            spans.append((model.glance(), group.last.time, end))
        return spans


def sightings(evidence: Evidence) -> dict[str, list[tuple[int, float]]]:
    """For each partition: an offset, and a time by which it was certainly committed."""
    seen: dict[str, list[tuple[int, float]]] = defaultdict(list)
    for operation in evidence.operations:
        for attempt in operation.attempts:
            if attempt.position:
                source, offset = attempt.position.rsplit("/", 1)
                seen[source].append((int(offset), attempt.end))
    places = {record.headers.get("ce_id"): record for record in evidence.log.records if record.counts}
    for record in evidence.log.records:
        cause = places.get(record.headers.get("causation-id"))
        if cause is not None:
            seen[f"{cause.service}/{cause.partition}"].append((cause.offset, record.appended_by))
        run = record.headers.get("run", "")
        if run.isdigit() and record.counts and record.headers.get("ce_type") != CLAIM:
            seen[f"{record.service}/{record.partition}"].append((int(run), record.appended_by))
    return seen


def suffix_minima(seen: dict[str, list[tuple[int, float]]]) -> dict[str, tuple[list[int], list[float]]]:
    """For each partition: rising offsets, and the earliest time at which that offset or a later one was seen."""
    found = {}
    for source, sights in seen.items():
        sights.sort()
        times, earliest = [], NEVER
        for _, time in reversed(sights):
            earliest = min(earliest, time)
            times.append(earliest)
        found[source] = ([offset for offset, _ in sights], times[::-1])
    return found
