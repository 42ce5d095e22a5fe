"""A small shop made up for the checker's own tests: a history, logs, tables, books and mail that agree with each other."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from .checker import views
from .checker.evidence import Evidence, log_of, losses_of
from .workload.history import ACKED, REFUSED, UNKNOWN, Attempt, Operation, Read

USER, PRODUCT, PAID, OFF = "user-1", "product-1", "order-1", "order-2"
MOVED, ADDRESS = "user-2", "address-1"
PAYMENT = "payment-1"
STUCK, STUCK_PAYMENT = "order-stuck", "payment-stuck"
REFUSED_USER, REFUSED_ORDER = "user-refused", "order-refused"
NAMESPACES = {
    "users": "user",
    "products": "product",
    "orders": "order",
    "payments": "payment",
    "notifications": "notification",
    "reservations": "reservation",
}


def gbp(amount: int) -> dict:
    """Pence."""
    return {"amount": amount, "currency": "GBP"}


@dataclass
class Made:
    """The parts, which a test may spoil before it lets them be checked."""

    records: list[dict] = field(default_factory=list)
    operations: list[Operation] = field(default_factory=list)
    reads: list[Read] = field(default_factory=list)
    books: list[dict] = field(default_factory=list)
    mails: list[dict] = field(default_factory=list)
    letters: list[dict] = field(default_factory=list)
    faults: list[dict] = field(default_factory=list)
    tables: dict[str, list[dict]] = field(default_factory=dict)
    run: dict = field(default_factory=lambda: {"seed": 1})
    clock: float = 1000.0
    ends: dict[str, int] = field(default_factory=dict)
    claims: dict[str, int] = field(default_factory=dict)
    versions: dict[str, int] = field(default_factory=dict)
    losses: list[dict] = field(default_factory=list)

    def evidence(self) -> Evidence:
        """What the checker gets."""
        log = log_of(self.records)
        parts = (self.operations, self.reads, self.tables, self.books, self.mails, self.letters)
        losses = losses_of(self.records, self.losses)
        return Evidence(log, *parts, faults=[*self.faults], run=self.run, losses=losses)

    def lose(self, service: str, first: int) -> None:
        """A log loses its records from this offset on."""
        lost = [each for each in self.records if each["service"] == service and each["offset"] >= first]
        self.records = [each for each in self.records if each not in lost]
        gone = self.clock + 0.1
        self.clock += 4.0
        self.losses.append({"source": f"{service}/0", "first": first, "gone": gone, "back": self.clock - 0.5, "records": lost})
        self.ends[service] = first
        del self.claims[service]
        for each in reversed(lost):
            if "version" in each["headers"]:
                self.versions[each["key"]] = int(each["headers"]["version"]) - 1

    def claim(self, service: str) -> None:
        """Somebody claims the partition."""
        self.clock += 0.1
        offset = self._append(service, "claim", "log.PartitionClaimed", {}, {"ce_id": f"nonce-{self.clock}"})
        self.claims[service] = offset

    def command(
        self, service: str, key: str, command: str, events: list[tuple[str, dict]], correlation: str, actor: str, cause: str = ""
    ) -> dict:
        """A command that counts; answers its last record."""
        if service not in self.claims:
            self.claim(service)
        self.clock += 0.1
        for index, (name, value) in enumerate(events, 1):
            self.versions[key] = self.versions.get(key, 0) + 1
            headers = {
                "ce_id": f"{command}/{index}",
                "ce_subject": key,
                "ce_time": "2026-01-01T00:00:00.000Z",
                "run": str(self.claims[service]),
                "at": str(self.ends[service]),
                "group": f"{index}/{len(events)}",
                "version": str(self.versions[key]),
                "fingerprint": "f",
                "actor": actor,
                "correlation-id": correlation,
                **({"causation-id": cause} if cause else {}),
            }
            self._append(service, key, f"{NAMESPACES[service]}.{name}", value, headers)
        return self.records[-1]

    def _append(self, service: str, key: str, type_: str, value: dict, headers: dict) -> int:
        offset = self.ends.get(service, 0)
        self.ends[service] = offset + 1
        place = {"service": service, "partition": 0, "offset": offset, "time": self.clock, "key": key}
        self.records.append({**place, "headers": {**headers, "ce_type": f"daybook.{type_}"}, "value": value})
        return offset

    def asked(
        self,
        id_: str,
        kind: str,
        service: str,
        aggregate: str | None,
        events: list[tuple[str, dict]],
        body: dict | None = None,
        **more: Any,
    ) -> Operation:
        """A client's operation, acknowledged with these events."""
        start = self.clock + 0.05
        record = self.command(service, aggregate or "?", f"command-{id_}", events, id_, "client/1") if events else None
        self.clock += 0.1
        answer = Attempt("node1", start, self.clock, 200, version=self.versions.get(aggregate or "", 0), aggregate=aggregate)
        at = record["offset"] if record else self.ends[service] - 1
        answer.position = f"{service}/0/{at}"
        operation = Operation(id_, 1, kind, service, "/", body or {}, id_, aggregate, attempts=[answer], outcome=ACKED, **more)
        self.operations.append(operation)
        return operation

    def refused(
        self,
        id_: str,
        kind: str,
        service: str,
        aggregate: str,
        code: str,
        body: dict | None = None,
        status: int = 422,
        **more: Any,
    ) -> Operation:
        """A client's operation that was refused."""
        self.clock += 0.1
        answer = Attempt("node1", self.clock, self.clock + 0.05, status, code=code)
        self.clock += 0.1
        operation = Operation(id_, 1, kind, service, "/", body or {}, id_, aggregate, attempts=[answer], outcome=REFUSED, **more)
        self.operations.append(operation)
        return operation

    def unanswered(self, id_: str, kind: str, service: str, aggregate: str | None) -> Operation:
        """A client's operation of which nobody knows what became of it."""
        answer = Attempt("node1", self.clock, self.clock + 4, error="timed out")
        operation = Operation(id_, 1, kind, service, "/", {}, id_, aggregate, attempts=[answer], outcome=UNKNOWN)
        self.operations.append(operation)
        return operation

    def fill_tables(self) -> None:
        """The views as they should be."""
        log = log_of(self.records)
        for table, (service, _, fold) in views.FOLDS.items():
            rows: dict[str, dict | None] = {}
            for record in log.counted(service):
                rows[record.key] = fold(rows.get(record.key), record, record.value or {})
            self.tables[table] = [
                {name: PAYMENT if value is views.ANY else value for name, value in row.items()} for row in rows.values() if row
            ]
        counted = [record for group in log.groups for record in group.records]
        about = {record.position: views.order_of(record) for record in counted}
        self.tables["orders.timeline"] = [{"position": position, "order_id": order} for position, order in about.items() if order]
        self.tables["audit.audit"] = [
            {
                "position": record.position,
                "event_id": record.headers["ce_id"],
                "aggregate_id": record.key,
                "version": record.version,
                "actor": record.headers["actor"],
                "correlation_id": record.headers["correlation-id"],
                "event": record.value,
            }
            for record in counted
        ]


