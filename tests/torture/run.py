"""One run from beginning to end: build, work and break, mend, wait for quiet, gather the evidence."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable
from pathlib import Path

from .evidence import mails, quiet, tables
from .evidence.ends import Ends
from .evidence.topics import Reader
from .nemesis.nemesis import Nemesis
from .settings import Settings
from .workload.clients import Workload
from .workload.history import History
from .world import layout
from .world.cluster import Cluster

Say = Callable[[str], None]
SHORT_WORKLOAD = 95.0


def run(settings: Settings, say: Say) -> Path:
    """Does it all; answers the folder of the evidence. Whatever happens, nothing is left running."""
    folder = settings.work / "evidence"
    for path in (folder, settings.work / "logs", settings.work / "disks"):
        path.mkdir(parents=True, exist_ok=True)
    cluster = Cluster(settings)
    if settings.embedded:
        tables.in_files(cluster.nodes[layout.NODES[0]].disk.path / "views")
    begun = time.monotonic()
    try:
        cluster.build()
        say(f"ready after {time.monotonic() - begun:.0f} s; seed {settings.seed}; faults: {', '.join(settings.kinds)}")
        ends = Ends(settings.partitions)
        if settings.embedded:
            ends.start()
        facts = work_and_break(settings, cluster, folder, say)
        gather(settings, cluster, folder, facts, ends, say)
    finally:
        cluster.destroy()
    return folder


def work_and_break(settings: Settings, cluster: Cluster, folder: Path, say: Say) -> dict:
    """The workload under faults; answers what is worth knowing of it."""
    history = History(folder)
    nemesis = Nemesis(settings, cluster, folder, say)
    workload = Workload(settings, history)
    cluster.ambush, cluster.shun, cluster.buy = workload.ambush, workload.shun, workload.buy
    begun = time.monotonic()
    workload.stock_up()
    workload.start()
    try:
        nemesis.run(begun + (SHORT_WORKLOAD if settings.short else settings.minutes * 60))
    finally:
        nemesis.close()
    left = workload.stop(settings.patience + 15)
    history.close()
    if left:
        raise RuntimeError(f"{left} clients did not end")
    say(f"mended; {sum(history.counts.values())} operations: {history.counts}")
    return {"embedded": settings.embedded, "seed": settings.seed, "kinds": settings.kinds, "workload_seconds": time.monotonic() - begun}


def gather(settings: Settings, cluster: Cluster, folder: Path, facts: dict, ends: Ends, say: Say) -> None:
    """Waits for quiet and writes down what is there then."""
    reader = Reader(settings.partitions)
    try:
        late, seconds = quiet.wait(cluster, reader, say)
        say(f"quiet after {seconds:.0f} s" if not late else f"NOT quiet after {seconds:.0f} s: {late[0]}")
        if settings.embedded:
            ends.stop()
        quiet.dump(reader, folder, ends.stamped if settings.embedded else dict)
        (folder / "losses.jsonl").write_text("".join(json.dumps(loss) + "\n" for loss in reader.lost(cluster.losses)))
    finally:
        reader.close()
    cluster.stop_nodes()
    facts |= mails.dump(cluster, folder / "mails.jsonl")
    books = settings.work / "gateway.jsonl"
    if books.exists():
        shutil.copy(books, folder / "gateway.jsonl")
    facts |= {"not_quiet": late, "quiet_after_seconds": seconds}
    (folder / "run.json").write_text(json.dumps(facts))
