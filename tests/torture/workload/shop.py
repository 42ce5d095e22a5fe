"""What the clients do in the shop: each kind of operation, drawn by weight, on what the shop is known to hold."""

from __future__ import annotations

import random
import threading
from collections import deque
from dataclasses import dataclass

from .history import ACKED, Operation

WEIGHTS = {
    "place-order": 40,
    "receive-stock": 12,
    "cancel-order": 11,
    "refund": 8,
    "register-user": 6,
    "change-profile": 5,
    "change-price": 5,
    "list-product": 2,
    "take-address": 3,
    "move-address": 2,
    "take-unit": 1,
    "repeat": 4,
    "reuse-key": 2,
    "unknown-thing": 2,
    "invalid": 1,
    "close-user": 1,
    "withdraw-product": 0.4,
}
METHODS = ["card"] * 8 + ["invoice"] * 3 + ["card-declined"] * 3 + ["card-slow", "card-flaky", "card-forgetful", "beads"]
NOWHERE = "00000000-0000-4000-8000-00000000{:04x}"
# How many of the orders name a customer whom nobody has registered.
NOBODY = 0.03


@dataclass
class Known:
    """An aggregate that a client has made, and the version that was heard of last."""

    id: str
    version: int
    payment: str | None = None
    name: str = ""
    total: int = 0


class Shop:
    """What all clients know together. It is a memory of answers, not a model: it may be behind, and that is wanted."""

    def __init__(self) -> None:
        self.users: deque[Known] = deque(maxlen=60)
        self.products: deque[Known] = deque(maxlen=12)
        self.orders: deque[Known] = deque(maxlen=40)
        self.paid: deque[Known] = deque(maxlen=80)
        self.done: deque[Operation] = deque(maxlen=200)
        self.shunned: set[str] = set()
        self.lock = threading.Lock()

    def some(self, rng: random.Random, things: deque):
        """One of them, none when there is none."""
        with self.lock:
            return rng.choice(things) if things else None

    def own(self, rng: random.Random, client: int) -> Operation | None:
        """One of the client's own operations that left records."""
        with self.lock:
            own = [operation for operation in self.done if operation.client == client]
        return rng.choice(own) if own else None

    def learn(self, operation: Operation) -> None:
        """Remembers what an acknowledged operation made."""
        if operation.outcome != ACKED or operation.again is not None:
            return
        name = operation.body.get("email") or operation.body.get("sku") or ""
        made = Known(operation.last.aggregate or "", operation.last.version or 0, name=name)
        with self.lock:
            shelf = {"register-user": self.users, "list-product": self.products, "place-order": self.orders}.get(operation.kind)
            if shelf is not None:
                shelf.append(made)
            if shelf is not None or operation.kind == "receive-stock":
                self.done.append(operation)
            for known in self.products:
                known.version = max(known.version, made.version) if known.id == made.id else known.version

    def pay(self, order: dict) -> None:
        """Remembers the payment of an order that was read as confirmed."""
        if order.get("status") == "confirmed" and order.get("payment_id"):
            with self.lock:
                self.paid.append(Known(order["payment_id"], 0, total=order["total"]["amount"]))


