"""Who owns and who leads the partitions now, and who keeps the group that places them, for faults that aim at all three."""

from __future__ import annotations

import json
import time

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient

from . import layout

OWNERS = "daybook.owners"
# The consumer group that places the partitions' owners has the name of their topic.
GROUP = OWNERS


def owners_and_leaders(sources: list[str]) -> list[tuple[str, str, str]]:
    """`service/partition`, the node that announced itself last as its owner, and the broker that leads it; those of which both are known."""
    client = Consumer(
        {"bootstrap.servers": layout.bootstrap(), "group.id": "torture", "enable.auto.commit": False, "log_level": 0}
    )
    try:
        owners, leaders = _owners(client), _leaders(client)
    except KafkaException:
        return []
    finally:
        client.close()
    found = [(source, owners.get(source, ""), leaders.get(source, "")) for source in sources]
    return [each for each in found if each[1] in layout.NODES and each[2] in layout.BROKERS]


def keeper_of_group() -> str | None:
    """The broker that keeps the members of the owners' group, and hears whether they live."""
    try:
        admin = AdminClient({"bootstrap.servers": layout.bootstrap(), "log_level": 0})
        keeper = admin.describe_consumer_groups([GROUP], request_timeout=5)[GROUP].result(6).coordinator
    except (KafkaException, TimeoutError):
        return None
    return layout.BROKERS[keeper.id - 1] if keeper is not None and 0 < keeper.id <= len(layout.BROKERS) else None


def _owners(client: Consumer) -> dict[str, str]:
    place = TopicPartition(OWNERS, 0, OFFSET_BEGINNING)
    _, end = client.get_watermark_offsets(place, timeout=5)
    client.assign([place])
    owners: dict[str, str] = {}
    reached, deadline = 0, time.monotonic() + 5
    while reached < end and time.monotonic() < deadline:
        for message in client.consume(500, timeout=0.5):
            key, told = message.key(), message.value()
            if not message.error():
                reached = (message.offset() or 0) + 1
                if key and told:
                    owners[key.decode()] = json.loads(told)["node"]
    return owners


def _leaders(client: Consumer) -> dict[str, str]:
    topics = client.list_topics(timeout=5).topics
    return {
        f"{name.removesuffix('.events')}/{number}": layout.BROKERS[partition.leader - 1]
        for name, topic in topics.items()
        for number, partition in topic.partitions.items()
        if name.endswith(".events") and partition.leader > 0
    }
