"""The faults: each begins, is held under supervision, and is mended. What it did is said in a few words."""

from __future__ import annotations

from collections.abc import Callable

from ..workload import stuck
from ..world import layout
from ..world.cluster import Cluster
from ..world.processes import Process
from ..world.whereabouts import keeper_of_group, owners_and_leaders
from .plan import Step, aims
from .tail import QUESTIONS_BEFORE, log_tail_lost, log_tail_lost_asleep, log_tail_lost_away

Note = Callable[[str], None]
# How long a node's clients are silent before it is split off, and how long it has to answer on the wrong side.
QUIET_BEFORE = 2.0


def node_kill(cluster: Cluster, step: Step, note: Note) -> None:
    """kill -9 of a node, and a new start."""
    _killed(cluster, cluster.nodes[step.choose(layout.NODES)].process, step, note)


def node_pause(cluster: Cluster, step: Step, note: Note) -> None:
    """SIGSTOP of a node, SIGCONT: a zombie that wakes up, to a queue of questions. The long form outlasts the group's session."""
    name = step.choose(layout.NODES)
    note(f"SIGSTOP of {name}")
    cluster.nodes[name].process.pause()
    cluster.hold(max(0.0, step.hold - QUESTIONS_BEFORE))
    cluster.ambush(name, None)
    cluster.hold(QUESTIONS_BEFORE)
    cluster.nodes[name].process.resume()


def rolling_restart(cluster: Cluster, step: Step, note: Note) -> None:
    """Each node in turn ends in good order, and is ready again before the next one ends."""
    for name in layout.NODES:
        node = cluster.nodes[name]
        note(f"{name}: SIGTERM")
        if not node.process.terminate(30):
            note(f"{name}: did not end within 30 s")
        node.process.start()
        cluster.wait_ready(60)
        cluster.hold(step.hold)


def rebalance_storm(cluster: Cluster, step: Step, note: Note) -> None:
    """A fourth node comes and goes, and others end and come back, faster than the group can settle."""
    extra = cluster.nodes[layout.EXTRA_NODE].process
    for turn in range(3):
        name = layout.NODES[(int(step.pick * 3) + turn) % 3]
        note(f"{extra.name} comes, {name} restarts, {extra.name} goes")
        extra.start()
        cluster.hold(step.hold)
        cluster.nodes[name].process.terminate(30)
        cluster.nodes[name].process.start()
        cluster.hold(step.hold)
        extra.terminate(30)


def broker_kill(cluster: Cluster, step: Step, note: Note) -> None:
    """kill -9 of a broker that does not lead the controllers."""
    controller = cluster.brokers.controller()
    others = [name for name in layout.BROKERS if name != controller]
    _killed(cluster, cluster.brokers.processes[step.choose(others)], step, note)
    cluster.brokers_back()


def brokers_kill_two(cluster: Cluster, step: Step, note: Note) -> None:
    """kill -9 of two brokers at once: neither the controllers nor the copies have a majority."""
    spared = step.choose(layout.BROKERS)
    victims = [cluster.brokers.processes[name] for name in layout.BROKERS if name != spared]
    note("kill -9 of " + " and ".join(victim.name for victim in victims))
    for victim in victims:
        victim.kill()
    cluster.hold(step.hold)
    for victim in victims:
        victim.start()
    cluster.brokers_back()


def controller_kill(cluster: Cluster, step: Step, note: Note) -> None:
    """kill -9 of the broker that leads the controllers."""
    controller = cluster.brokers.controller() or step.choose(layout.BROKERS)
    _killed(cluster, cluster.brokers.processes[controller], step, note)
    cluster.brokers_back()


def network_cut(cluster: Cluster, step: Step, note: Note) -> None:
    """Nothing passes between two hosts."""
    one, other = step.choose(cluster.pairs())
    note(f"{one} and {other} do not hear each other")
    cluster.network.lose(one, other)
    cluster.network.lose(other, one)
    cluster.hold(step.hold)
    cluster.network.mend()


def network_one_way(cluster: Cluster, step: Step, note: Note) -> None:
    """What one host sends does not reach another; the other direction works."""
    directed = cluster.pairs() + [(other, one) for one, other in cluster.pairs()]
    sender, receiver = step.choose(directed)
    note(f"{receiver} does not hear {sender}")
    cluster.network.lose(sender, receiver)
    cluster.hold(step.hold)
    cluster.network.mend()


