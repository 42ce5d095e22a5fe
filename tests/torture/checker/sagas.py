"""Every saga has ended; money and stock balance; what the gateway did is what the payments' log says, once.

Two things may stand still, and nothing else: the payment of a confirmed order that was placed with a card which the gateway refuses for ever,
and the mail to a user whose address the mail server refuses for ever.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator

from ..workload.stuck import METHODS, is_refused
from .evidence import Evidence, Violation
from .lost import Touched
from .models import Model, folded


def check(evidence: Evidence) -> list[Violation]:
    """What the logs by themselves leave open."""
    shop = Shop(evidence)
    found: list[Violation] = []
    for order_id, order in shop.orders.items():
        if order_id not in shop.touched:
            found += ended(order_id, order, shop)
            found += vouched(order_id, order, shop)
    for product_id, product in shop.products.items():
        found += balanced(product_id, product, shop)
    for payment_id, payment in shop.payments.items():
        if payment_id not in shop.touched:
            found += settled(payment_id, payment, shop)
    for notification_id, notification in shop.notifications.items():
        if notification.status == "requested" and not shop.is_refused(notification) and notification_id not in shop.touched:
            found.append(Violation("saga-open", f"the notification {notification_id} was not delivered", notification_id))
    return found


def tried_on(evidence: Evidence) -> list[str]:
    """What is refused for ever and was not given up yet. A mail that is given up leaves no event: it stands in the dead letters."""
    shop = Shop(evidence)
    given_up = {each["letter"]["aggregate_id"] for each in evidence.letters if each["database"] == "notifications"}
    payments = [f"the payment {id_} is still tried" for id_, payment in shop.payments.items() if shop.may_be_open(payment)]
    mails = [
        f"the notification {id_} is still tried"
        for id_, notification in shop.notifications.items()
        if notification.status == "requested" and shop.is_refused(notification) and id_ not in given_up
    ]
    return payments + mails


class Shop:
    """Everything folded, by id, and what belongs to an order."""

    def __init__(self, evidence: Evidence):
        self._models: dict[str, dict[str, Model]] = defaultdict(dict)
        # What a loss has left half forgotten need not end.
        self.touched = Touched(evidence)
        for aggregate, groups in evidence.log.by_aggregate.items():
            service = groups[0].first.service
            self._models[service][aggregate] = folded(service, groups)
        # How a customer's account answered for each order.
        self.answers = {
            record.value["order_id"]: record.value.get("reason")
            for record in evidence.log.counted("users")
            if record.value and record.type in ("CustomerVouched", "CustomerRefused")
        }
        self.reserved = {
            record.value["order_id"] for record in evidence.log.counted("products") if record.value and record.type == "StockReserved"
        }
        self.payment_of = {payment.asked.get("order_id"): payment for payment in self.payments.values()}
        self.told: dict[str, list] = defaultdict(list)
        for notification in self.notifications.values():
            self.told[notification.asked.get("order_id")].append(notification)
        self.settled: dict[str, Counter] = defaultdict(Counter)
        for record in evidence.log.counted("products"):
            if record.type == "StockShipped" and record.value:
                self.settled[record.value["order_id"]][record.value["line"]] += record.value["quantity"]
        self.addresses: dict[str, list[str]] = defaultdict(list)
        for record in evidence.log.counted("users"):
            if record.value and record.value.get("email"):
                self.addresses[record.key].append(record.value["email"])
        # What a customer may be told of the money of an order, beside how the order ended.
        self.money_events = Counter(
            record.value["order_id"]
            for record in evidence.log.counted("payments")
            if record.value and record.type.startswith(("PaymentRefund", "PaymentCaptureFailed"))
        )

    def is_stuck(self, payment) -> bool:
        """Whether the order was placed with a card that the gateway refuses for ever, and the payment asked for by it."""
        order, method = self.orders.get(payment.asked.get("order_id")), payment.asked.get("method")
        return method in METHODS and order is not None and order.placed.get("payment_method") == method

    def may_be_open(self, payment) -> bool:
        """Whether it is one that may stay authorised: a stuck one, whose order is confirmed."""
        order = self.orders.get(payment.asked.get("order_id"))
        return payment.status == "authorised" and self.is_stuck(payment) and order.status == "confirmed"

    def is_refused(self, notification) -> bool:
        """Whether its user never had another address than one that the mail server refuses for ever."""
        addresses = self.addresses.get(notification.asked.get("user_id"), [])
        return bool(addresses) and all(is_refused(address) for address in addresses)

    orders = property(lambda self: self._models["orders"])
    products = property(lambda self: self._models["products"])
    payments = property(lambda self: self._models["payments"])
    notifications = property(lambda self: self._models["notifications"])
    users = property(lambda self: self._models["users"])


def ended(order_id: str, order, shop: Shop) -> Iterator[Violation]:
    """An order is confirmed, cancelled or expired, and all that follows has been done."""
    if order.status not in ("confirmed", "cancelled", "expired"):
        yield Violation("saga-open", f"the order {order_id} is {order.status}", order_id)
        return
    payment, kind = shop.payment_of.get(order_id), f"order-{order.status}"
    heard = [notification.asked.get("kind") or "" for notification in shop.told.get(order_id, [])]
    told = [each for each in heard if each.startswith("order-")]
    if len(heard) - len(told) > shop.money_events[order_id]:
        text = f"of the money of the order {order_id} {len(heard) - len(told)} things were told ({heard}), {shop.money_events[order_id]} happened"
        yield Violation("told-otherwise", text, order_id)
    if told != [kind]:
        yield Violation(
            "saga-open" if not told else "told-otherwise",
            f"the order {order_id} is {order.status}; its customer was told {told}",
            order_id,
        )
    shipped = shop.settled.get(order_id, Counter())
    if order.status == "confirmed":
        yield from paid(order_id, order, payment, shop)
        wanted = Counter({number: line["quantity"] for number, line in enumerate(order.placed["lines"])})
        if shipped != wanted:
            yield Violation(
                "saga-open", f"of the order {order_id} {dict(shipped)} was shipped, {dict(wanted)} was ordered", order_id
            )
    else:
        yield from unpaid(order_id, order, payment)
        if shipped:
            yield Violation(
                "shipped-unpaid", f"of the order {order_id}, which is {order.status}, {dict(shipped)} was shipped", order_id
            )


def vouched(order_id: str, order, shop: Shop) -> Iterator[Violation]:
    """An order goes as far as its customer's account lets it."""
    if not order.placed.get("awaits_customer"):
        return
    if order_id not in shop.answers:
        yield Violation("saga-open", f"nobody has answered for the customer of the order {order_id}", order_id)
        return
    why = shop.answers[order_id]
    if order.accepted and why is not None:
        yield Violation("answered-otherwise", f"the order {order_id} was accepted, and its customer's account said {why}", order_id)
    if why is None and order.reason in ("unknown-customer", "closed-account"):
        text = f"the order {order_id} is off as of an {order.reason}, and its customer's account vouched for it"
        yield Violation("answered-otherwise", text, order_id)
    if order_id in shop.reserved and not order.accepted:
        yield Violation("reserved-for-nobody", f"stock was reserved for the order {order_id}, which was not accepted", order_id)


