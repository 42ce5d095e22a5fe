"""All of it together: built, watched, brought back, torn down."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable

from ..settings import Settings
from . import layout, network
from .daybook import Node, gateway
from .kafka import Brokers
from .mail import mail_server
from .network import Network
from .postgres import Postgres
from .processes import Process, wait_until


class Cluster:
    """Three nodes (and a fourth that comes and goes), three brokers or one, PostgreSQL, the gateway, and a mail server where one is needed; or one
    node that keeps log and views itself, and the gateway."""

    def __init__(self, settings: Settings):
        self.settings = settings
        self.network = Network()
        self.brokers = Brokers(settings)
        self.postgres = None if settings.embedded else Postgres(settings)
        self.gateway = gateway(settings)
        self.mail = mail_server(settings)
        extra = () if settings.embedded else (layout.EXTRA_NODE,)
        self.nodes = {name: Node(settings, name) for name in (*layout.NODES, *extra)}
        self.notes: Callable[[str, str], None] = lambda what, detail: None
        self.ambush: Callable[[str, str | None], None] = lambda node, about: None
        self.shun: Callable[[set[str]], None] = lambda nodes: None
        self.buy: Callable[[str, str, int], None] = lambda method, address, orders: None
        # What the logs have lost, in its order.
        self.losses: list[dict] = []
        self._restarted: dict[str, float] = {}

    def build(self) -> None:
        """Makes everything and waits until the nodes are ready."""
        self.network.build()
        # The embedded log is to be had on its own machine only.
        network.enter(layout.NODES[0] if self.settings.embedded else layout.CLIENT)
        if self.postgres:
            self.brokers.prepare()
            self.postgres.prepare()
        for process in (*self.brokers.processes.values(), *self._databases()):
            process.start()
        self.gateway.start()
        if self.mail:
            self.mail.start()
        for broker in layout.BROKERS:
            wait_until(f"{broker} listens", 90, lambda broker=broker: listening(broker, layout.KAFKA_PORT))
        if self.postgres:
            wait_until("PostgreSQL listens", 30, lambda: listening(layout.POSTGRES, layout.POSTGRES_PORT))
        wait_until("the gateway listens", 30, lambda: listening(layout.GATEWAY, layout.GATEWAY_PORT))
        if self.mail:
            wait_until("the mail server listens", 30, lambda: listening(layout.MAIL, layout.MAIL_PORT))
        for node in self.nodes.values():
            node.disk.mount()
        self._first_start()

    def _first_start(self) -> None:
        """The first node makes the topics, which needs all brokers to be known; it is started again until they are."""
        first, *others = (self.nodes[name] for name in layout.NODES)
        first.process.start()
        deadline = time.monotonic() + 90
        while not first.ready():
            if time.monotonic() > deadline:
                raise TimeoutError(f"{first.name} is not ready:\n{first.process.tail()}")
            self.supervise()
            time.sleep(0.2)
        for node in others:
            node.process.start()
        self.wait_ready(90)

    def wait_ready(self, within: float) -> None:
        """Waits until every node that should run says that it is ready."""
        deadline = time.monotonic() + within
        while waiting := [name for name in layout.NODES if not self.nodes[name].ready()]:
            if time.monotonic() > deadline:
                raise TimeoutError(f"not ready within {within:.0f} s: {', '.join(waiting)}")
            self.supervise()
            time.sleep(0.2)

    def all_processes(self) -> list[Process]:
        """Every process of the world."""
        nodes = [node.process for node in self.nodes.values()]
        mail = [self.mail] if self.mail else []
        return [*nodes, self.gateway, *mail, *self._databases(), *self.brokers.processes.values()]

    def _databases(self) -> list[Process]:
        return [self.postgres.process] if self.postgres else []

    def pairs(self) -> list[tuple[str, str]]:
        """The pairs of hosts between which the network may fail."""
        return layout.pairs((*([layout.POSTGRES] if self.postgres else []), layout.GATEWAY, *([layout.MAIL] if self.mail else [])))

    def supervise(self) -> None:
        """Starts again what ended by itself, as an operator's supervisor would, and notes that it did."""
        for process in self.all_processes():
            if process.wanted and not process.alive and time.monotonic() - self._restarted.get(process.name, 0) > 1.0:
                self._restarted[process.name] = time.monotonic()
                if process.code is not None:
                    self.notes("ended by itself", f"{process.name} with {process.code}: {process.tail(2)}")
                process.start()

    def hold(self, seconds: float) -> None:
        """Lets time pass, under supervision."""
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            self.supervise()
            time.sleep(min(0.2, left))

    def brokers_back(self) -> None:
        """Waits until every broker listens again."""

        def all_listen() -> bool:
            self.supervise()
            return all(listening(broker, layout.KAFKA_PORT) for broker in layout.BROKERS)

        wait_until("the brokers listen again", 90, all_listen)

    def stop_nodes(self) -> None:
        """Ends the nodes in good order."""
        for node in self.nodes.values():
            node.process.wanted = False
            if node.process.paused:
                node.process.resume()
        for node in self.nodes.values():
            node.process.terminate(15)

    def destroy(self) -> None:
        """Ends every process and takes the disks away."""
        for process in self.all_processes():
            process.kill()
        for disk in [*self.brokers.disks.values(), *(node.disk for node in self.nodes.values())]:
            disk.unmount()


def listening(host: str, port: int) -> bool:
    """Whether somebody listens there."""
    try:
        socket.create_connection((layout.ADDRESSES[host], port), timeout=1).close()
    except OSError:
        return False
    return True
