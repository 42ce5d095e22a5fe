"""A careful client: one connection to each node, the same key at every attempt, another node when one fails, bounded."""

from __future__ import annotations

import http.client
import json
import random
import socket
import time

from ..world import layout
from .history import ACKED, REFUSED, UNKNOWN, Attempt, Operation, Read

CONNECT_WITHIN = 2.0
ANSWER_WITHIN = 12.0


class Caller:
    """One client's way to the nodes. Not shared between threads."""

    def __init__(self, actor: str, rng: random.Random, patience: float, shunned: set[str], insists_on: str | None = None):
        self.actor, self.rng, self.patience, self.shunned = actor, rng, patience, shunned
        self.insists = insists_on is not None
        self.node = insists_on or rng.choice(layout.NODES)
        self._connections: dict[str, http.client.HTTPConnection] = {}

    def run(self, operation: Operation) -> Operation:
        """Asks until there is an answer that says what became of it, or until patience ends."""
        give_up = time.time() + self.patience
        self._avoid()
        while True:
            attempt, retry_after = self._attempt(operation)
            operation.attempts.append(attempt)
            if 200 <= attempt.status < 300:
                operation.outcome = ACKED
                return operation
            if 400 <= attempt.status < 500 and attempt.status != 408:
                operation.outcome = REFUSED
                return operation
            if time.time() + retry_after > give_up:
                operation.outcome = UNKNOWN
                return operation
            self._turn_to_another()
            time.sleep(retry_after)

    def _avoid(self) -> None:
        if self.node in self.shunned and not self.insists:
            self._turn_to_another()

    def _turn_to_another(self) -> None:
        others = [node for node in layout.NODES if node != self.node and node not in self.shunned]
        self.node = self.rng.choice(others or layout.NODES)

    def _attempt(self, operation: Operation) -> tuple[Attempt, float]:
        attempt = Attempt(node=self.node, start=time.time())
        headers = {
            "content-type": "application/json",
            "Idempotency-Key": operation.key,
            "Daybook-Actor": self.actor,
            "Daybook-Correlation": operation.id,
        }
        if operation.if_match is not None:
            headers["If-Match"] = f'"{operation.if_match}"'
        pause = self.rng.uniform(0.2, 0.6)
        try:
            answer, said = self._send("POST", operation.path, json.dumps(operation.body), headers, attempt)
            attempt.status = answer.status
            take(attempt, answer, said)
            pause = min(float(answer.getheader("Retry-After") or pause), 1.0) * self.rng.uniform(0.5, 1.0)
        except (OSError, http.client.HTTPException, ValueError) as error:
            attempt.error = f"{type(error).__name__}: {error}"
            self._forget(self.node)
        attempt.end = time.time()
        return attempt, pause

    def _send(self, method: str, path: str, body: str | None, headers: dict, attempt: Attempt):
        connection = self._connection(attempt)
        connection.request(method, path, body=body, headers=headers)
        answer = connection.getresponse()
        text = answer.read()
        if answer.getheader("connection", "").lower() == "close":
            self._forget(self.node)
        return answer, json.loads(text) if text else {}

    def _connection(self, attempt: Attempt) -> http.client.HTTPConnection:
        known = self._connections.get(self.node)
        if known is not None:
            return known
        attempt.sent = False
        address = layout.ADDRESSES[self.node]
        connection = http.client.HTTPConnection(address, layout.HTTP_PORT, timeout=ANSWER_WITHIN)
        connection.sock = socket.create_connection((address, layout.HTTP_PORT), timeout=CONNECT_WITHIN)
        connection.sock.settimeout(ANSWER_WITHIN)
        connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._connections[self.node] = connection
        attempt.sent = True
        return connection

    def _forget(self, node: str) -> None:
        known = self._connections.pop(node, None)
        if known is not None:
            known.close()

    def read(self, path: str, aggregate: str, position: str, at_least: int) -> tuple[Read, dict]:
        """A GET that must see what was acknowledged."""
        self._avoid()
        read = Read(path=path, aggregate=aggregate, position=position, at_least=at_least, node=self.node, start=time.time())
        row: dict = {}
        try:
            headers = {"Daybook-At-Least": position} if position else {}
            answer, row = self._send("GET", path, None, headers, Attempt(self.node, read.start))
            read.status = answer.status
            read.version = row.get("version") if answer.status == 200 else None
        except (OSError, http.client.HTTPException, ValueError):
            self._forget(self.node)
            self._turn_to_another()
        read.end = time.time()
        return read, row if read.status == 200 else {}


def take(attempt: Attempt, answer: http.client.HTTPResponse, said: dict) -> None:
    """Keeps of an answer what the checker needs."""
    if answer.status < 300:
        attempt.version, attempt.aggregate = said.get("version"), said.get("id")
        attempt.position = answer.getheader("Daybook-Position")
        attempt.replayed = answer.getheader("Idempotency-Replayed") == "true"
    else:
        attempt.code = str(said.get("type", "")).rsplit(":", 1)[-1]
        attempt.error = str(said.get("detail", ""))[:200]
