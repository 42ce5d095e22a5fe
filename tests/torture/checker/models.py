"""A small independent model of each kind of aggregate: what an event may follow, and what can be seen of the state.

`take` folds an event and raises `Illegal` when the rules do not allow it there. `glance` is the part of the state on which refusals
and empty answers rest; it is kept for every version.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from .runs import Record


class Illegal(Exception):
    """The event cannot follow those before it."""


def need(holds: bool, why: str) -> None:
    """Raises `Illegal` unless it holds."""
    if not holds:
        raise Illegal(why)


@dataclass
class Model:
    """What all have in common."""

    status: str | None = None
    version: int = 0

    def take(self, record: Record) -> None:
        """Folds an event."""
        self.version = record.version
        handler = getattr(self, record.type, None)
        if handler is None:
            raise Illegal("no such event is known")
        handler(record.value)

    def glance(self) -> dict:
        """What can be seen of it."""
        return {"status": self.status, "version": self.version}


@dataclass
class User(Model):
    """A user's account."""

    profile: dict = field(default_factory=dict)
    answered: set[str] = field(default_factory=set)
    forgone: dict[str, int] = field(default_factory=dict)

    def UserRegistered(self, event: dict) -> None:  # noqa: N802 - the event's own name
        need(self.status is None, f"the user is {self.status}")
        self.status, self.profile = "open", {name: event[name] for name in ("email", "name", "address")}

    def UserProfileChanged(self, event: dict) -> None:  # noqa: N802
        need(self.status == "open", f"the user is {self.status}")
        given = {name: event[name] for name in ("email", "name", "address") if event.get(name) is not None}
        need(any(self.profile.get(name) != value for name, value in given.items()), "nothing changes")
        self.profile = {**self.profile, **given}

    def UserClosed(self, _: dict) -> None:  # noqa: N802
        need(self.status == "open", f"the user is {self.status}")
        self.status, self.profile = "closed", {}

    def CustomerVouched(self, event: dict) -> None:  # noqa: N802
        self._answer(event)
        need(self.status == "open", f"the user is {self.status}")

    def CustomerRefused(self, event: dict) -> None:  # noqa: N802
        self._answer(event)
        why = {None: "unknown-customer", "closed": "closed-account"}.get(self.status)
        need(event["reason"] == why, f"the user is {self.status}, and the order was refused as {event['reason']}")

    def _answer(self, event: dict) -> None:
        need(event["order_id"] not in self.answered, f"the order {event['order_id']} was answered for before")
        self.answered.add(event["order_id"])
    def UserEmailForgone(self, event: dict) -> None:  # noqa: N802
        need(self.status != "closed", "the user is closed")
        forgo(self.forgone, event["reserved"])

    def glance(self) -> dict:
        return {**super().glance(), "profile": self.profile, "unique": self.profile.get("email", "")}


@dataclass
class Product(Model):
    """A product and its stock."""

    sku: str = ""
    forgone: dict[str, int] = field(default_factory=dict)
    price: dict = field(default_factory=dict)
    received: int = 0
    shipped: int = 0
    open: dict[tuple[str, int], int] = field(default_factory=dict)
    answered: set[tuple[str, int]] = field(default_factory=set)

    @property
    def on_hand(self) -> int:
        """Pieces in the house."""
        return self.received - self.shipped

    @property
    def reserved(self) -> int:
        """Pieces kept for orders."""
        return sum(self.open.values())

    def ProductListed(self, event: dict) -> None:  # noqa: N802
        need(self.status is None, f"the product is {self.status}")
        self.status, self.price, self.sku = "listed", event["price"], event["sku"]

    def ProductSkuForgone(self, event: dict) -> None:  # noqa: N802
        need(self.status is None, f"the product is {self.status}")
        forgo(self.forgone, event["reserved"])

    def PriceChanged(self, event: dict) -> None:  # noqa: N802
        need(self.status == "listed", f"the product is {self.status}")
        need(event["price"]["currency"] == self.price["currency"], "another currency")
        need(event["price"] != self.price, "the price is the same")
        self.price = event["price"]

    def StockReceived(self, event: dict) -> None:  # noqa: N802
        need(self.status == "listed", f"the product is {self.status}")
        self.received += event["quantity"]

    def StockReserved(self, event: dict) -> None:  # noqa: N802
        line = (event["order_id"], event["line"])
        need(self.status == "listed", f"the product is {self.status}")
        need(line not in self.answered, f"line {line} was answered before")
        free = self.on_hand - self.reserved
        self.answered.add(line)
        self.open[line] = event["quantity"]
        need(event["quantity"] <= free, f"{event['quantity']} pieces were reserved of {free}")

    def ReservationRejected(self, event: dict) -> None:  # noqa: N802
        line = (event["order_id"], event["line"])
        need(line not in self.answered, f"line {line} was answered before")
        self.answered.add(line)
        free = self.on_hand - self.reserved
        if event["reason"] == "insufficient-stock":
            need(event["quantity"] > free, f"{event['quantity']} pieces were refused, {free} are free")

    def StockReleased(self, event: dict) -> None:  # noqa: N802
        self._settle(event)

    def StockShipped(self, event: dict) -> None:  # noqa: N802
        self._settle(event)
        self.shipped += event["quantity"]

    def _settle(self, event: dict) -> None:
        kept = self.open.pop((event["order_id"], event["line"]), None)
        need(kept == event["quantity"], f"{kept} pieces are kept for the line")

    def ProductWithdrawn(self, _: dict) -> None:  # noqa: N802
        need(self.status == "listed", f"the product is {self.status}")
        self.status = "withdrawn"

    def glance(self) -> dict:
        return {**super().glance(), "price": self.price, "on_hand": self.on_hand, "unique": self.sku}


