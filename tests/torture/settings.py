"""What a run is told: the arguments, and what follows from them."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SHORT_FAULTS = (
    "node-kill", "node-pause-long", "broker-kill", "network-cut", "postgres-stall", "postgres-vanish", "gateway-refuses-one",
    "recipient-refuses",
)

SHORT_ONE_BROKER_FAULTS = ("log-tail-lost", "log-tail-lost-asleep", "log-tail-lost-away", "node-kill")
SHORT_EMBEDDED_FAULTS = ("node-kill", "disk-full-machine", "clock-step")


@dataclass(frozen=True)
class Settings:
    """One run. Everything that is decided by chance is decided from `seed`."""

    seed: int
    work: Path
    daybook: Path
    short: bool = False
    minutes: float = 10.0
    kinds: tuple[str, ...] = ()
    clients: int = 10
    partitions: int = 2
    embedded: bool = False
    node_env: dict[str, str] = field(default_factory=dict)

    @property
    def order_deadline(self) -> int:
        """Seconds until an order that is not confirmed expires: short enough that faults make some expire."""
        return 20 if self.short else 60

    @property
    def patience(self) -> float:
        """Seconds that a client goes on asking before it gives an operation up as unknown."""
        return 25.0 if self.short else 60.0

    @property
    def quiet_within(self) -> float:
        """Seconds within which everything must have come to rest after the last fault is mended."""
        return 75.0 if self.short else 240.0


def cache_directory() -> Path:
    """Where what was fetched is kept between runs; the same folder as the stack's scripts use."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(os.environ.get("DAYBOOK_CACHE") or f"{base}/daybook")