def settled(payment_id: str, payment, shop: Shop) -> Iterator[Violation]:
    """A payment waits for nothing, and nothing of it was given up."""
    if payment.status in ("requested", "authorised") and not shop.may_be_open(payment):
        yield Violation("saga-open", f"the payment {payment_id} is {payment.status}", payment_id)
    if payment.status == "capture-failed" and not shop.is_stuck(payment):
        yield Violation("given-up", f"the capture of {payment_id} was given up, and the gateway does not refuse it", payment_id)
    if payment.reserved:
        yield Violation("saga-open", f"refunds of {payment_id} wait for the gateway: {payment.reserved}", payment_id)
    if payment.failed:
        yield Violation("given-up", f"refunds of {payment_id} were given up: {payment.failed}", payment_id)


def paid(order_id: str, order, payment, shop: Shop) -> Iterator[Violation]:
    """A confirmed order was paid for, in full; but by a stuck card it never is, and says so."""
    if payment is not None and shop.is_stuck(payment):
        if payment.status not in ("authorised", "capture-failed"):
            text = (
                f"the confirmed order {order_id} was placed with {payment.asked['method']}, and its payment is {payment.status}"
            )
            yield Violation("done-though-refused", text, order_id)
    elif payment is None or payment.status != "captured":
        status = payment.status if payment else "missing"
        open_ = status in ("requested", "authorised")
        yield Violation(
            "saga-open" if open_ else "confirmed-unpaid", f"the payment of the confirmed order {order_id} is {status}", order_id
        )
    elif payment.captured != order.total["amount"]:
        yield Violation("wrong-amount", f"{payment.captured} was captured for the order {order_id} of {order.total}", order_id)


