"""Nobody waits much longer than what stands in the way: promise 13, as far as it can be told between one fault and the next."""

from __future__ import annotations

from collections.abc import Iterator

from ..workload.history import Operation
from .commands import name
from .evidence import Evidence, Violation
from .outages import AFTERMATH

# Faults behind which commands go on being answered.
HARMLESS = (
    "postgres-kill",
    "postgres-stall",
    "postgres-vanish",
    "gateway-hang",
    "disk-full-node",
    "clock-step",
    "gateway-refuses-one",
    "recipient-refuses",
)
# How long after the aftermath of a fault somebody may wait yet: a group that settles and a partition that is replayed take no longer.
LIMIT = 5.0


def check(evidence: Evidence) -> list[Violation]:
    """All operations that waited though nothing stood in their way."""
    held = [(each["start"], each["end"] + AFTERMATH) for each in evidence.faults if each["kind"] not in HARMLESS]
    found = []
    for operation in evidence.operations:
        longest = max(free(operation, held), default=0.0)
        if longest > LIMIT:
            text = f"{name(operation)} ({operation.outcome}) waited for {longest:.1f} s {AFTERMATH:.0f} s after every fault that may hold it up"
            answered = operation.last
            heard = f"; at last {answered.node} said {answered.status} {answered.code or ''} {answered.error or ''}"
            found.append(Violation("unserved", text + heard, operation.aggregate))
    return found


def free(operation: Operation, held: list[tuple[float, float]]) -> Iterator[float]:
    """The stretches of its waiting in which no fault held it up, in seconds."""
    if not operation.attempts:
        return
    at, end = operation.attempts[0].start, operation.last.end
    for begin, until in sorted(held):
        if at < begin:
            yield min(begin, end) - at
        at = max(at, until)
        if at >= end:
            return
    yield end - at
