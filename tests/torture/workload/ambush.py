"""Many callers who ask one node at one moment, when it may believe what is no longer so: as it wakes, or on the wrong side of a split."""

from __future__ import annotations

import random
import threading

from ..settings import Settings
from .caller import Caller
from .history import History, Operation
from .shop import Asker, Shop

FIRST_NUMBER = 1000


class Ambusher(threading.Thread):
    """Asks one thing, and insists on its node at first."""

    def __init__(self, settings: Settings, number: int, node: str, about: str | None, shop: Shop, history: History):
        super().__init__(name=f"ambusher {number}", daemon=True)
        rng = random.Random(f"{settings.seed}/ambusher/{number}")
        asker = Asker(f"t{settings.seed}", FIRST_NUMBER + number, rng, shop)
        self.operation = surprise(asker, rng, shop) if about is None else question(asker, rng, shop, about)
        actor = FIRST_NUMBER + number if self.operation is None else self.operation.client
        self.caller = Caller(f"client/{actor}", rng, settings.patience, shop.shunned, insists_on=node)
        self.shop, self.history = shop, history

    def run(self) -> None:
        """The one thing."""
        if self.operation is not None:
            self.history.add(self.caller.run(self.operation))
            self.shop.learn(self.operation)


def surprise(asker: Asker, rng: random.Random, shop: Shop) -> Operation | None:
    """Something that only an owner who knows the newest events answers rightly."""
    kind = rng.choice(["cancel-order", "cancel-order", "change-price", "repeat", "receive-stock"])
    with shop.lock:
        orders, products, done = list(shop.orders)[-8:], list(shop.products), list(shop.done)[-12:]
    if kind == "cancel-order" and orders:
        return asker.cancel(rng.choice(orders))
    if kind == "change-price" and products:
        product = rng.choice(products)
        return asker.reprice(product, product.version)
    if kind == "repeat" and done:
        return asker.repeat(rng.choice(done))
    return asker.make("receive-stock")


def question(asker: Asker, rng: random.Random, shop: Shop, about: str) -> Operation | None:
    """Something about the newest of things: who has not heard of it can only refuse. Half of them are things of the service `about`."""
    with shop.lock:
        newest = {"orders": list(shop.orders)[-8:], "users": list(shop.users)[-3:], "payments": list(shop.paid)[-3:]}
    services = [service for service, things in newest.items() if things]
    if not services:
        return None
    service = about if about in services and rng.random() < 0.5 else rng.choice(services)
    ask = {"orders": asker.cancel, "users": asker.rename, "payments": asker.give_back}[service]
    return ask(rng.choice(newest[service]))