class Asker:
    """Makes one client's next operation."""

    def __init__(self, run: str, client: int, rng: random.Random, shop: Shop):
        self.run, self.client, self.rng, self.shop = run, client, rng, shop
        self.count = 0

    def next(self) -> Operation:
        """The next one; where the shop has nothing to do it on, something that makes it fuller."""
        kind = self.rng.choices(list(WEIGHTS), list(WEIGHTS.values()))[0]
        self.count += 1
        return self.make(kind) or (self._list_product() if len(self.shop.products) < 4 else self._register_user())

    def make(self, kind: str) -> Operation | None:
        """An operation of that kind, none when the shop holds nothing for it."""
        return getattr(self, "_" + kind.replace("-", "_"))()

    def _operation(self, kind: str, service: str, path: str, body: dict, aggregate: str | None = None, **more) -> Operation:
        name = f"{self.run}-{self.client}-{self.count}"
        return Operation(name, self.client, kind, service, path, body, more.pop("key", name), aggregate, **more)

    def _register_user(self) -> Operation:
        return self.register(f"u{self.client}-{self.count}@example.com")

    def register(self, email: str) -> Operation:
        """A new customer with this address."""
        body = {"email": email, "name": f"User {email.split('@')[0]}"}
        return self._operation("register-user", "users", "/users", body)

    def _take_address(self) -> Operation | None:
        """A registration with the address of somebody else, or with one that others want at the same time."""
        other = self.shop.some(self.rng, self.shop.users) if self.rng.random() < 0.5 else None
        return self.register(self._spelled(other.name) if other and other.name else self._wanted_address())

    def _move_address(self) -> Operation | None:
        user = self.shop.some(self.rng, self.shop.users)
        if user is None:
            return None
        body = {"email": self._wanted_address()}
        return self._operation("change-profile", "users", f"/users/{user.id}/profile-changes", body, user.id)

    def _wanted_address(self) -> str:
        return self._spelled(f"race{self.rng.randint(0, 24)}@example.com")

    def _spelled(self, text: str) -> str:
        """In capitals or not."""
        return self.rng.choice([text, text.upper(), text.capitalize()])

    def _take_unit(self) -> Operation:
        return self._list(self._spelled(f"race{self.rng.randint(0, 5)}"))

    def _change_profile(self) -> Operation | None:
        user = self.shop.some(self.rng, self.shop.users)
        return user and self.rename(user)

    def rename(self, user: Known) -> Operation:
        """Another name or address, or perhaps the same."""
        body = self.rng.choice([{"address": f"{self.rng.randint(1, 3)} Lane"}, {"name": f"Name {self.rng.randint(1, 3)}"}])
        return self._operation("change-profile", "users", f"/users/{user.id}/profile-changes", body, user.id)

    def _close_user(self) -> Operation | None:
        user = self.shop.some(self.rng, self.shop.users)
        return user and self._operation("close-user", "users", f"/users/{user.id}/closure", {"reason": "done"}, user.id)

    def _list_product(self) -> Operation:
        return self._list(f"S{self.client}-{self.count}")

    def _list(self, sku: str) -> Operation:
        price = {"amount": self.rng.randint(100, 5000), "currency": "GBP"}
        body = {"sku": sku, "name": f"Thing {self.client}-{self.count}", "price": price}
        return self._operation("list-product", "products", "/products", body)

    def _change_price(self) -> Operation | None:
        product = self.shop.some(self.rng, self.shop.products)
        return product and self.reprice(product, product.version if self.rng.random() < 0.4 else None)

    def reprice(self, product: Known, seen: int | None) -> Operation:
        """Another price; where a version was seen, only if it still is that one."""
        body = {"price": {"amount": self.rng.randint(100, 5000), "currency": self.rng.choice(["GBP"] * 9 + ["EUR"])}}
        path = f"/products/{product.id}/price-changes"
        return self._operation("change-price", "products", path, body, product.id, if_match=seen)

    def _receive_stock(self) -> Operation | None:
        product = self.shop.some(self.rng, self.shop.products)
        return product and self.stock(product, self.rng.randint(10, 120))

    def stock(self, product: Known, quantity: int) -> Operation:
        """Pieces come."""
        path = f"/products/{product.id}/stock-receipts"
        return self._operation("receive-stock", "products", path, {"quantity": quantity}, product.id)

    def _withdraw_product(self) -> Operation | None:
        product = self.shop.some(self.rng, self.shop.products) if len(self.shop.products) > 4 else None
        return product and self._operation("withdraw-product", "products", f"/products/{product.id}/withdrawal", {}, product.id)

    def _place_order(self) -> Operation | None:
        user = self.shop.some(self.rng, self.shop.users)
        wanted = [self.shop.some(self.rng, self.shop.products) for _ in range(self.rng.choice([1, 1, 2, 3]))]
        if user is None or None in wanted:
            return None
        lines = [{"product_id": product.id, "quantity": self.rng.randint(1, 5)} for product in wanted]
        # Now and then somebody mistypes the customer: the order must end without stock or money.
        whose = NOWHERE.format(self.rng.randint(0, 0xFFFF)) if self.rng.random() < NOBODY else user.id
        body = {"user_id": whose, "lines": lines, "payment": {"method": self.rng.choice(METHODS)}}
        return self._operation("place-order", "orders", "/orders", body)

    def buy(self, user: Known, product: Known, method: str) -> Operation:
        """An order of one piece."""
        lines = [{"product_id": product.id, "quantity": 1}]
        body = {"user_id": user.id, "lines": lines, "payment": {"method": method}}
        return self._operation("place-order", "orders", "/orders", body)

    def _cancel_order(self) -> Operation | None:
        order = self.shop.some(self.rng, self.shop.orders)
        return order and self.cancel(order)

    def cancel(self, order: Known) -> Operation:
        """Wants an order no more."""
        body = {"reason": f"changed my mind {self.client}-{self.count}"}
        return self._operation("cancel-order", "orders", f"/orders/{order.id}/cancellation", body, order.id)

    def _refund(self) -> Operation | None:
        paid = self.shop.some(self.rng, self.shop.paid)
        return paid and self.give_back(paid)

    def give_back(self, paid: Known) -> Operation:
        """Some of what was paid, perhaps more than is left."""
        amount = self.rng.choice([self.rng.randint(1, max(1, paid.total)), max(1, paid.total // 3)])
        body = {"amount": {"amount": amount, "currency": "GBP"}}
        return self._operation("refund", "payments", f"/payments/{paid.id}/refunds", body, paid.id)

    def _repeat(self) -> Operation | None:
        first = self.shop.own(self.rng, self.client)
        return first and self.repeat(first)

    def repeat(self, first: Operation) -> Operation:
        """The same command under the same key, by the same caller, long after: it must get the first answer."""
        again = self._operation("repeat", first.service, first.path, first.body, first.aggregate, key=first.key, again=first.id)
        again.client = first.client
        return again

    def _reuse_key(self) -> Operation | None:
        """Another command under a key that was used: it must be refused."""
        first = self.shop.own(self.rng, self.client)
        if first is None or first.kind != "receive-stock":
            return None
        body = {"quantity": first.body["quantity"] + 1}
        return self._operation("reuse-key", first.service, first.path, body, first.aggregate, key=first.key, again=first.id)

    def _unknown_thing(self) -> Operation:
        nowhere = NOWHERE.format(self.rng.randint(0, 0xFFFF))
        choices: list[tuple[str, str, dict]] = [
            ("orders", f"/orders/{nowhere}/cancellation", {"reason": "no such order"}),
            ("products", f"/products/{nowhere}/stock-receipts", {"quantity": 1}),
            ("users", f"/users/{nowhere}/profile-changes", {"name": "Nobody"}),
            ("payments", f"/payments/{nowhere}/refunds", {"amount": {"amount": 1, "currency": "GBP"}}),
        ]
        service, path, body = self.rng.choice(choices)
        return self._operation("unknown-thing", service, path, body, nowhere)

    def _invalid(self) -> Operation | None:
        product = self.shop.some(self.rng, self.shop.products)
        return product and self._operation(
            "invalid", "products", f"/products/{product.id}/stock-receipts", {"quantity": 0}, product.id
        )