def shop() -> Made:
    """A user, a product, an order that is paid and partly refunded, an order that is cancelled, refusals, and a repeat."""
    made = Made()
    ada = {"email": "a@b.c", "name": "Ada", "address": None, "reserved": reserve(made, ADDRESS, "email", USER)}
    made.asked("register", "register-user", "users", USER, [("UserRegistered", ada)])
    thing = {"sku": "S", "name": "Thing", "price": gbp(100), "reserved": reserve(made, "unit-1", "sku", PRODUCT)}
    made.asked("list", "list-product", "products", PRODUCT, [("ProductListed", thing)])
    made.refused("taken", "register-user", "users", "?", "email-taken", {"email": "A@B.c"})
    moved_user(made)
    received = made.asked(
        "receive", "receive-stock", "products", PRODUCT, [("StockReceived", {"quantity": 10})], {"quantity": 10}
    )
    paid_order(made)
    cancelled_order(made)
    made.asked(
        "refund",
        "refund",
        "payments",
        PAYMENT,
        [("PaymentRefundRequested", {"order_id": PAID, "user_id": USER, "refund_id": "r1", "amount": gbp(50)})],
    )
    settled = {"order_id": PAID, "user_id": USER, "refund_id": "r1", "amount": gbp(50), "refunded": gbp(50)}
    react(made, "payments", PAYMENT, [("PaymentRefundSettled", settled)], PAID)
    tell(made, "mail-3", PAID, "refund-settled")
    made.books.append({"payment": PAYMENT, "operation": "refund", "amount": 50, "note": "r1"})
    made.refused("too-late", "cancel-order", "orders", PAID, "already-confirmed")
    made.refused("too-much", "refund", "payments", PAYMENT, "refund-exceeds-captured", {"amount": gbp(151)})
    made.asked("off-again", "cancel-order", "orders", OFF, [])
    again = made.asked("again", "repeat", "products", PRODUCT, [], again="receive")
    again.attempts[0] = Attempt(
        "node2",
        made.clock,
        made.clock + 0.1,
        200,
        version=received.last.version,
        aggregate=PRODUCT,
        position=received.last.position,
        replayed=True,
    )
    made.unanswered("who-knows", "receive-stock", "products", PRODUCT)
    made.reads.append(Read("/orders", PAID, "orders/0/4", 4, "node1", 1.0, 2.0, 200, 4))
    made.fill_tables()
    return made