def network_split(cluster: Cluster, step: Step, note: Note) -> None:
    """The node that owns a partition and the broker that leads it hear each other and nobody else; both sides have their clients. The
    node's own clients fall silent first, so that no append of its own tells it that it is alone, and then ask it for what happened
    on the other side. The broker is the one that keeps the nodes' group, where it leads anything: else the group tells the node within
    6 s that it is an owner no more, whatever the barrier does."""
    node, broker, service = _pair(cluster, step, note, keeper_of_group())
    _split(cluster, (node, broker))
    cluster.hold(step.hold)
    _questions(cluster, node, service)


def zombie_pair(cluster: Cluster, step: Step, note: Note) -> None:
    """The node that owns a partition is stopped, and the broker that leads it is cut off from all others. When the node wakes, its
    broker does not know either that both have been replaced."""
    node, broker, service = _pair(cluster, step, note)
    cluster.nodes[node].process.pause()
    _split(cluster, (node, broker))
    cluster.hold(step.hold)
    cluster.ambush(node, service)
    cluster.hold(QUESTIONS_BEFORE)
    cluster.nodes[node].process.resume()
    _questions(cluster, node, service)


def _pair(cluster: Cluster, step: Step, note: Note, keeper: str | None = None) -> tuple[str, str, str]:
    services = ("orders", "users", "payments")
    sources = [f"{service}/{n}" for service in services for n in range(cluster.settings.partitions)]
    known = aims(owners_and_leaders(sources), keeper)
    unknown = (step.choose(sources), step.choose(layout.NODES), step.choose(layout.BROKERS))
    source, node, broker = step.choose(known) if known else unknown
    keeps = ", which keeps the group too" if broker == keeper else ""
    note(f"{node} and {broker}, owner and leader of {source}{keeps}" if known else f"{node} and {broker}")
    cluster.shun({node})
    cluster.hold(QUIET_BEFORE)
    return node, broker, source.split("/")[0]


def _split(cluster: Cluster, side: tuple[str, ...]) -> None:
    for inside in side:
        for outside in (host for host in (*layout.NODES, *layout.BROKERS) if host not in side):
            cluster.network.lose(inside, outside)
            cluster.network.lose(outside, inside)


def _questions(cluster: Cluster, node: str, service: str) -> None:
    cluster.ambush(node, service)
    cluster.hold(QUIET_BEFORE)
    cluster.network.mend()
    cluster.shun(set())


def postgres_kill(cluster: Cluster, step: Step, note: Note) -> None:
    """kill -9 of PostgreSQL with all its processes."""
    _killed(cluster, cluster.postgres.process, step, note)


def postgres_stall(cluster: Cluster, step: Step, note: Note) -> None:
    """SIGSTOP of PostgreSQL: connections stay open, and nothing answers."""
    _paused(cluster, cluster.postgres.process, step, note)


def postgres_vanish(cluster: Cluster, step: Step, note: Note) -> None:
    """Nothing passes between PostgreSQL and any node, and no connection is reset: statements stay in flight."""
    note("no node hears PostgreSQL, nor it them")
    for node in layout.NODES:
        cluster.network.lose(node, layout.POSTGRES)
        cluster.network.lose(layout.POSTGRES, node)
    cluster.hold(step.hold)
    cluster.network.mend()


def gateway_hang(cluster: Cluster, step: Step, note: Note) -> None:
    """SIGSTOP of the payment gateway."""
    _paused(cluster, cluster.gateway, step, note)


def disk_full_node(cluster: Cluster, step: Step, note: Note) -> None:
    """The disk of a node's data is full."""
    node = cluster.nodes[step.choose(layout.NODES)]
    note(f"no space on the disk of {node.name}")
    node.disk.fill()
    cluster.hold(step.hold)
    node.disk.free()


def disk_full_machine(cluster: Cluster, step: Step, note: Note) -> None:
    """The disk of the one machine is full: its log, its views and its snapshots. Nothing is started again afterwards."""
    node = cluster.nodes[layout.NODES[0]]
    disk_full_node(cluster, step, note)
    note("space again; " + ("it still runs" if node.process.alive else f"it has ended with {node.process.code}"))


