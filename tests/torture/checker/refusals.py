"""Every refusal, and every acknowledgement that left nothing, was right at some moment between its request and its answer."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from ..workload.history import ACKED, REFUSED, Operation
from .commands import by_correlation, name
from .evidence import Evidence, Violation
from .lost import Forgotten
from .moments import Moments
from .names import FIELDS, Taken
from .runs import Group

State = dict
Rule = Callable[[State, Operation], bool]

REFUSALS: dict[str, Rule] = {
    "unknown-user": lambda state, _: state["status"] is None,
    "unknown-product": lambda state, _: state["status"] is None,
    "unknown-order": lambda state, _: state["status"] is None,
    "unknown-payment": lambda state, _: state["status"] is None,
    "user-closed": lambda state, _: state["status"] == "closed",
    "withdrawn-product": lambda state, _: state["status"] == "withdrawn",
    "already-confirmed": lambda state, _: state["status"] == "confirmed",
    "already-expired": lambda state, _: state["status"] == "expired",
    "not-captured": lambda state, _: state["status"] in ("requested", "authorised", "capture-failed", "declined", "voided"),
    "refund-exceeds-captured": lambda state, asked: (
        state["status"] == "captured" and asked.body["amount"]["amount"] > state["left"]
    ),
    "currency-mismatch": lambda state, asked: (
        state["status"] == "listed" and state["price"]["currency"] != asked.body["price"]["currency"]
    ),
    "version-conflict": lambda state, asked: asked.if_match is not None and state["version"] != asked.if_match,
}

NOTHING_LEFT: dict[str, Rule] = {
    "cancel-order": lambda state, _: state["status"] == "cancelled",
    "close-user": lambda state, _: state["status"] == "closed",
    "withdraw-product": lambda state, _: state["status"] == "withdrawn",
    "change-price": lambda state, asked: state["status"] == "listed" and state["price"] == asked.body["price"],
    "change-profile": lambda state, asked: (
        state["status"] == "open" and all(state["profile"].get(field) == value for field, value in asked.body.items())
    ),
}


def check(evidence: Evidence) -> list[Violation]:
    """All that was said and was never so."""
    moments, groups = Moments(evidence), by_correlation(evidence)
    forgotten = Forgotten(evidence)
    taken = Taken(evidence, moments)
    found: list[Violation] = []
    for operation in evidence.operations:
        if operation.outcome == REFUSED:
            found += refusal(operation, moments, under_its_key(operation, groups, forgotten), taken)
        elif operation.outcome == ACKED and not left(operation, groups, forgotten) and operation.kind in NOTHING_LEFT:
            found += nothing_left(operation, moments)
    return found


def left(operation: Operation, groups: dict[str, list[Group]], forgotten: Forgotten) -> list[Group]:
    """What an operation left, or had left before it was lost."""
    return [*groups.get(operation.id, []), *(group for group, _ in forgotten.of(operation))]


def under_its_key(operation: Operation, groups: dict[str, list[Group]], forgotten: Forgotten) -> list[Group]:
    """What its key was used for. Where that was lost, the key was free, and whoever came next under it was the first."""
    there = [group for id_ in {operation.again or "", *forgotten.same_key(operation)} for group in groups.get(id_, [])]
    lost = [group for group, loss in forgotten.under(operation) if operation.last.start <= loss.back]
    return [*there, *lost]


def refusal(operation: Operation, moments: Moments, used: list[Group], taken: Taken) -> Iterator[Violation]:
    """A 4xx."""
    last, code = operation.last, operation.last.code
    if code == "idempotency-key-reused":
        right = any(group.first.time <= last.end for group in used)
    elif code == "invalid-request":
        right = operation.kind == "invalid"
    elif code in FIELDS:
        right = taken.by_another(code, operation.body, last.start, last.end)
    elif code in REFUSALS:
        right = any(REFUSALS[code](state, operation) for state in states(operation, moments))
    else:
        right = False
    if not right:
        seen = states(operation, moments)
        text = f"{name(operation)} was refused with {last.status} {code} ({last.error}); in that time the aggregate was {seen}"
        yield Violation("wrong-refusal", text, operation.aggregate)


def nothing_left(operation: Operation, moments: Moments) -> Iterator[Violation]:
    """A 2xx that left no record: there was nothing to do, at the version that was told."""
    rule, version = NOTHING_LEFT[operation.kind], operation.last.version
    seen = states(operation, moments)
    if not any(rule(state, operation) and state["version"] == version for state in seen):
        text = f"{name(operation)} was acknowledged at version {version} and left nothing; in that time the aggregate was {seen}"
        yield Violation("lost", text, operation.aggregate)


def states(operation: Operation, moments: Moments) -> list[State]:
    """The states in which the aggregate can have been during the last attempt."""
    last = operation.last
    return moments.within(operation.service, operation.aggregate or "", last.start, last.end)
