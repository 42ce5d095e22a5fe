"""The raw topics, read by Kafka's own client and decoded by the schemas that a node serves; written as JSON lines."""

from __future__ import annotations

import base64
import io
import json
import struct
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fastavro
from confluent_kafka import (
    OFFSET_BEGINNING,
    Consumer,
    KafkaError,
    KafkaException,
    TopicPartition,
)

from ..world import layout
from ..world.daybook import get
from ..world.segments import Stored

SERVICES = ("users", "products", "orders", "payments", "notifications", "reservations")


class Schemas:
    """Schemas by id, as a node serves them."""

    def __init__(self) -> None:
        self._known: dict[int, Any] = {}

    def decode(self, payload: bytes) -> tuple[int, dict]:
        """The schema's id and the record."""
        magic, number = struct.unpack(">bI", payload[:5])
        if magic != 0:
            raise ValueError(f"the first byte is {magic}")
        if number not in self._known:
            self._known[number] = fastavro.parse_schema(self._ask(number))
        value: Any = fastavro.schemaless_reader(io.BytesIO(payload[5:]), self._known[number], None)
        return number, value

    @staticmethod
    def _ask(number: int) -> dict:
        for node in layout.NODES * 3:
            status, answer = get(node, f"/schemas/ids/{number}")
            if status == 200:
                return json.loads(answer["schema"])  # type: ignore[index]
        raise ValueError(f"no node knows the schema {number}")


def consumer() -> Consumer:
    """A consumer that commits nothing, and is back soon when the brokers are."""
    soon = {"reconnect.backoff.ms": 50, "reconnect.backoff.max.ms": 200}
    settings = {"bootstrap.servers": layout.bootstrap(), "group.id": "torture", "auto.offset.reset": "earliest"}
    return Consumer({**settings, **soon, "enable.auto.commit": False, "enable.partition.eof": True, "log_level": 0})


def ends(client: Consumer, partitions: int, within: float = 10.0) -> dict[str, int]:
    """Where each log ends, by `service/partition`."""
    found = {}
    for service in SERVICES:
        for partition in range(partitions):
            _, end = client.get_watermark_offsets(TopicPartition(f"{service}.events", partition), timeout=within)
            found[f"{service}/{partition}"] = end
    return found


class Reader:
    """Reads all logs from their beginnings, on and on, each record once."""

    def __init__(self, partitions: int):
        self.client = consumer()
        self.schemas = Schemas()
        self.partitions = partitions
        self.next: dict[str, int] = {}
        self.records: list[dict] = []
        sources = [
            TopicPartition(f"{service}.events", number, OFFSET_BEGINNING) for service in SERVICES for number in range(partitions)
        ]
        self.client.assign(sources)

    def read_to_end(self, within: float = 60.0) -> dict[str, int]:
        """Reads until the ends that the logs have now; answers them."""
        wanted = ends(self.client, self.partitions)
        deadline = time.monotonic() + within
        while any(self.next.get(source, 0) < end for source, end in wanted.items()):
            if time.monotonic() > deadline:
                raise TimeoutError("the logs cannot be read to their ends")
            for message in self.client.consume(2000, timeout=0.5):
                self._take(message)
        return wanted

    def _take(self, message) -> None:
        if message.error():
            if message.error().code() == KafkaError._PARTITION_EOF or message.error().retriable():
                return
            if message.error().code() in (KafkaError._TRANSPORT, KafkaError._ALL_BROKERS_DOWN):
                return
            raise KafkaException(message.error())
        record = self._record(message)
        self.next[f"{record['service']}/{record['partition']}"] = record["offset"] + 1
        self.records.append(record)

    def _record(self, message) -> dict:
        source = f"{message.topic().removesuffix('.events')}/{message.partition()}"
        body = (message.key() or b"", message.value() or b"", message.headers() or [])
        return self.told(source, Stored(message.offset(), message.timestamp()[1] / 1000, *body))

    def told(self, source: str, stored: Stored) -> dict:
        """A record as the evidence has it."""
        service, partition = source.split("/")
        record = {
            "service": service,
            "partition": int(partition),
            "offset": stored.offset,
            "time": stored.time,
            "key": stored.key.decode(errors="replace"),
            "headers": {name: (value or b"").decode(errors="replace") for name, value in stored.headers},
        }
        try:
            record["schema"], record["value"] = self.schemas.decode(stored.value)
        except Exception as error:  # noqa: BLE001 - whatever stands in the log, it is evidence
            record["undecodable"], record["payload"] = str(error), base64.b64encode(stored.value).decode()
        return record

    def lost(self, losses: list[dict]) -> list[dict]:
        """What logs have lost, as the evidence has it."""
        told = lambda loss: [self.told(loss["source"], stored) for stored in loss["stored"]]  # noqa: E731
        return [{**{name: value for name, value in loss.items() if name != "stored"}, "records": told(loss)} for loss in losses]

    def write(self, path: Path, stamped: Callable[[dict], dict]) -> None:
        """Writes what was read, partition by partition, in order, each record as `stamped` has it."""
        place = lambda record: (record["service"], record["partition"], record["offset"])  # noqa: E731
        with path.open("w") as out:
            for record in sorted(self.records, key=place):
                out.write(json.dumps(stamped(record)) + "\n")

    def close(self) -> None:
        """Leaves the brokers."""
        self.client.close()
