"""The product: its nodes, and the simulated gateway that they share."""

from __future__ import annotations

import http.client
import json
import struct
import subprocess
from pathlib import Path

from ..settings import Settings
from . import layout, mail, postgres
from .disks import Disk
from .processes import Process

CLOCK_SOURCE = Path(__file__).with_name("clock.c")
# What is refused for ever is given up within 36 s, or a minute where each attempt waits 2 s in vain, so that a short run sees it. Nothing else
# may be given up: no fault keeps a node from the gateway or the mail server for longer than 18 s, and so many attempts that wait in vain take
# 42 s at least; no node's disk is full for longer than 12 s, and so many attempts that fail at once take 18 s at least.
EFFECT_ATTEMPTS = 12
EFFECT_LONGEST_PAUSE = 5


class Node:
    """One `daybook run` with all roles, and its own disk."""

    def __init__(self, settings: Settings, name: str):
        self.name = name
        self.disk = Disk(settings.work / "disks" / name, megabytes(settings))
        self.clock = settings.work / f"{name}.clock"
        env = {**environment(settings, name, self.disk.path), **self._clock(settings), **settings.node_env}
        log = settings.work / "logs" / f"{name}.log"
        self.process = Process(name, name, [str(settings.daybook), "run"], log, env=env)

    def _clock(self, settings: Settings) -> dict[str, str]:
        """The wall clock of one node can be moved while it runs; what measures durations is left alone."""
        if self.name != layout.clock_node() or "clock-step" not in settings.kinds:
            return {}
        self.set_clock(0)
        return {"LD_PRELOAD": str(built_clock(settings.work)), "TORTURE_CLOCK": str(self.clock)}

    def set_clock(self, seconds: int) -> None:
        """Steps the node's wall clock to so many seconds before or behind the true one. The file is mapped, so it is written in place."""
        with self.clock.open("r+b" if self.clock.exists() else "w+b", buffering=0) as clock:
            clock.write(struct.pack("=q", seconds))

    def ready(self) -> bool:
        """Whether it says that it is ready."""
        return self.process.alive and not self.process.paused and get(self.name, "/health/ready")[0] == 200


def megabytes(settings: Settings) -> int:
    """The size of a node's disk. On one machine it holds the log and the views too."""
    return 256 + int(48 * settings.minutes) if settings.embedded else 32 + int(8 * settings.minutes)


def built_clock(work: Path) -> Path:
    """The library that steps a program's wall clock."""
    library = work / "clock.so"
    words = ["cc", "-O2", "-shared", "-fPIC", "-o", str(library), str(CLOCK_SOURCE), "-ldl"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(words)}: {done.stderr.strip()}")
    return library


def environment(settings: Settings, name: str, data: Path) -> dict[str, str]:
    """The settings of a node."""
    address = layout.ADDRESSES[name]
    return {
        "DAYBOOK_NAME": name,
        "DAYBOOK_HTTP": f"{address}:{layout.HTTP_PORT}",
        "DAYBOOK_NODE": f"{address}:{layout.NODE_PORT}",
        "DAYBOOK_OPEN": "i-know",
        "DAYBOOK_DATA": str(data),
        "DAYBOOK_PARTITIONS": str(settings.partitions),
        **({} if settings.embedded else shared_parts()),
        "DAYBOOK_GATEWAY_URL": f"http://{layout.ADDRESSES[layout.GATEWAY]}:{layout.GATEWAY_PORT}",
        "DAYBOOK_ORDER_DEADLINE": str(settings.order_deadline),
        "DAYBOOK_EFFECT_ATTEMPTS": str(EFFECT_ATTEMPTS),
        "DAYBOOK_EFFECT_LONGEST_PAUSE": str(EFFECT_LONGEST_PAUSE),
        **mail.environment(settings),
        "NO_COLOR": "1",
    }


def shared_parts() -> dict[str, str]:
    """Where the brokers and PostgreSQL are. A node that is not told keeps its log and its views itself."""
    return {
        "DAYBOOK_KAFKA": layout.bootstrap(),
        "DAYBOOK_REPLICATION": "3" if len(layout.BROKERS) > 1 else "1",
        "DAYBOOK_MIN_INSYNC": "2" if len(layout.BROKERS) > 1 else "1",
        "DAYBOOK_POSTGRES": postgres.url(),
    }


def gateway(settings: Settings) -> Process:
    """The payment gateway, with its books on paper."""
    listens = f"{layout.ADDRESSES[layout.GATEWAY]}:{layout.GATEWAY_PORT}"
    words = [str(settings.daybook), "gateway", "--http", listens, "--books", str(settings.work / "gateway.jsonl")]
    return Process(layout.GATEWAY, layout.GATEWAY, words, settings.work / "logs" / "gateway.log", env={"NO_COLOR": "1"})


def get(node: str, path: str, within: float = 2.0) -> tuple[int, object]:
    """Asks a node; status 0 when it does not answer."""
    connection = http.client.HTTPConnection(layout.ADDRESSES[node], layout.HTTP_PORT, timeout=within)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read() or b"null")
    except (OSError, http.client.HTTPException, ValueError):
        return 0, None
    finally:
        connection.close()
