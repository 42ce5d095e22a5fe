"""The one broker loses the last records of some logs, as by a power loss before they were on the disk; and everybody else runs on, sleeps
through it, or was away."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from pathlib import Path

from ..evidence.topics import SERVICES
from ..world import layout, segments
from ..world.cluster import Cluster
from .plan import Step

Note = Callable[[str], None]
# How many partitions lose something at once, and how many records at most.
PARTITIONS, RECORDS = 3, 30
# How long a node that slept goes on sleeping when the broker is back, while others take its partitions over and write; its session lasts 6 s.
SLEEPS_ON = 8.0
# How long before a stopped node wakes it is asked what has changed meanwhile.
QUESTIONS_BEFORE = 0.7


def log_tail_lost(cluster: Cluster, step: Step, note: Note) -> None:
    """All nodes run on."""
    _lost(cluster, step, note)


def log_tail_lost_asleep(cluster: Cluster, step: Step, note: Note) -> None:
    """One node is stopped before the records are lost and wakes when the others have written in their places, to a queue of questions."""
    name = step.choose(layout.NODES)
    note(f"SIGSTOP of {name}")
    cluster.nodes[name].process.pause()
    _lost(cluster, step, note)
    cluster.hold(SLEEPS_ON)
    cluster.ambush(name, None)
    cluster.hold(QUESTIONS_BEFORE)
    note(f"SIGCONT of {name}")
    cluster.nodes[name].process.resume()


def log_tail_lost_away(cluster: Cluster, step: Step, note: Note) -> None:
    """One node has ended in good order, with snapshots of what is lost then, and starts when the broker is back."""
    node = cluster.nodes[step.choose(layout.NODES)]
    note(f"SIGTERM of {node.name}")
    node.process.terminate(30)
    _lost(cluster, step, note)
    node.process.start()


def _lost(cluster: Cluster, step: Step, note: Note) -> None:
    broker = layout.BROKERS[0]
    process = cluster.brokers.processes[broker]
    gone = time.time()
    process.kill()
    cluster.hold(step.hold)
    losses = [loss for place, count in _aims(step) if (loss := _cut(cluster.brokers.disks[broker].path, place, count))]
    told = ", ".join(f"{loss['source']} from {loss['first']} to {loss['end']}" for loss in losses)
    note(f"kill -9 of {broker}, which loses {told or 'nothing'}")
    process.start()
    cluster.brokers_back()
    back = time.time()
    cluster.losses += [{**loss, "gone": gone, "back": back} for loss in losses]


def _aims(step: Step) -> list[tuple[tuple[str, int], int]]:
    """Which partitions lose how many records; each service has two."""
    rng = random.Random(f"tail/{step.pick}")
    places = [(service, number) for service in SERVICES for number in range(2)]
    return [(place, rng.randint(1, RECORDS)) for place in rng.sample(places, rng.randint(1, PARTITIONS))]


def _cut(disk: Path, place: tuple[str, int], count: int) -> dict | None:
    """What one partition loses; never more than half of it. None where it has nothing to lose."""
    folder = disk / f"{place[0]}.events-{place[1]}"
    whole = [*segments.batches(segments.newest(folder))]
    if not whole:
        return None
    end = whole[-1].next
    lost = segments.cut(folder, max(end - count, (whole[0].base + end + 1) // 2, whole[0].next))
    if not lost:
        return None
    return {"source": f"{place[0]}/{place[1]}", "first": lost[0].offset, "end": end, "stored": lost}
