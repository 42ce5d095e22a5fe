"""Every operation against the log: acknowledged is there once, refused is not there, unknown is there once at most; in real-time order."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from ..workload.history import ACKED, REFUSED, UNKNOWN, Operation
from .evidence import Evidence, Violation
from .lost import Forgotten
from .runs import Group

# How far apart the brokers' stamps and the clients' readings of the one clock may be, in seconds.
CLOCKS = 0.01
# The status that means: not done. (504 means that nobody knows.)
NOT_DONE = 503


def check(evidence: Evidence) -> list[Violation]:
    """All operations that the log contradicts."""
    groups, forgotten = by_correlation(evidence), Forgotten(evidence)
    found = [violation for operation in evidence.operations for violation in one(operation, groups, forgotten)]
    asked = {operation.id for operation in evidence.operations}
    for correlation, theirs in groups.items():
        if correlation not in asked:
            found.append(
                Violation("unasked", f"nobody asked for {theirs[0].first.position} ({correlation})", theirs[0].aggregate)
            )
    return found + list(real_time(evidence, groups))


def by_correlation(evidence: Evidence) -> dict[str, list[Group]]:
    """What clients caused, by the name that they gave it."""
    found: dict[str, list[Group]] = defaultdict(list)
    for group in evidence.log.groups:
        if not group.by_reactor:
            found[group.correlation].append(group)
    return found


def one(operation: Operation, groups: dict[str, list[Group]], forgotten: Forgotten) -> Iterator[Violation]:
    """One operation."""
    theirs = groups.get(operation.id, [])
    left = [*theirs, *(group for group, _ in forgotten.of(operation))]
    aggregate = (
        operation.aggregate or (operation.attempts and operation.last.aggregate) or (theirs[0].aggregate if theirs else None)
    )
    if len(theirs) > 1:
        places = ", ".join(group.first.position for group in theirs)
        yield Violation("doubled-operation", f"{name(operation)} counts {len(theirs)} times: {places}", aggregate)
    if operation.outcome == ACKED:
        if forgotten.under(operation):
            yield from acked_once_more(operation, groups, forgotten, aggregate)
        else:
            yield from acked(operation, theirs, groups, aggregate)
    if operation.outcome == REFUSED and left and all(settled(attempt) for attempt in operation.attempts):
        yield Violation("refused-but-there", f"{name(operation)} was refused and stands at {left[0].first.position}", aggregate)
    if operation.outcome == UNKNOWN and left and all(settled(attempt) for attempt in operation.attempts):
        text = f"{name(operation)} was answered 503, which means not done, and stands at {left[0].first.position}"
        yield Violation("not-done-but-there", text, aggregate)


def settled(attempt) -> bool:
    """Whether an attempt cannot have had an effect of which its caller does not know."""
    return not attempt.sent or 200 <= attempt.status < 500 or attempt.status == NOT_DONE


def acked(
    operation: Operation, theirs: list[Group], groups: dict[str, list[Group]], aggregate: str | None
) -> Iterator[Violation]:
    """An acknowledged operation: the answer and the log agree. (One without records is judged with the refusals.)"""
    last = operation.last
    if operation.kind == "reuse-key":
        yield Violation("reused-key-accepted", f"{name(operation)} was accepted under the key of {operation.again}", aggregate)
    expected = theirs or groups.get(operation.again or "", [])
    if operation.kind == "repeat" and theirs:
        yield Violation(
            "repeat-done-again", f"{name(operation)} repeats {operation.again} and left {theirs[0].first.position}", aggregate
        )
    if not expected:
        if not may_leave_nothing(operation):
            yield Violation("lost", f"{name(operation)} was acknowledged at {last.position} and is not there", aggregate)
        return
    group = expected[0]
    said = (last.aggregate, last.version, last.position)
    stands = (group.aggregate, group.last.version, group.last.position)
    if theirs and not last.replayed and group.first.time > last.end + CLOCKS:
        text = f"{name(operation)} was acknowledged at {last.position} as nothing to do, and done afterwards at {group.first.position}"
        yield Violation("done-after-answer", text, aggregate)
    elif said != stands:
        yield Violation("answer-differs", f"{name(operation)} was told {said}, the log has {stands}", aggregate)


def acked_once_more(
    operation: Operation, groups: dict[str, list[Group]], forgotten: Forgotten, aggregate: str | None
) -> Iterator[Violation]:
    """An acknowledged operation under a key of which a log has lost something. The answer is what was lost, if it was asked for before the
    log went on without it, or else what came afterwards under that key, and is there."""
    last = operation.last
    said = (last.aggregate, last.version, last.position)
    there = [group for id_ in forgotten.same_key(operation) for group in groups.get(id_, [])]
    if said in [(group.aggregate, group.last.version, group.last.position) for group in there]:
        return
    lost = [loss for group, loss in forgotten.under(operation) if said == (group.aggregate, group.last.version, group.last.position)]
    if not lost and may_leave_nothing(operation):
        return
    if not lost:
        text = f"{name(operation)} was acknowledged at {last.position}, which neither is there nor was lost"
        yield Violation("lost", text, aggregate)
    elif all(last.start > loss.back for loss in lost):
        text = f"{name(operation)} was answered from {last.position}, which had been lost {last.start - lost[-1].back:.1f} s before it was asked for"
        yield Violation("rests-on-lost", text, aggregate)


def may_leave_nothing(operation: Operation) -> bool:
    """Kinds that may find nothing left to do."""
    return operation.kind in ("cancel-order", "change-profile", "change-price", "close-user", "withdraw-product")


def name(operation: Operation) -> str:
    """The operation in a few words."""
    return f"{operation.kind} {operation.id}"


def real_time(evidence: Evidence, groups: dict[str, list[Group]]) -> Iterator[Violation]:
    """What was acknowledged before something else was asked for stands before it, in each partition and so in each aggregate."""
    placed: dict[str, list[tuple[int, Operation, Group]]] = defaultdict(list)
    for operation in evidence.operations:
        if operation.attempts and operation.again is None:
            for group in groups.get(operation.id, [])[:1]:
                placed[group.source].append((group.last.offset, operation, group))
    for stand in placed.values():
        stand.sort(key=lambda each: each[0])
        earliest: Operation | None = None
        for _, operation, group in reversed(stand):
            if earliest is not None and earliest.last.end < operation.attempts[0].start:
                text = f"{name(operation)} was asked for after {name(earliest)} was acknowledged, and stands before it at {group.first.position}"
                yield Violation("real-time-order", text, group.aggregate)
            if operation.outcome == ACKED and (earliest is None or operation.last.end < earliest.last.end):
                earliest = operation
