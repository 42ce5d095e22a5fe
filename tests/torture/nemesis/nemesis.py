"""Carries the plan out, and writes down what was done and when."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path

from ..settings import Settings
from ..world.cluster import Cluster
from .faults import FAULTS, mend_all
from .plan import steps


class Nemesis:
    """Faults one after the other, with calm between them. Runs on the main thread: processes die with the thread that made them."""

    def __init__(self, settings: Settings, cluster: Cluster, folder: Path, say: Callable[[str], None]):
        self.settings, self.cluster, self.say = settings, cluster, say
        self._faults = (folder / "faults.jsonl").open("w")
        self._notes = (folder / "notes.jsonl").open("w")
        cluster.notes = self.note

    def note(self, what: str, detail: str) -> None:
        """Writes down something that was not planned."""
        self._notes.write(json.dumps({"time": time.time(), "what": what, "detail": detail}) + "\n")
        self._notes.flush()
        self.say(f"  {what}: {detail.splitlines()[0] if detail else ''}")

    def run(self, until: float) -> None:
        """One fault after the other until the time is over, or the plan."""
        for step in steps(self.settings.seed, self.settings.kinds, self.settings.short):
            if time.monotonic() + step.calm + step.hold > until:
                break
            self.cluster.hold(step.calm)
            said: list[str] = []
            begun = time.time()
            try:
                FAULTS[step.kind](self.cluster, step, said.append)
            except TimeoutError as error:
                self.note("not mended in time", f"{step.kind}: {error}")
                mend_all(self.cluster)
            record = {**step.record(), "start": begun, "end": time.time(), "did": said}
            self._faults.write(json.dumps(record) + "\n")
            self._faults.flush()
            self.say(f"  {step.kind}: {'; '.join(said)} ({record['end'] - begun:.1f} s)")
        self.cluster.hold(5.0)

    def close(self) -> None:
        """Mends everything; the last word."""
        mend_all(self.cluster)
        self._faults.close()
        self._notes.flush()
