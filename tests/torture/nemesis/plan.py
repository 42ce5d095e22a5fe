"""Which fault when: the whole plan comes from the seed, before anything runs."""

from __future__ import annotations

import random
from dataclasses import asdict, dataclass

KINDS = (
    "node-kill",
    "node-pause-short",
    "node-pause-long",
    "rolling-restart",
    "rebalance-storm",
    "broker-kill",
    "brokers-kill-two",
    "controller-kill",
    "network-cut",
    "network-one-way",
    "network-split",
    "zombie-pair",
    "postgres-kill",
    "postgres-stall",
    "postgres-vanish",
    "gateway-hang",
    "disk-full-node",
    "disk-full-broker",
    "clock-step",
    "gateway-refuses-one",
    "recipient-refuses",
)

# The kinds for one machine with its embedded log.
EMBEDDED_KINDS = (
    "node-kill",
    "node-pause-short",
    "node-pause-long",
    "rolling-restart",
    "network-cut",
    "network-one-way",
    "gateway-hang",
    "disk-full-machine",
    "clock-step",
    "gateway-refuses-one",
    "recipient-refuses",
)

# The kinds for three nodes on one broker. What is refused for ever is left out: a loss would make it another thing.
ONE_BROKER_KINDS = (
    "log-tail-lost",
    "log-tail-lost-asleep",
    "log-tail-lost-away",
    "node-kill",
    "node-pause-long",
    "rolling-restart",
    "rebalance-storm",
    "network-cut",
    "postgres-kill",
    "postgres-vanish",
    "gateway-hang",
)

# Seconds for which a fault is held. A node's session in its group lasts 6 s, a broker's in the cluster 6 s, a follower is
# left out after 10 s, an append is in doubt after 10 s, a request is answered within 10 s.
HOLDS = {
    "node-kill": (2.0, 10.0),
    "node-pause-short": (1.0, 4.0),
    "node-pause-long": (8.0, 15.0),
    "rolling-restart": (0.0, 1.0),
    "rebalance-storm": (1.0, 3.0),
    "broker-kill": (5.0, 15.0),
    "brokers-kill-two": (4.0, 14.0),
    "controller-kill": (5.0, 15.0),
    "network-cut": (5.0, 18.0),
    "network-one-way": (5.0, 18.0),
    "network-split": (18.0, 26.0),
    "zombie-pair": (16.0, 22.0),
    "postgres-kill": (1.0, 8.0),
    "postgres-stall": (3.0, 12.0),
    "postgres-vanish": (5.0, 15.0),
    "gateway-hang": (3.0, 15.0),
    "disk-full-node": (5.0, 12.0),
    "disk-full-broker": (5.0, 12.0),
    "disk-full-machine": (5.0, 12.0),
    "clock-step": (5.0, 15.0),
    "gateway-refuses-one": (3.0, 10.0),
    "recipient-refuses": (3.0, 10.0),
    "log-tail-lost": (0.0, 8.0),
    "log-tail-lost-asleep": (0.0, 8.0),
    "log-tail-lost-away": (0.0, 8.0),
}
SHORT_HOLDS = {
    "node-kill": (2.0, 4.0),
    "node-pause-long": (8.0, 9.0),
    "broker-kill": (6.0, 8.0),
    "network-cut": (6.0, 8.0),
    "postgres-stall": (4.0, 6.0),
    "postgres-vanish": (6.0, 8.0),
    "disk-full-machine": (5.0, 7.0),
    "clock-step": (4.0, 6.0),
    "gateway-refuses-one": (4.0, 6.0),
    "recipient-refuses": (4.0, 6.0),
    "log-tail-lost": (0.0, 3.0),
    "log-tail-lost-asleep": (0.0, 3.0),
    "log-tail-lost-away": (0.0, 3.0),
}


@dataclass(frozen=True)
class Step:
    """One fault of the plan. `pick` chooses among whatever candidates there are when it begins."""

    kind: str
    calm: float
    hold: float
    pick: float

    def choose(self, candidates):
        """One of the candidates."""
        return candidates[int(self.pick * len(candidates)) % len(candidates)]

    def record(self) -> dict:
        """As it is written down."""
        return asdict(self)


def steps(seed: int, kinds: tuple[str, ...], short: bool):
    """The faults in their order, without end (a short run's plan ends after one of each kind)."""
    rng = random.Random(f"{seed}/nemesis")
    while True:
        for kind in rng.sample(kinds, len(kinds)):
            low, high = SHORT_HOLDS.get(kind, HOLDS[kind]) if short else HOLDS[kind]
            calm = rng.uniform(4.0, 6.0) if short else rng.uniform(5.0, 12.0)
            yield Step(kind, calm, rng.uniform(low, high), rng.random())
        if short:
            return


def aims(known: list[tuple[str, str, str]], keeper: str | None) -> list[tuple[str, str, str]]:
    """Of partitions with their owners and leaders those which the keeper of the group leads, all where it leads none."""
    return [each for each in known if each[2] == keeper] or known