@dataclass
class Order(Model):
    """An order."""

    placed: dict = field(default_factory=dict)
    accepted: bool = False
    prices: dict[int, dict] = field(default_factory=dict)
    total: dict | None = None
    payment: str | None = None
    reason: str | None = None

    def OrderPlaced(self, event: dict) -> None:  # noqa: N802
        need(self.status is None, f"the order is {self.status}")
        self.status, self.placed = "placed", event

    def OrderAccepted(self, event: dict) -> None:  # noqa: N802
        self._open()
        need(self.placed["awaits_customer"], "it asks no customer")
        need(not self.accepted, "it was accepted before")
        need(not self.prices, "stock was reserved before")
        self.accepted = True
        for name in ("user_id", "lines"):
            need(event[name] == self.placed[name], f"its {name} are others")

    def OrderLineReserved(self, event: dict) -> None:  # noqa: N802
        self._open()
        need(self.accepted or not self.placed["awaits_customer"], "its customer was not known yet")
        need(0 <= event["line"] < len(self.placed["lines"]), "no such line")
        need(event["line"] not in self.prices, "the line was reserved before")
        self.prices[event["line"]] = event["unit_price"]

    def OrderLineRejected(self, event: dict) -> None:  # noqa: N802
        self._open()
        need(event["line"] not in self.prices, "the line was reserved before")

    def OrderReserved(self, event: dict) -> None:  # noqa: N802
        self._open()
        need(self.total is None, "it was wholly reserved before")
        self.total = event["total"]
        self._check_total()

    def OrderConfirmed(self, event: dict) -> None:  # noqa: N802
        self._open()
        need(self.total is not None, "not all its lines are reserved")
        need(event["total"] == self.total, f"the total is {self.total}")
        self.status, self.payment = "confirmed", event["payment_id"]

    def OrderCancelled(self, event: dict) -> None:  # noqa: N802
        self._open()
        self.status, self.reason = "cancelled", event["reason"]

    def OrderExpired(self, event: dict) -> None:  # noqa: N802
        self._open()
        self.status = "expired"
        need(event["expired_at"] >= self.placed["expires_at"], "it was not due")

    def _open(self) -> None:
        need(self.status == "placed", f"the order is {self.status}")

    def _check_total(self) -> None:
        lines = self.placed["lines"]
        need(len(self.prices) == len(lines), f"{len(self.prices)} of {len(lines)} lines are reserved")
        summed = sum(self.prices[number]["amount"] * line["quantity"] for number, line in enumerate(lines))
        need(self.total is not None and self.total["amount"] == summed, f"the lines sum up to {summed}")


