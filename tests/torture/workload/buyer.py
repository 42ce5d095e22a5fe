"""A customer with a product of its own, who buys it in a way of which something outside will never have its part."""

from __future__ import annotations

import random
import threading

from ..settings import Settings
from .caller import Caller
from .history import ACKED, History, Operation
from .shop import Asker, Known, Shop

FIRST_NUMBER = 5000
PIECES = 10


class Buyer(threading.Thread):
    """Registers, lists and stocks the product, places the orders. Customer and product stay unknown to other clients, so that nothing but the
    gateway or the mail server stands in the way; the orders are known to them, and may be cancelled."""

    def __init__(self, settings: Settings, number: int, method: str, address: str, orders: int, shop: Shop, history: History):
        super().__init__(name=f"buyer {number}", daemon=True)
        rng = random.Random(f"{settings.seed}/buyer/{number}")
        number += FIRST_NUMBER
        self.asker = Asker(f"t{settings.seed}", number, rng, shop)
        self.caller = Caller(f"client/{number}", rng, settings.patience, shop.shunned)
        self.method, self.address, self.orders = method, address, orders
        self.shop, self.history = shop, history

    def run(self) -> None:
        """All of it, as far as each step is acknowledged."""
        user = self._made(self.asker.register(self.address.format(self.name.replace(" ", "-"))))
        product = user and self._made(self.asker.make("list-product"))
        if not user or not product or not self._made(self.asker.stock(product, PIECES)):
            return
        for _ in range(self.orders):
            placed = self._do(self.asker.buy(user, product, self.method))
            self.shop.learn(placed)

    def _made(self, operation: Operation | None) -> Known | None:
        done = operation and self._do(operation)
        return Known(done.last.aggregate or "", done.last.version or 0) if done and done.outcome == ACKED else None

    def _do(self, operation: Operation) -> Operation:
        self.asker.count += 1
        self.history.add(self.caller.run(operation))
        return operation