def reserve(made: Made, reservation: str, kind: str, holder: str) -> dict:
    """A reservation is made; answers it as its holder knows it."""
    event = {"kind": kind, "holder": holder, "reserved_at": 1}
    name = f"reserve-{reservation}-{len(made.records)}"
    made.command("reservations", reservation, name, [("ReservationMade", event)], "some", "system/reservations")
    return {"reservation_id": reservation, "number": made.versions[reservation]}


def end(made: Made, reserved: dict, holder: str) -> None:
    """A reservation is ended."""
    event, name = {"holder": holder, "number": reserved["number"]}, f"end-{len(made.records)}"
    made.command("reservations", reserved["reservation_id"], name, [("ReservationEnded", event)], "some", "system/reservations")


def moved_user(made: Made) -> None:
    """An account forgoes what it reserved for nothing, is opened with another address, moves, and is closed; another takes up what it left."""
    vain, first = (reserve(made, name, "email", MOVED) for name in ("address-2", "address-3"))
    made.command("users", MOVED, "forgo", [("UserEmailForgone", {"reserved": vain})], "some", "system/reservations")
    end(made, vain, MOVED)
    opened = {"email": "three@b.c", "name": "Eve", "address": None, "reserved": first}
    made.asked("register-moved", "register-user", "users", MOVED, [("UserRegistered", opened)])
    second = reserve(made, "address-2", "email", MOVED)
    change = {"email": "two@b.c", "name": None, "address": None, "reserved": second, "left": first}
    made.asked("move", "change-profile", "users", MOVED, [("UserProfileChanged", change)])
    end(made, first, MOVED)
    made.asked("close-moved", "close-user", "users", MOVED, [("UserClosed", {"reason": None, "left": second})])
    end(made, second, MOVED)
    taken_up = {"email": "Three@b.c", "name": "Bob", "address": None, "reserved": reserve(made, "address-3", "email", "user-3")}
    made.asked("register-next", "register-user", "users", "user-3", [("UserRegistered", taken_up)])


def placed(made: Made, order: str, method: str = "card", user: str = USER) -> dict:
    """An order of two pieces; answers the record."""
    lines = [{"product_id": PRODUCT, "quantity": 2, "agreed_price": None}]
    event = {"user_id": user, "lines": lines, "payment_method": method, "placed_at": 1, "expires_at": 2}
    event["awaits_customer"] = True
    made.asked(f"place-{order}", "place-order", "orders", order, [("OrderPlaced", event)])
    react(made, "users", user, [("CustomerVouched", {"order_id": order})], order)
    react(made, "orders", order, [("OrderAccepted", {"user_id": user, "lines": lines})], order)
    return event


def react(made: Made, service: str, key: str, events: list[tuple[str, dict]], of: str) -> None:
    """What a reactor does because of the newest record."""
    cause = made.records[-1]["headers"]["ce_id"]
    made.command(service, key, f"because-{cause}-{key}-{len(made.records)}", events, f"place-{of}", "reactor/some", cause)


def paid_order(made: Made) -> None:
    """From placed to paid, shipped and told."""
    confirmed_order(made, PAID, PAYMENT)
    react(made, "payments", PAYMENT, [("PaymentCaptured", {"order_id": PAID, "amount": gbp(200)})], PAID)
    tell(made, "mail-1", PAID, "order-confirmed")
    made.books.append({"payment": PAYMENT, "operation": "capture", "amount": 200, "note": ""})


def confirmed_order(made: Made, order: str, payment: str, method: str = "card", user: str = USER) -> None:
    """From placed to confirmed and shipped. The money is held."""
    event = placed(made, order, method, user)
    line = {"order_id": order, "line": 0, "quantity": 2}
    react(made, "products", PRODUCT, [("StockReserved", {**line, "unit_price": gbp(100)})], order)
    wanted = {"user_id": user, "total": gbp(200), "payment_method": method}
    react(made, "orders", order, [("OrderLineReserved", {"line": 0, "unit_price": gbp(100)}), ("OrderReserved", wanted)], order)
    asked = {"order_id": order, "user_id": user, "amount": gbp(200), "method": method}
    react(made, "payments", payment, [("PaymentRequested", asked)], order)
    react(made, "payments", payment, [("PaymentAuthorised", {"order_id": order, "reference": "r"})], order)
    made.books.append({"payment": payment, "operation": "authorise", "amount": 200, "note": method})
    confirmed = {"user_id": user, "lines": event["lines"], "total": gbp(200), "payment_id": payment}
    react(made, "orders", order, [("OrderConfirmed", confirmed)], order)
    react(made, "products", PRODUCT, [("StockShipped", line)], order)