def unpaid(order_id: str, order, payment) -> Iterator[Violation]:
    """An order that is off keeps no money."""
    if payment is not None and payment.status == "captured" and payment.refunded != payment.captured:
        text = f"the order {order_id} is {order.status}, {payment.captured} was captured and {payment.refunded} given back"
        yield Violation("paid-but-off", text, order_id)


def balanced(product_id: str, product, shop: Shop) -> Iterator[Violation]:
    """Nothing stays reserved, and no piece is missing."""
    kept = {line: pieces for line, pieces in product.open.items() if line[0] not in shop.touched}
    if kept:
        text = f"{sum(kept.values())} pieces of {product_id} are still reserved for {sorted(kept)[:3]}"
        yield Violation("saga-open", text, product_id)
    if product.on_hand < 0:
        yield Violation(
            "stock-negative", f"{product.received} pieces of {product_id} came and {product.shipped} left", product_id
        )


def check_gateway(evidence: Evidence) -> list[Violation]:
    """The gateway's books against the payments' log."""
    shop, books = Shop(evidence), Books(evidence.books)
    payments = shop.payments
    found = [Violation("doubled-at-gateway", text, payment) for payment, text in books.doubled]
    for payment_id in sorted({id_ for id_ in (*books.accounts, *payments) if id_ not in shop.touched}):
        found += agree(payment_id, payments.get(payment_id), books.accounts.get(payment_id, {}), shop)
    return found


class Books:
    """The gateway's books, by payment."""

    def __init__(self, entries: list[dict]):
        self.accounts: dict[str, dict] = defaultdict(dict)
        self.doubled: list[tuple[str, str]] = []
        for entry in entries:
            account, operation = self.accounts[entry["payment"]], entry["operation"]
            key = f"refund {entry['note']}" if operation == "refund" else operation
            if key in account:
                self.doubled.append((entry["payment"], f"the gateway did {key} twice for the payment {entry['payment']}"))
            account[key] = entry["amount"]


def agree(payment_id: str, payment, account: dict, shop: Shop) -> Iterator[Violation]:
    """One payment: the log and the books say the same. Only the hold of a stuck one is never lifted."""
    if payment is None:
        yield Violation("gateway-differs", f"the gateway knows {payment_id}, the log does not", payment_id)
        return
    refunds = {key.removeprefix("refund "): amount for key, amount in account.items() if key.startswith("refund ")}
    nothing_to_pay = payment.asked.get("amount", {}).get("amount") == 0
    if account.get("capture") != payment.captured and not nothing_to_pay:
        yield Violation(
            "gateway-differs",
            f"the log captured {payment.captured} of {payment_id}, the gateway {account.get('capture')}",
            payment_id,
        )
    if refunds != payment.refunds:
        yield Violation(
            "gateway-differs", f"the log refunds {payment.refunds} of {payment_id}, the gateway {refunds}", payment_id
        )
    stuck = shop.is_stuck(payment) and "authorise" in account
    if payment.status == "voided" and "void" not in account and not nothing_to_pay and not stuck:
        yield Violation("gateway-differs", f"{payment_id} is voided, and the gateway does not know", payment_id)
    if "void" in account and payment.status != "voided":
        yield Violation("gateway-differs", f"the gateway voided {payment_id}, the log says {payment.status}", payment_id)
    if payment.status == "declined" and "authorise" in account:
        yield Violation("gateway-differs", f"the gateway holds money for {payment_id}, the log says declined", payment_id)
