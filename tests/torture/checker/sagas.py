"""Every saga has ended; money and stock balance; what the gateway did is what the payments' log says, once."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator

from .evidence import Evidence, Violation
from .models import Model, folded


def check(evidence: Evidence) -> list[Violation]:
    """What the logs by themselves leave open."""
    shop = Shop(evidence)
    found: list[Violation] = []
    for order_id, order in shop.orders.items():
        found += ended(order_id, order, shop)
    for product_id, product in shop.products.items():
        found += balanced(product_id, product)
    for payment_id, payment in shop.payments.items():
        if payment.status in ("requested", "authorised"):
            found.append(Violation("saga-open", f"the payment {payment_id} is {payment.status}", payment_id))
    for notification_id, notification in shop.notifications.items():
        if notification.status == "requested":
            found.append(Violation("saga-open", f"the notification {notification_id} was not delivered", notification_id))
    return found


class Shop:
    """Everything folded, by id, and what belongs to an order."""

    def __init__(self, evidence: Evidence):
        self._models: dict[str, dict[str, Model]] = defaultdict(dict)
        for aggregate, groups in evidence.log.by_aggregate.items():
            service = groups[0].first.service
            self._models[service][aggregate] = folded(service, groups)
        self.payment_of = {payment.asked.get("order_id"): payment for payment in self.payments.values()}
        self.told: dict[str, list] = defaultdict(list)
        for notification in self.notifications.values():
            self.told[notification.asked.get("order_id")].append(notification)
        self.settled: dict[str, Counter] = defaultdict(Counter)
        for record in evidence.log.counted("products"):
            if record.type == "StockShipped" and record.value:
                self.settled[record.value["order_id"]][record.value["line"]] += record.value["quantity"]

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
    told = [notification.asked.get("kind") for notification in shop.told.get(order_id, [])]
    if told != [kind]:
        yield Violation(
            "saga-open" if not told else "told-otherwise",
            f"the order {order_id} is {order.status}; its customer was told {told}",
            order_id,
        )
    shipped = shop.settled.get(order_id, Counter())
    if order.status == "confirmed":
        yield from paid(order_id, order, payment)
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


def paid(order_id: str, order, payment) -> Iterator[Violation]:
    """A confirmed order was paid for, in full."""
    if payment is None or payment.status != "captured":
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


def balanced(product_id: str, product) -> Iterator[Violation]:
    """Nothing stays reserved, and no piece is missing."""
    if product.open:
        yield Violation(
            "saga-open",
            f"{product.reserved} pieces of {product_id} are still reserved for {sorted(product.open)[:3]}",
            product_id,
        )
    if product.on_hand < 0:
        yield Violation(
            "stock-negative", f"{product.received} pieces of {product_id} came and {product.shipped} left", product_id
        )


def check_gateway(evidence: Evidence) -> list[Violation]:
    """The gateway's books against the payments' log."""
    payments, books = Shop(evidence).payments, Books(evidence.books)
    found = [Violation("doubled-at-gateway", text, payment) for payment, text in books.doubled]
    for payment_id in sorted({*books.accounts, *payments}):
        found += agree(payment_id, payments.get(payment_id), books.accounts.get(payment_id, {}))
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


def agree(payment_id: str, payment, account: dict) -> Iterator[Violation]:
    """One payment: the log and the books say the same."""
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
    if payment.status == "voided" and "void" not in account and not nothing_to_pay:
        yield Violation("gateway-differs", f"{payment_id} is voided, and the gateway does not know", payment_id)
    if "void" in account and payment.status != "voided":
        yield Violation("gateway-differs", f"the gateway voided {payment_id}, the log says {payment.status}", payment_id)
    if payment.status == "declined" and "authorise" in account:
        yield Violation("gateway-differs", f"the gateway holds money for {payment_id}, the log says declined", payment_id)
