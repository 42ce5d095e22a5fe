"""Who is where: each host has an address on one bridge, in a network namespace of its own."""

from __future__ import annotations

CLIENT = "client"
GATEWAY = "gateway"
POSTGRES = "postgres"
MAIL = "mail"
BROKERS: tuple[str, ...] = ("kafka1", "kafka2", "kafka3")
NODES: tuple[str, ...] = ("node1", "node2", "node3")
EXTRA_NODE = "node4"

ADDRESSES = {
    CLIENT: "10.87.0.1",
    "kafka1": "10.87.0.11",
    "kafka2": "10.87.0.12",
    "kafka3": "10.87.0.13",
    "node1": "10.87.0.21",
    "node2": "10.87.0.22",
    "node3": "10.87.0.23",
    EXTRA_NODE: "10.87.0.24",
    POSTGRES: "10.87.0.31",
    GATEWAY: "10.87.0.41",
    MAIL: "10.87.0.51",
}
SUBNET = "10.87.0.0/24"

KAFKA_PORT = 9092
CONTROLLER_PORT = 9093
HTTP_PORT = 8080
NODE_PORT = 7000
POSTGRES_PORT = 5432
GATEWAY_PORT = 9300
MAIL_PORT = 2525


def one_machine() -> None:
    """From now on there is one node with its embedded log, and no broker."""
    global NODES, BROKERS  # noqa: PLW0603 - said once, before anything is built
    NODES, BROKERS = NODES[:1], ()


def one_broker() -> None:
    """From now on there is one broker, and one copy of everything."""
    global BROKERS  # noqa: PLW0603 - said once, before anything is built
    BROKERS = BROKERS[:1]


def clock_node() -> str:
    """The node whose wall clock can be stepped."""
    return NODES[-1]


def bootstrap() -> str:
    """The brokers as clients are told them. The embedded log listens on its machine's loopback only."""
    if not BROKERS:
        return f"127.0.0.1:{KAFKA_PORT}"
    return ",".join(f"{ADDRESSES[broker]}:{KAFKA_PORT}" for broker in BROKERS)


def pairs(shared: tuple[str, ...]) -> list[tuple[str, str]]:
    """The pairs between which the network may fail: all that talk to each other, the client's own wire left out."""
    found = [(node, other) for node in NODES for other in (*BROKERS, *shared)]
    found += [(a, b) for index, a in enumerate(NODES) for b in NODES[index + 1 :]]
    found += [(a, b) for index, a in enumerate(BROKERS) for b in BROKERS[index + 1 :]]
    return found
