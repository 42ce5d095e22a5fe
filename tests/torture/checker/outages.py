"""How long nobody was served: the longest time without an acknowledgement around each fault, and the longest wait of one caller."""

from __future__ import annotations

import bisect
from collections import defaultdict
from dataclasses import dataclass

from ..workload.history import ACKED
from .evidence import Evidence

# What a fault causes may show for a while after it is mended; the next fault's effects are its own.
AFTERMATH = 10.0


@dataclass
class Outage:
    """All faults of one kind."""

    faults: int = 0
    silence: float = 0.0
    wait: float = 0.0
    partition: float = 0.0
    unknown: int = 0


def outages(evidence: Evidence) -> dict[str, Outage]:
    """By kind of fault. `silence`: no acknowledgement of anything; `partition`: none in one partition though somebody asked
    there; `wait`: one operation from its first attempt to its acknowledgement. What lies beyond the next fault's beginning is its own."""
    found: dict[str, Outage] = defaultdict(Outage)
    acked = [operation for operation in evidence.operations if operation.outcome == ACKED]
    acks = sorted(operation.last.end for operation in acked)
    starts = [fault["start"] for fault in evidence.faults] + [float("inf")]
    for fault, following in zip(evidence.faults, starts[1:]):
        begin, end = fault["start"], min(fault["end"] + AFTERMATH, following)
        outage = found[fault["kind"]]
        outage.faults += 1
        outage.silence = max(outage.silence, longest_gap(acks, begin, end))
        outage.partition = max(outage.partition, worst_partition(acked, begin, end))
        begun = [operation for operation in acked if begin <= operation.attempts[0].start <= end]
        waits = [min(operation.last.end, end) - operation.attempts[0].start for operation in begun]
        outage.wait = max([outage.wait, *waits])
        outage.unknown += sum(
            operation.outcome == "unknown" and begin <= operation.attempts[0].start <= end for operation in evidence.operations
        )
    return dict(found)


def longest_gap(acks: list[float], begin: float, end: float) -> float:
    """The longest time without an acknowledgement between begin and end."""
    near = [begin, *acks[bisect.bisect_left(acks, begin) : bisect.bisect_right(acks, end)], end]
    return max(after - before for before, after in zip(near, near[1:]))


def worst_partition(acked: list, begin: float, end: float) -> float:
    """The longest time from a caller's first attempt, in a partition where nothing was acknowledged since, to the next acknowledgement."""
    by_source: dict[str, list] = defaultdict(list)
    for operation in acked:
        if operation.last.position and begin <= operation.last.end and operation.attempts[0].start <= end:
            by_source[operation.last.position.rsplit("/", 1)[0]].append(operation)
    worst = 0.0
    for operations in by_source.values():
        operations.sort(key=lambda operation: operation.last.end)
        before = begin
        for position, operation in enumerate(operations):
            waiting = min(other.attempts[0].start for other in operations[position:])
            worst = max(worst, min(operation.last.end, end) - max(before, waiting))
            before = operation.last.end
    return worst
