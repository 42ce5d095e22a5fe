"""A crowd that works for nobody: callers who send slowly, and readers who wait for what never comes. None of it is an operation; the clients
must not notice it."""

from __future__ import annotations

import contextlib
import random
import socket
import threading

from ..settings import Settings
from ..world import layout

# How many connections each kind holds at a time, in all.
SLOW = 300
WAITING = 200
ANSWER_WITHIN = 8.0
# Sent whole, a head without its body; or a head that never ends.
HEADS = (
    b"POST /users HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{",
    b"POST /users HTTP/1.1\r\nhost: x\r\ncontent-type:",
)
# Past the end of every log.
NEVER = 4_000_000_000


class Crowd(threading.Thread):
    """Opens many connections, again and again, until `halt`. Whatever the nodes answer is right."""

    def __init__(self, settings: Settings, kind: str, halt: threading.Event):
        super().__init__(name=f"crowd {kind}", daemon=True)
        self.rng = random.Random(f"{settings.seed}/crowd/{kind}")
        self.halt, self.kind = halt, kind
        self.partitions = settings.partitions

    def run(self) -> None:
        """Crowd after crowd."""
        count = SLOW if self.kind == "slow" else WAITING
        while not self.halt.is_set():
            crowd = [one for _ in range(count) if (one := self._one()) is not None]
            self.halt.wait(self.rng.uniform(1.0, ANSWER_WITHIN))
            for one in crowd:
                one.close()

    def _one(self) -> socket.socket | None:
        """One connection with a request on it; none where the node does not take it."""
        if self.halt.is_set():
            return None
        with contextlib.suppress(OSError):
            address = layout.ADDRESSES[self.rng.choice(layout.NODES)]
            connection = socket.create_connection((address, layout.HTTP_PORT), timeout=0.2)
            connection.sendall(self._request())
            return connection
        return None

    def _request(self) -> bytes:
        if self.kind == "slow":
            return self.rng.choice(HEADS)
        position = f"orders/{self.rng.randrange(self.partitions)}/{NEVER}"
        return f"GET /orders?limit=1 HTTP/1.1\r\nhost: x\r\nDaybook-At-Least: {position}\r\n\r\n".encode()
