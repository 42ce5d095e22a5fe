"""Many clients at once, each a thread with its own chance, until they are told to stop."""

from __future__ import annotations

import contextlib
import queue
import random
import threading
import time

from ..settings import Settings
from .ambush import Ambusher
from .buyer import Buyer
from .caller import Caller
from .crowd import Crowd
from .history import ACKED, History, Operation
from .shop import Asker, Shop

PAUSE = 0.3
LOOKERS = 3
AMBUSHERS = 24
PAGES = {"orders": "/orders/{}", "products": "/products/{}", "users": "/users/{}", "payments": "/payments/{}"}


class Client(threading.Thread):
    """One client. It goes on until `stop`, and ends what it has begun."""

    def __init__(self, settings: Settings, number: int, shop: Shop, history: History, halt: threading.Event, looks: queue.Queue):
        super().__init__(name=f"client {number}", daemon=True)
        self.rng = random.Random(f"{settings.seed}/client/{number}")
        self.caller = Caller(f"client/{number}", self.rng, settings.patience, shop.shunned)
        self.asker = Asker(f"t{settings.seed}", number, self.rng, shop)
        self.shop, self.history, self.halt, self.looks = shop, history, halt, looks

    def run(self) -> None:
        """Operation after operation."""
        while not self.halt.is_set():
            self.do(self.asker.next())
            self.halt.wait(self.rng.expovariate(1 / PAUSE))

    def do(self, operation: Operation) -> Operation:
        """One operation; what became of it is looked at by others, so that a view that hangs holds up no writer."""
        self.caller.run(operation)
        self.history.add(operation)
        self.shop.learn(operation)
        if operation.outcome == ACKED:
            with contextlib.suppress(queue.Full):
                self.looks.put_nowait(operation)
        return operation


class Looker(threading.Thread):
    """Reads what others wrote, and learns which orders were paid."""

    def __init__(self, settings: Settings, number: int, shop: Shop, history: History, halt: threading.Event, looks: queue.Queue):
        super().__init__(name=f"looker {number}", daemon=True)
        self.rng = random.Random(f"{settings.seed}/looker/{number}")
        self.caller = Caller(f"looker/{number}", self.rng, settings.patience, shop.shunned)
        self.shop, self.history, self.halt, self.looks = shop, history, halt, looks

    def run(self) -> None:
        """Look after look."""
        while not self.halt.is_set():
            with contextlib.suppress(queue.Empty):
                self.look(self.looks.get(timeout=0.5))

    def look(self, operation: Operation) -> None:
        """A read that must show what was acknowledged, and another of some older order."""
        last = operation.last
        path = PAGES[operation.service].format(last.aggregate)
        read, _ = self.caller.read(path, last.aggregate or "", last.position or "", last.version or 0)
        self.history.add_read(read)
        order = self.shop.some(self.rng, self.shop.orders)
        if operation.service == "orders" and order is not None:
            _, row = self.caller.read(PAGES["orders"].format(order.id), order.id, "", order.version)
            self.shop.pay(row)


class Workload:
    """All clients."""

    def __init__(self, settings: Settings, history: History):
        self.halt = threading.Event()
        self.history = history
        self.shop = Shop()
        looks: queue.Queue[Operation] = queue.Queue(maxsize=20)
        told = (self.shop, history, self.halt, looks)
        self.clients = [Client(settings, number, *told) for number in range(settings.clients)]
        self.settings = settings
        self.ambushers: list[Ambusher] = []
        self.buyers: list[Buyer] = []
        self.lookers = [Looker(settings, number, *told) for number in range(LOOKERS)]
        self.crowds = [Crowd(settings, kind, self.halt) for kind in ("slow", "waiting")]

    def stock_up(self) -> None:
        """Some users and products to begin with."""
        for client in self.clients[:4]:
            for kind in ("register-user", "list-product", "receive-stock", "register-user", "list-product"):
                client.asker.count += 1
                operation = client.asker.make(kind)
                if operation is not None:
                    client.do(operation)

    def start(self) -> None:
        """Lets them go."""
        for thread in (*self.clients, *self.lookers, *self.crowds):
            thread.start()

    def ambush(self, node: str, about: str | None) -> None:
        """Lets many ask one node at once. `about` names a service whose partition the node takes for its own: then they are questions, half
        of them about that service, which leave no record when they are answered from the past."""
        first = len(self.ambushers)
        fresh = [Ambusher(self.settings, first + n, node, about, self.shop, self.history) for n in range(AMBUSHERS)]
        self.ambushers += fresh
        for thread in fresh:
            thread.start()

    def buy(self, method: str, address: str, orders: int) -> None:
        """Lets a new customer place so many orders, paid by this method. In the address `{}` stands for the customer's name."""
        self.buyers.append(Buyer(self.settings, len(self.buyers), method, address, orders, self.shop, self.history))
        self.buyers[-1].start()

    def shun(self, nodes: set[str]) -> None:
        """From now on nobody but an ambush asks these nodes, as if a balancer had taken them out."""
        self.shop.shunned.clear()
        self.shop.shunned.update(nodes)

    def stop(self, within: float) -> int:
        """Tells them to end what they have begun; how many had not in time."""
        self.halt.set()
        deadline = time.monotonic() + within
        threads = (*self.clients, *self.lookers, *self.ambushers, *self.buyers, *self.crowds)
        for thread in threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        return sum(thread.is_alive() for thread in threads)
