"""Every row of every view equals the fold of its log, worked out here anew."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterator
from datetime import datetime

from .evidence import Evidence, Violation
from .runs import Record

Row = dict
Fold = Callable[[Row | None, Record, dict], Row | None]
FRACTION = re.compile(r"\.(\d+)")


def millis(record: Record) -> int:
    """The event's time in milliseconds since 1970."""
    text = record.headers["ce_time"].replace("Z", "+00:00")
    text = FRACTION.sub(lambda found: f".{found[1][:6].ljust(6, '0')}", text)
    return round(datetime.fromisoformat(text).timestamp() * 1000)


USER = ("email", "name", "address")
PRODUCT = ("sku", "name", "price")


def said(event: dict, fields: tuple[str, ...]) -> dict:
    """The fields of an event that a row shows."""
    return {name: event[name] for name in fields}


def user(row: Row | None, record: Record, event: dict) -> Row | None:
    """users.users"""
    match record.type:
        case "UserRegistered":
            row = {"user_id": record.key, "status": "active", **said(event, USER), "registered_at": millis(record), "closed_at": None}
        case "UserProfileChanged" if row:
            row = {**row, **{name: value for name, value in said(event, USER).items() if value is not None}}
        case "UserClosed" if row:
            row = {**row, "status": "closed", "email": None, "name": None, "address": None, "closed_at": millis(record)}
    return row and {**row, "version": record.version}


def contact(row: Row | None, record: Record, event: dict) -> Row | None:
    """notifications.contacts"""
    match record.type:
        case "UserRegistered":
            return {"user_id": record.key, "email": event["email"], "name": event["name"]}
        case "UserProfileChanged" if row:
            return {**row, "email": event["email"] or row["email"], "name": event["name"] or row["name"]}
        case "UserClosed":
            return None
    return row


def product(row: Row | None, record: Record, event: dict) -> Row | None:
    """products.products"""
    if record.type == "ProductListed":
        stock = {"on_hand": 0, "reserved": 0, "available": 0}
        row = {"product_id": record.key, **said(event, PRODUCT), **stock, "withdrawn": False, "listed_at": millis(record)}
    if row is None:
        return None
    pieces = event.get("quantity", 0)
    moves = {
        "StockReceived": (pieces, 0),
        "StockReserved": (0, pieces),
        "StockReleased": (0, -pieces),
        "StockShipped": (-pieces, -pieces),
    }
    on_hand, reserved = moves.get(record.type, (0, 0))
    row = {**row, "on_hand": row["on_hand"] + on_hand, "reserved": row["reserved"] + reserved, "version": record.version}
    row["available"] = row["on_hand"] - row["reserved"]
    if record.type == "PriceChanged":
        row["price"] = event["price"]
    if record.type == "ProductWithdrawn":
        row["withdrawn"] = True
    return row


def order(row: Row | None, record: Record, event: dict) -> Row | None:
    """orders.orders"""
    match record.type:
        case "OrderPlaced":
            wanted = enumerate(event["lines"])
            lines = [{"line": n, "product_id": w["product_id"], "quantity": w["quantity"], "unit_price": None} for n, w in wanted]
            empty = {"status": "placed", "total": None, "payment_id": None, "reason": None, "closed_at": None}
            told = {name: value for name, value in event.items() if name != "awaits_customer"}
            row = {"order_id": record.key, **told, "lines": lines, **empty}
        case "OrderLineReserved" if row:
            price = lambda line: event["unit_price"] if line["line"] == event["line"] else line["unit_price"]  # noqa: E731
            row = {**row, "lines": [{**line, "unit_price": price(line)} for line in row["lines"]]}
        case "OrderReserved" if row:
            row = {**row, "total": event["total"], "payment_id": ANY}
        case "OrderConfirmed" if row:
            row = {
                **row,
                "status": "confirmed",
                "total": event["total"],
                "payment_id": event["payment_id"],
                "closed_at": millis(record),
            }
        case "OrderCancelled" if row:
            row = {**row, "status": "cancelled", "reason": event["reason"], "closed_at": millis(record)}
        case "OrderExpired" if row:
            row = {**row, "status": "expired", "closed_at": event["expired_at"]}
    return row and {**row, "version": record.version}


def deadline(row: Row | None, record: Record, event: dict) -> Row | None:
    """orders.deadlines"""
    if record.type == "OrderPlaced":
        return {"order_id": record.key, "due_at": event["expires_at"]}
    return None if record.type in ("OrderConfirmed", "OrderCancelled", "OrderExpired") else row


def without(row: Row, refund_id: str) -> Row:
    """The row with this refund neither pending nor failed."""
    others = {name: [refund for refund in row[name] if refund["refund_id"] != refund_id] for name in ("pending_refunds", "failed_refunds")}
    return {**row, **others}


def standing(row: Row) -> Row:
    """The row with the status that its refunds give it."""
    if row["pending_refunds"]:
        return {**row, "status": "refund-requested", "reason": None}
    if row["refunded"]["amount"] >= row["amount"]["amount"]:
        return {**row, "status": "refunded", "reason": None}
    if row["failed_refunds"]:
        return {**row, "status": "refund-failed", "reason": row["failed_refunds"][-1]["reason"]}
    return {**row, "status": "partially-refunded", "reason": None}


