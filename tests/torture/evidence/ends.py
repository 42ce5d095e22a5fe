"""When a record was appended, seen from outside: how far each log had grown at which moment.

Apache Kafka stamps records with its own clock, which no fault touches here. The embedded log keeps the writer's stamps, and its machine's clock is
stepped; so the log's end is asked for all the time, and a record was appended after the last question whose answer was its offset or less,
and before the first answer that lies beyond it.
"""

from __future__ import annotations

import threading
import time
from collections import defaultdict

from confluent_kafka import KafkaException

from .growth import Growth
from .topics import consumer, ends

PAUSE = 0.05
ANSWER_WITHIN = 1.0


class Ends(threading.Thread):
    """Asks for the ends of the logs until it is told to stop."""

    def __init__(self, partitions: int):
        super().__init__(name="ends", daemon=True)
        self.partitions = partitions
        self.halt = threading.Event()
        self._grown: dict[str, Growth] = defaultdict(Growth)

    def run(self) -> None:
        """Question after question. One that is not answered says nothing."""
        client = consumer()
        while not self.halt.wait(PAUSE):
            asked = time.time()
            try:
                found = ends(client, self.partitions, ANSWER_WITHIN)
            except KafkaException:
                continue
            for source, end in found.items():
                self._grown[source].take(end, asked, time.time())
        client.close()

    def stop(self) -> None:
        """No more questions."""
        self.halt.set()
        self.join(10 * ANSWER_WITHIN)

    def stamped(self, record: dict) -> dict:
        """The record with `time`, after which it was appended, and `by`, by which it was; where nobody saw it, the end of time."""
        after, by = self._grown[f"{record['service']}/{record['partition']}"].around(record["offset"])
        return {**record, "time": after, "by": by}