def stuck_order(made: Made, method: str = "card-stuck-500", given_up: bool = True) -> None:
    """An order whose money the gateway never lets anybody take, before or after the attempts are used up."""
    confirmed_order(made, STUCK, STUCK_PAYMENT, method)
    tell(made, "mail-stuck", STUCK, "order-confirmed")
    if given_up:
        fail_capture(made, STUCK, STUCK_PAYMENT)
        letter(made, "payments", "capture-payment", STUCK_PAYMENT)
    made.fill_tables()


def fail_capture(made: Made, order: str, payment: str) -> None:
    """The attempts to take the money are used up."""
    failed = {"order_id": order, "user_id": USER, "amount": gbp(200), "reason": "it answered 500"}
    react(made, "payments", payment, [("PaymentCaptureFailed", failed)], order)


def refused_recipient(made: Made, given_up: bool = True) -> None:
    """A paid order of a user whose mail the server never takes, before or after the attempts are used up."""
    reserved = reserve(made, "address-refused", "email", REFUSED_USER)
    registered = {"email": "refused.buyer-0@example.com", "name": "Bob", "address": None, "reserved": reserved}
    made.asked("register-refused", "register-user", "users", REFUSED_USER, [("UserRegistered", registered)])
    confirmed_order(made, REFUSED_ORDER, "payment-refused", user=REFUSED_USER)
    react(
        made, "payments", "payment-refused", [("PaymentCaptured", {"order_id": REFUSED_ORDER, "amount": gbp(200)})], REFUSED_ORDER
    )
    made.books.append({"payment": "payment-refused", "operation": "capture", "amount": 200, "note": ""})
    asked = {"user_id": REFUSED_USER, "order_id": REFUSED_ORDER, "kind": "order-confirmed", "subject": "s", "body": "b"}
    react(made, "notifications", "mail-refused", [("NotificationRequested", asked)], REFUSED_ORDER)
    if given_up:
        failed = {"user_id": REFUSED_USER, "reason": "451 not this recipient, not now"}
        react(made, "notifications", "mail-refused", [("NotificationFailed", failed)], REFUSED_ORDER)
        letter(made, "notifications", "deliver", "mail-refused")
    made.fill_tables()


def letter(made: Made, database: str, reader: str, aggregate: str, record: dict | None = None) -> None:
    """A dead letter."""
    about = {"id": f"{aggregate}/{reader}", "reader": reader, "aggregate_id": aggregate, "reason": "because", "record": record}
    made.letters.append({"database": database, "letter": about})


def cancelled_order(made: Made) -> None:
    """Placed, reserved, and cancelled by its customer."""
    event = placed(made, OFF)
    line = {"order_id": OFF, "line": 0, "quantity": 2}
    react(made, "products", PRODUCT, [("StockReserved", {**line, "unit_price": gbp(100)})], OFF)
    off = {"user_id": USER, "lines": event["lines"], "reason": "changed my mind"}
    made.asked("cancel", "cancel-order", "orders", OFF, [("OrderCancelled", off)])
    react(made, "products", PRODUCT, [("StockReleased", line)], OFF)
    tell(made, "mail-2", OFF, "order-cancelled")


def order_of_nobody(made: Made) -> None:
    """An order that names a customer whom nobody has registered: off before anything is reserved, and told to nobody."""
    whose, order, mail = "user-nobody", "order-nobody", "mail-nobody"
    lines = [{"product_id": PRODUCT, "quantity": 2, "agreed_price": None}]
    event = {"user_id": whose, "lines": lines, "payment_method": "card", "placed_at": 1, "expires_at": 2, "awaits_customer": True}
    made.asked(f"place-{order}", "place-order", "orders", order, [("OrderPlaced", event)])
    react(made, "users", whose, [("CustomerRefused", {"order_id": order, "reason": "unknown-customer"})], order)
    react(made, "orders", order, [("OrderCancelled", {"user_id": whose, "lines": lines, "reason": "unknown-customer"})], order)
    asked = {"user_id": whose, "order_id": order, "kind": "order-cancelled", "subject": "s", "body": "b"}
    react(made, "notifications", mail, [("NotificationRequested", asked)], order)
    react(made, "notifications", mail, [("NotificationFailed", {"user_id": whose, "reason": "no address is known"})], order)
    made.fill_tables()


def tell(made: Made, id_: str, order: str, kind: str) -> None:
    """A message, requested and delivered."""
    asked = {"user_id": USER, "order_id": order, "kind": kind, "subject": "s", "body": "b"}
    react(made, "notifications", id_, [("NotificationRequested", asked)], order)
    react(made, "notifications", id_, [("NotificationDelivered", {"user_id": USER})], order)
    made.mails.append(
        {"node": "node1", "file": id_, "size": 9, "body": "b", "id": f"<{id_}@daybook>", "to": "a@b.c", "subject": "s"}
    )
