"""How long nobody was served: the longest time without an acknowledgement around each fault, and the longest wait of one caller."""

from __future__ import annotations

import bisect
from collections import defaultdict
from dataclasses import dataclass

from ..workload.history import ACKED, UNKNOWN
from .evidence import Evidence

# What a fault causes may show for a while after it is mended; the next fault's effects are its own.
AFTERMATH = 10.0


@dataclass
class Outage:
    """What one fault did to those who asked. `silence`: no acknowledgement of anything; `partition`: none in one partition though somebody
    asked there; `wait`: one operation from its first attempt to its acknowledgement; all in seconds. `unknown`: operations."""

    kind: str
    silence: float
    partition: float
    wait: float
    unknown: int


def outages(evidence: Evidence) -> list[Outage]:
    """Fault by fault, in their order. What lies beyond the next fault's beginning is its own."""
    acked = [operation for operation in evidence.operations if operation.outcome == ACKED]
    unknown = [operation.attempts[0].start for operation in evidence.operations if operation.outcome == UNKNOWN]
    acks = sorted(operation.last.end for operation in acked)
    starts = [fault["start"] for fault in evidence.faults] + [float("inf")]
    found: list[Outage] = []
    for fault, following in zip(evidence.faults, starts[1:]):
        begin, end = fault["start"], min(fault["end"] + AFTERMATH, following)
        begun = [operation for operation in acked if begin <= operation.attempts[0].start <= end]
        waits = [min(operation.last.end, end) - operation.attempts[0].start for operation in begun]
        in_doubt = sum(begin <= start <= end for start in unknown)
        partition = worst_partition(acked, begin, end)
        found.append(Outage(fault["kind"], longest_gap(acks, begin, end), partition, max([0.0, *waits]), in_doubt))
    return found


def by_kind(found: list[Outage]) -> dict[str, dict]:
    """How many faults of each kind, and the worst that one of them did."""
    kinds: dict[str, list[Outage]] = defaultdict(list)
    for outage in found:
        kinds[outage.kind].append(outage)
    return {kind: _worst(kinds[kind]) for kind in sorted(kinds)}


def _worst(of: list[Outage]) -> dict:
    longest = {name: round(max(getattr(outage, name) for outage in of), 2) for name in ("silence", "partition", "wait")}
    return {"faults": len(of), **longest, "unknown": sum(outage.unknown for outage in of)}


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
