"""Three Apache Kafka brokers, or one (each a controller too), from the jars and settings of `stack/kafka`, on hosts of their own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

from ..settings import ROOT, Settings, cache_directory
from . import layout
from .disks import Disk
from .processes import Process

# A broker's death is noticed sooner than by default, and leadership returns sooner, so that a fault's hold need not be minutes; records carry the
# time at which the leader took them, which is the clock that the checker compares with the clients'.
EXTRA = """
broker.session.timeout.ms=6000
broker.heartbeat.interval.ms=1000
replica.lag.time.max.ms=10000
log.message.timestamp.type=LogAppendTime
log.segment.bytes=67108864
leader.imbalance.check.interval.seconds=10
leader.imbalance.per.broker.percentage=0
"""


class Brokers:
    """The cluster."""

    def __init__(self, settings: Settings):
        self.folder = settings.work / "kafka"
        megabytes = 512 + int(24 * settings.minutes)
        self.disks = {name: Disk(settings.work / "disks" / name, megabytes) for name in layout.BROKERS}
        self.processes = {name: self._process(settings, name) for name in layout.BROKERS}

    def _process(self, settings: Settings, name: str) -> Process:
        libs = cache_directory() / f"kafka-{version()}" / "libs"
        java = ["java", "-Xms128m", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp", f"{libs}/*"]
        words = [*java, "kafka.Kafka", str(self.folder / f"{name}.properties")]
        return Process(name, name, words, settings.work / "logs" / f"{name}.log")

    def prepare(self) -> None:
        """Fetches the jars where they are missing, formats the logs, and moves them onto disks that can be filled."""
        words = [str(ROOT / "stack" / "kafka"), "init", str(len(layout.BROKERS))]
        done = subprocess.run(words, env={**os.environ, "D": str(self.folder)}, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise RuntimeError(f"{' '.join(words)}: {done.stderr.strip()}")
        for number, name in enumerate(layout.BROKERS, 1):
            disk = self.disks[name]
            disk.mount()
            shutil.copytree(self.folder / f"kafka-{number}", disk.path, dirs_exist_ok=True)
            given = (self.folder / f"kafka-{number}.properties").read_text()
            (self.folder / f"{name}.properties").write_text(placed(given, name, disk.path))

    def controller(self) -> str | None:
        """The broker that leads the controllers, as the live brokers last heard."""
        heard = [state for name in layout.BROKERS if (state := self._quorum(name)) is not None]
        newest = max(heard, key=lambda state: state["leaderEpoch"], default=None)
        leader = newest["leaderId"] if newest else -1
        return layout.BROKERS[leader - 1] if leader > 0 else None

    def _quorum(self, name: str) -> dict | None:
        if not self.processes[name].alive:
            return None
        try:
            return json.loads((self.disks[name].path / "__cluster_metadata-0" / "quorum-state").read_text())
        except (OSError, ValueError):
            return None


def placed(given: str, name: str, logs: Path) -> str:
    """The stack's settings of a broker, moved to its host and its disk."""
    address = layout.ADDRESSES[name]
    plain, controller = f"PLAINTEXT://{address}:{layout.KAFKA_PORT}", f"CONTROLLER://{address}:{layout.CONTROLLER_PORT}"
    voters = ",".join(f"{i}@{layout.ADDRESSES[broker]}:{layout.CONTROLLER_PORT}" for i, broker in enumerate(layout.BROKERS, 1))
    ours = {
        "listeners": f"{plain},{controller}",
        "advertised.listeners": plain,
        "controller.quorum.voters": voters,
        "log.dirs": str(logs),
    }
    kept = [line for line in given.splitlines() if line.split("=")[0] not in ours]
    return "\n".join([*kept, *(f"{key}={value}" for key, value in ours.items())]) + EXTRA


def version() -> str:
    """Kafka's version, which the stack says."""
    lines = (ROOT / "stack" / "versions").read_text().splitlines()
    return next(line.split("=")[1] for line in lines if line.startswith("KAFKA_VERSION="))