def disk_full_broker(cluster: Cluster, step: Step, note: Note) -> None:
    """The disk of a broker's log is full: the broker gives the directory up, and ends; it is started again when there is space."""
    name = step.choose(layout.BROKERS)
    broker = cluster.brokers.processes[name]
    note(f"no space on the disk of {name}")
    broker.wanted = False
    cluster.brokers.disks[name].fill()
    cluster.hold(step.hold)
    cluster.brokers.disks[name].free()
    note(f"space again; {name} " + ("still runs" if broker.alive else f"has ended with {broker.code}"))
    broker.start()
    cluster.brokers_back()


def clock_step(cluster: Cluster, step: Step, note: Note) -> None:
    """The wall clock of one node steps, forward or backward, and back again."""
    node = cluster.nodes[layout.clock_node()]
    seconds = step.choose((-3600, -120, -30, 30, 120, 3600))
    note(f"the clock of {node.name} steps by {seconds:+d} s")
    node.set_clock(seconds)
    cluster.hold(step.hold)
    node.set_clock(0)


def gateway_refuses_one(cluster: Cluster, step: Step, note: Note) -> None:
    """From one to three orders are paid with cards of which the gateway never takes the money, each by a customer of its own. It is never
    mended: only these payments may stand still."""
    first = int(step.pick * len(stuck.METHODS))
    methods = [stuck.METHODS[(first + n) % len(stuck.METHODS)] for n in range(few(step))]
    note(f"orders with {', '.join(methods)}")
    for method in methods:
        cluster.buy(method, "{}@example.com", 1)
    cluster.hold(step.hold)


def recipient_refuses(cluster: Cluster, step: Step, note: Note) -> None:
    """A customer whose address the mail server always answers with 451 places from one to three orders. It is never mended: only these mails
    may stand still."""
    note(f"{few(step)} orders of a customer whom the mail server refuses")
    cluster.buy("card", f"{stuck.REFUSED}{{}}@example.com", few(step))
    cluster.hold(step.hold)


def few(step: Step) -> int:
    """From one to three, whatever else was chosen."""
    return 1 + int(step.pick * 999) % 3


FAULTS: dict[str, Callable[[Cluster, Step, Note], None]] = {
    "node-kill": node_kill,
    "node-pause-short": node_pause,
    "node-pause-long": node_pause,
    "rolling-restart": rolling_restart,
    "rebalance-storm": rebalance_storm,
    "broker-kill": broker_kill,
    "brokers-kill-two": brokers_kill_two,
    "controller-kill": controller_kill,
    "network-cut": network_cut,
    "network-one-way": network_one_way,
    "network-split": network_split,
    "zombie-pair": zombie_pair,
    "postgres-kill": postgres_kill,
    "postgres-stall": postgres_stall,
    "postgres-vanish": postgres_vanish,
    "gateway-hang": gateway_hang,
    "disk-full-node": disk_full_node,
    "disk-full-broker": disk_full_broker,
    "disk-full-machine": disk_full_machine,
    "clock-step": clock_step,
    "gateway-refuses-one": gateway_refuses_one,
    "recipient-refuses": recipient_refuses,
    "log-tail-lost": log_tail_lost,
    "log-tail-lost-asleep": log_tail_lost_asleep,
    "log-tail-lost-away": log_tail_lost_away,
}


def _killed(cluster: Cluster, victim: Process, step: Step, note: Note) -> None:
    note(f"kill -9 of {victim.name}")
    victim.kill()
    cluster.hold(step.hold)
    victim.start()


def _paused(cluster: Cluster, victim: Process, step: Step, note: Note) -> None:
    note(f"SIGSTOP of {victim.name}")
    victim.pause()
    cluster.hold(step.hold)
    victim.resume()


def mend_all(cluster: Cluster) -> None:
    """Undoes whatever a fault may have left, however it ended."""
    cluster.network.mend()
    cluster.shun(set())
    for process in cluster.all_processes():
        if process.paused:
            process.resume()
    for disk in [*cluster.brokers.disks.values(), *(node.disk for node in cluster.nodes.values())]:
        disk.free()
    if extra := cluster.nodes.get(layout.EXTRA_NODE):
        extra.process.terminate(30)
    if "clock-step" in cluster.settings.kinds:
        cluster.nodes[layout.clock_node()].set_clock(0)
    for process in cluster.all_processes():
        if process.name != layout.EXTRA_NODE:
            process.start()
