"""Waiting until everything has come to rest: nothing is appended any more, every reader stands at the end, every saga has ended, and what
is refused for ever is given up."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from confluent_kafka import KafkaException

from ..checker import sagas
from ..checker.evidence import Evidence, log_of, losses_of
from ..world.cluster import Cluster
from . import letters, tables
from .topics import Reader

# How often everything is read again at most because something changed meanwhile.
DUMPS = 10


def wait(cluster: Cluster, reader: Reader, say: Callable[[str], None]) -> tuple[list[str], float]:
    """Waits for quiet; answers what was not quiet in time, and the seconds that it took. What is refused for ever and still tried is waited
    for too, and disturbs the quiet no longer when the time is over."""
    begun = told = time.monotonic()
    losses: list[dict] = []
    rested: float | None = None
    while True:
        losses = losses or reader.lost(cluster.losses)
        late, tried = look(reader, losses)
        now = time.monotonic()
        rested = None if late else rested or now
        if (rested and not tried) or now > begun + cluster.settings.quiet_within:
            return late, (rested or now) - begun
        if now - told > 15:
            told, waiting = now, late or tried
            say(f"  not quiet yet: {waiting[0]}" + (f" (and {len(waiting) - 1} more)" if len(waiting) > 1 else ""))
        cluster.hold(1.0)


def dump(reader: Reader, folder: Path, stamped: Callable[[dict], dict]) -> None:
    """Writes logs, tables and dead letters as of one moment: when what is still tried adds a record meanwhile, they are read again."""
    for _ in range(DUMPS):
        ends = reader.read_to_end()
        late = tables.behind(ends, tables.checkpoints())
        tables.dump(folder / "tables.jsonl")
        letters.dump(folder / "letters.jsonl")
        if reader.read_to_end() == ends and not late:
            break
        time.sleep(0.5)
    reader.write(folder / "records.jsonl", stamped)


def look(reader: Reader, losses: list[dict]) -> tuple[list[str], list[str]]:
    """What is not at rest now, and what is refused for ever and still tried."""
    try:
        ends = reader.read_to_end(20)
        late = tables.behind(ends, tables.checkpoints())
        dead, put_by = [*letters.letters()], tables.put_by()
    except (*tables.UNREACHABLE, TimeoutError, KafkaException) as error:
        return [f"{type(error).__name__}: {error}"], []
    if late:
        return late, []
    evidence = Evidence(log=log_of(reader.records), letters=dead, losses=losses_of(reader.records, losses))
    return [violation.text for violation in sagas.check(evidence)], sagas.tried_on(evidence) + put_by