@dataclass
class Payment(Model):
    """The payment of an order."""

    asked: dict = field(default_factory=dict)
    refunds: dict[str, int] = field(default_factory=dict)
    reserved: dict[str, int] = field(default_factory=dict)
    failed: dict[str, int] = field(default_factory=dict)
    captured: int | None = None

    @property
    def refunded(self) -> int:
        """What was given back in all."""
        return sum(self.refunds.values())

    @property
    def left(self) -> int:
        """What of the captured money is neither given back nor reserved for a refund that waits for the gateway."""
        return (self.captured or 0) - self.refunded - sum(self.reserved.values())

    def PaymentRequested(self, event: dict) -> None:  # noqa: N802
        need(self.status is None, f"the payment is {self.status}")
        self.status, self.asked = "requested", event

    def PaymentAuthorised(self, _: dict) -> None:  # noqa: N802
        need(self.status == "requested", f"the payment is {self.status}")
        self.status = "authorised"

    def PaymentDeclined(self, _: dict) -> None:  # noqa: N802
        need(self.status == "requested", f"the payment is {self.status}")
        self.status = "declined"

    def PaymentCaptured(self, event: dict) -> None:  # noqa: N802
        need(self.status in ("authorised", "capture-failed"), f"the payment is {self.status}")
        self.status, self.captured = "captured", event["amount"]["amount"]
        need(event["amount"] == self.asked["amount"], f"{self.asked['amount']} was asked for")

    def PaymentCaptureFailed(self, event: dict) -> None:  # noqa: N802
        need(self.status == "authorised", f"the payment is {self.status}")
        self.status = "capture-failed"
        need(event["amount"] == self.asked["amount"], f"{self.asked['amount']} was asked for")

    def PaymentVoided(self, _: dict) -> None:  # noqa: N802
        need(self.status in ("requested", "authorised", "capture-failed"), f"the payment is {self.status}")
        self.status = "voided"

    def PaymentRefundRequested(self, event: dict) -> None:  # noqa: N802
        need(self.status == "captured", f"the payment is {self.status}")
        name, amount = event["refund_id"], event["amount"]["amount"]
        need(name not in self.refunds and name not in self.reserved, f"the refund {name} was asked for before")
        before = self.failed.pop(name, amount)
        self.reserved[name] = amount
        need(before == amount, f"the refund {name} was asked for with {before} before")
        need(amount > 0, "nothing is to be given back")
        need(self.left >= 0, f"{self.captured} was captured, {-self.left} less than is given back or reserved")

    def PaymentRefundSettled(self, event: dict) -> None:  # noqa: N802
        need(self.status == "captured", f"the payment is {self.status}")
        name, amount = event["refund_id"], event["amount"]["amount"]
        asked = self.reserved.pop(name, None) or self.failed.pop(name, None)
        need(name not in self.refunds, f"the refund {name} was settled before")
        self.refunds[name] = amount
        need(asked == amount, f"{asked} was asked for as the refund {name}")
        need(event["refunded"]["amount"] == self.refunded, f"{self.refunded} was given back in all")
        need(self.left >= 0, f"{self.captured} was captured, {-self.left} less than is given back or reserved")

    def PaymentRefundFailed(self, event: dict) -> None:  # noqa: N802
        name, amount = event["refund_id"], event["amount"]["amount"]
        asked = self.reserved.pop(name, None)
        need(asked is not None, f"the refund {name} does not wait for the gateway")
        self.failed[name] = amount
        need(asked == amount, f"{asked} was asked for as the refund {name}")

    def PaymentRefunded(self, event: dict) -> None:  # noqa: N802
        need(self.status == "captured", f"the payment is {self.status}")
        need(event["refund_id"] not in self.refunds, f"the refund {event['refund_id']} was made before")
        self.refunds[event["refund_id"]] = event["amount"]["amount"]
        need(event["refunded"]["amount"] == self.refunded, f"{self.refunded} was given back in all")
        need(self.refunded <= (self.captured or 0), f"{self.captured} was captured")

    def glance(self) -> dict:
        amount = self.asked.get("amount", {})
        return {**super().glance(), "left": self.left, "currency": amount.get("currency")}


@dataclass
class Notification(Model):
    """A message to a user."""

    asked: dict = field(default_factory=dict)

    def NotificationRequested(self, event: dict) -> None:  # noqa: N802
        need(self.status is None, f"the notification is {self.status}")
        self.status, self.asked = "requested", event

    def NotificationDelivered(self, _: dict) -> None:  # noqa: N802
        need(self.status == "requested", f"the notification is {self.status}")
        self.status = "delivered"

    def NotificationFailed(self, _: dict) -> None:  # noqa: N802
        need(self.status == "requested", f"the notification is {self.status}")
        self.status = "failed"


@dataclass
class Reservation(Model):
    """The right to an address or a stock-keeping unit; or the one that says whether anything may be reserved."""

    holder: str | None = None
    number: int = 0

    def ReservationMade(self, event: dict) -> None:  # noqa: N802
        need(self.holder in (None, event["holder"]), f"it is held by {self.holder}")
        self.status, self.holder, self.number = "held", event["holder"], self.version

    def ReservationAwaited(self, event: dict) -> None:  # noqa: N802
        need(self.holder not in (None, event["holder"]), f"it is held by {self.holder}")

    def ReservationEnded(self, event: dict) -> None:  # noqa: N802
        held = (self.holder, self.number)
        need(held == (event["holder"], event["number"]), f"it is held by {held}")
        self.status, self.holder = "free", None

    def ReservationsOpened(self, _: dict) -> None:  # noqa: N802
        need(self.status is None, f"it is {self.status}")
        self.status = "open"


def forgo(forgone: dict[str, int], reserved: dict) -> None:
    """Adds a reservation that was not forgone yet."""
    number = forgone.get(reserved["reservation_id"], 0)
    need(reserved["number"] > number, f"it was forgone up to {number} before")
    forgone[reserved["reservation_id"]] = reserved["number"]


MODELS = {
    "users": User,
    "products": Product,
    "orders": Order,
    "payments": Payment,
    "notifications": Notification,
    "reservations": Reservation,
}


def model_of(service: str) -> Model:
    """An aggregate of a service to which nothing has happened."""
    return MODELS[service]()


def folded(service: str, groups) -> Model:
    """The model after all of an aggregate's events; what is illegal is told elsewhere."""
    model = model_of(service)
    for record in (record for group in groups for record in group.records if record.value is not None):
        try:
            model.take(record)
        except Illegal:
            continue
    return model