def payment(row: Row | None, record: Record, event: dict) -> Row | None:
    """payments.payments"""
    match record.type:
        case "PaymentRequested":
            nothing = {"amount": 0, "currency": event["amount"]["currency"]}
            refunds = {"refunded": nothing, "pending_refunds": [], "failed_refunds": []}
            empty = {"status": "requested", **refunds, "reference": None, "reason": None}
            row = {"payment_id": record.key, **event, **empty, "requested_at": millis(record)}
        case "PaymentAuthorised" if row:
            row = {**row, "status": "authorised", "reference": event["reference"]}
        case "PaymentDeclined" | "PaymentVoided" if row:
            row = {**row, "status": record.type.removeprefix("Payment").lower(), "reason": event["reason"]}
        case "PaymentCaptured" if row:
            row = {**row, "status": "captured", "reason": None}
        case "PaymentCaptureFailed" if row:
            row = {**row, "status": "capture-failed", "reason": event["reason"]}
        case "PaymentRefundRequested" if row:
            row = without(row, event["refund_id"])
            row["pending_refunds"].append({"refund_id": event["refund_id"], "amount": event["amount"]})
            row = standing(row)
        case "PaymentRefundFailed" if row:
            row = without(row, event["refund_id"])
            row["failed_refunds"].append({name: event[name] for name in ("refund_id", "amount", "reason")})
            row = standing(row)
        case "PaymentRefundSettled" | "PaymentRefunded" if row:
            row = standing({**without(row, event["refund_id"]), "refunded": event["refunded"]})
    if row:
        total = sum(pending["amount"]["amount"] for pending in row["pending_refunds"])
        row = {**row, "refund_requested": {"amount": total, "currency": row["amount"]["currency"]}}
    return row and {**row, "version": record.version}


def notification(row: Row | None, record: Record, event: dict) -> Row | None:
    """notifications.notifications"""
    match record.type:
        case "NotificationRequested":
            row = {"notification_id": record.key, **event, "status": "requested", "reason": None, "requested_at": millis(record)}
        case "NotificationDelivered" if row:
            row = {**row, "status": "delivered"}
        case "NotificationFailed" if row:
            row = {**row, "status": "failed", "reason": event["reason"]}
    return row and {**row, "version": record.version}


class _Any:
    """Equal to anything but nothing: an id that the product derives by a rule of its own."""

    def __eq__(self, other: object) -> bool:
        return other is not None

    def __ne__(self, other: object) -> bool:
        return not self == other

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return "an id"


ANY = _Any()

FOLDS: dict[str, tuple[str, str, Fold]] = {
    "users.users": ("users", "user_id", user),
    "notifications.contacts": ("users", "user_id", contact),
    "products.products": ("products", "product_id", product),
    "orders.orders": ("orders", "order_id", order),
    "orders.deadlines": ("orders", "order_id", deadline),
    "payments.payments": ("payments", "payment_id", payment),
    "notifications.notifications": ("notifications", "notification_id", notification),
}


def check(evidence: Evidence) -> list[Violation]:
    """All rows that are not what their log says."""
    found: list[Violation] = []
    for table, (service, key, fold) in FOLDS.items():
        expected: dict[str, Row | None] = defaultdict(lambda: None)
        for record in evidence.log.counted(service):
            if record.value is not None:
                expected[record.key] = fold(expected[record.key], record, record.value)
        found += differences(
            table, {id_: row for id_, row in expected.items() if row is not None}, key, evidence.tables.get(table, [])
        )
    return [*found, *events(evidence)]


def differences(table: str, expected: dict[str, Row], key: str, rows: list[Row]) -> Iterator[Violation]:
    """The rows of a table that differ from those expected."""
    there = {row[key]: row for row in rows}
    for id_ in sorted({*expected, *there}):
        want, have = expected.get(id_), there.get(id_)
        if want is None or have is None:
            text = "is there and should not be" if want is None else "is missing"
            yield Violation("view-differs", f"{table}: the row {id_} {text}", id_)
            continue
        fields = {name: (want.get(name), have.get(name)) for name in want if want.get(name) != have.get(name)}
        if fields:
            told = "; ".join(f"{name} is {has!r}, the log says {wants!r}" for name, (wants, has) in fields.items())
            yield Violation("view-differs", f"{table}: in the row {id_} {told}", id_)


def events(evidence: Evidence) -> Iterator[Violation]:
    """The views with a row for each event: all that count, and no others."""
    counted = {record.position: record for group in evidence.log.groups for record in group.records}
    about = {position: id_ for position, record in counted.items() if (id_ := order_of(record))}
    audited = {row["position"]: row for row in evidence.tables.get("audit.audit", [])}
    told = {row["position"]: row for row in evidence.tables.get("orders.timeline", [])}
    yield from _positions("audit.audit", {*counted}, {*audited})
    yield from _positions("orders.timeline", {*about}, {*told})
    for position in counted.keys() & audited.keys():
        record, row = counted[position], audited[position]
        want = (record.headers["ce_id"], record.key, record.version, record.headers["actor"], record.headers["correlation-id"])
        have = tuple(row[name] for name in ("event_id", "aggregate_id", "version", "actor", "correlation_id"))
        if want != have or row["event"] != record.value:
            yield Violation("view-differs", f"audit.audit: {position} is {have}, the log says {want}", record.key)
    for position in about.keys() & told.keys():
        if told[position]["order_id"] != about[position]:
            yield Violation(
                "view-differs", f"orders.timeline: {position} is told of {told[position]['order_id']}", about[position]
            )


def _positions(table: str, want: set[str], have: set[str]) -> Iterator[Violation]:
    for position in sorted(want ^ have):
        yield Violation(
            "view-differs", f"{table}: {position} {'is missing' if position in want else 'does not count and is there'}"
        )


def order_of(record: Record) -> str | None:
    """The order that an event concerns."""
    if record.service == "orders":
        return record.key
    if record.type in ("NotificationDelivered", "NotificationFailed") or record.value is None:
        return None
    return record.value.get("order_id")
