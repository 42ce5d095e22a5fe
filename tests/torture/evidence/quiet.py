"""Waiting until everything has come to rest: nothing is appended any more, every reader stands at the end, every saga has ended."""

from __future__ import annotations

import time
from collections.abc import Callable

import psycopg
from confluent_kafka import KafkaException

from ..checker import sagas
from ..checker.evidence import Evidence, log_of
from ..world.cluster import Cluster
from . import tables
from .topics import Reader


def wait(cluster: Cluster, reader: Reader, say: Callable[[str], None]) -> tuple[list[str], float]:
    """Waits for quiet; answers what was not quiet in time, and the seconds that it took."""
    begun = time.monotonic()
    deadline = begun + cluster.settings.quiet_within
    told = begun
    while True:
        late = look(reader)
        if not late or time.monotonic() > deadline:
            return late, time.monotonic() - begun
        if time.monotonic() - told > 15:
            told = time.monotonic()
            say(f"  not quiet yet: {late[0]}" + (f" (and {len(late) - 1} more)" if len(late) > 1 else ""))
        cluster.hold(1.0)


def look(reader: Reader) -> list[str]:
    """What is not at rest now."""
    try:
        ends = reader.read_to_end(20)
        late = tables.behind(ends, tables.checkpoints())
    except (psycopg.Error, TimeoutError, KafkaException) as error:
        return [f"{type(error).__name__}: {error}"]
    if late:
        return late
    evidence = Evidence(log=log_of(reader.records))
    return [violation.text for violation in sagas.check(evidence)]
