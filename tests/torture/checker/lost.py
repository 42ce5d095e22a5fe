"""What a log has lost, and what may be otherwise because of it.

Where a log lost its last records, what was acknowledged there is gone; whoever asks again under the same key has it done again, at another
place or at the same. And what concerns several logs, an order above all, may have been half forgotten: one log remembers, another
does not. Nothing else is excused. Each excuse follows from the lost records themselves, which were read before they were cut off.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from ..workload.history import Operation
from .evidence import Evidence, Loss
from .runs import Group, Record

Lost = tuple[Group, Loss]


class Forgotten:
    """The commands of clients that were in a log and are not there any more."""

    def __init__(self, evidence: Evidence):
        self._groups: dict[str, list[Lost]] = defaultdict(list)
        for loss in evidence.losses:
            for group in loss.groups:
                if not group.by_reactor:
                    self._groups[group.correlation].append((group, loss))
        self._under: dict[str, list[str]] = defaultdict(list)
        for operation in evidence.operations if self._groups else []:
            self._under[operation.key].append(operation.id)

    def of(self, operation: Operation) -> list[Lost]:
        """What was lost of an operation itself."""
        return self._groups.get(operation.id, [])

    def under(self, operation: Operation) -> list[Lost]:
        """What was lost of all that was asked for under its key."""
        return [lost for id_ in self._under.get(operation.key, []) for lost in self._groups.get(id_, [])]

    def same_key(self, operation: Operation) -> list[str]:
        """The operations under its key, where something of them was lost: whichever came next was the first once more."""
        return self._under[operation.key] if self.under(operation) else []


class Touched:
    """Whom losses concern: the aggregates that lost events, and the orders, accounts and reservations that these events were about."""

    def __init__(self, evidence: Evidence):
        lost = [record for loss in evidence.losses for record in loss.records]
        self.ids = {record.key for record in lost}
        self.orders: set[str] = set()
        self.names = {name for record in lost if record.service in ("users", "products", "reservations") for name in named(record)}
        of = orders_of(evidence) if lost else {}
        self.orders = {order for record in lost if (order := of.get(record.key) or about(record))}
        # These orders, their payments and notifications may hear from one log what another does not remember.
        self.half_forgotten = self.orders | {id_ for id_, order in of.items() if order in self.orders}
        self.ids |= self.half_forgotten

    def __contains__(self, id_: str | None) -> bool:
        return id_ in self.ids


def about(record: Record) -> str | None:
    """The order that an event is about."""
    return record.key if record.service == "orders" else (record.value or {}).get("order_id")


def orders_of(evidence: Evidence) -> dict[str, str]:
    """The order of each payment and each notification, of those that are lost too."""
    found = {}
    for record in everything(evidence):
        if record.type in ("PaymentRequested", "NotificationRequested") and record.value:
            found[record.key] = record.value["order_id"]
    return found


def everything(evidence: Evidence) -> Iterable[Record]:
    """Every event that counts, and every one that did."""
    for groups in (evidence.log.groups, *(loss.groups for loss in evidence.losses)):
        for group in groups:
            yield from group.records


def named(record: Record) -> Iterable[str]:
    """The reservations and their holders of which an event speaks."""
    value = record.value or {}
    yield record.key
    yield from (value[name]["reservation_id"] for name in ("reserved", "left") if value.get(name))
    yield from ([value["holder"]] if value.get("holder") else [])
