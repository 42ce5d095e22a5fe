"""Who owns and who leads a partition now, for faults that aim at both."""

from __future__ import annotations

import json
import time

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaException, TopicPartition

from . import layout

OWNERS = "daybook.owners"


def owner_and_leader(source: str) -> tuple[str, str] | None:
    """The node that announced itself last as the owner of `service/partition`, and the broker that leads it; none when either is unknown."""
    client = Consumer(
        {"bootstrap.servers": layout.bootstrap(), "group.id": "torture", "enable.auto.commit": False, "log_level": 0}
    )
    try:
        owner, leader = _owner(client, source), _leader(client, source)
    except KafkaException:
        return None
    finally:
        client.close()
    return (owner, leader) if owner in layout.NODES and leader in layout.BROKERS else None


def _owner(client: Consumer, source: str) -> str:
    place = TopicPartition(OWNERS, 0, OFFSET_BEGINNING)
    _, end = client.get_watermark_offsets(place, timeout=5)
    client.assign([place])
    owner, reached, deadline = "", 0, time.monotonic() + 5
    while reached < end and time.monotonic() < deadline:
        for message in client.consume(500, timeout=0.5):
            if not message.error():
                reached = (message.offset() or 0) + 1
                told = message.value()
                if message.key() == source.encode() and told:
                    owner = json.loads(told)["node"]
    return owner


def _leader(client: Consumer, source: str) -> str:
    service, partition = source.split("/")
    topic = client.list_topics(f"{service}.events", timeout=5).topics[f"{service}.events"]
    leader = topic.partitions[int(partition)].leader if int(partition) in topic.partitions else -1
    return layout.BROKERS[leader - 1] if leader > 0 else ""
