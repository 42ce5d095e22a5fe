"""The views and checkpoints as they stand in PostgreSQL, and who must have read how far."""

from __future__ import annotations

import json
from pathlib import Path

import psycopg

from ..world import postgres

TABLES = {
    "users": ("users",),
    "products": ("products",),
    "orders": ("orders", "timeline", "deadlines"),
    "payments": ("payments",),
    "notifications": ("notifications", "contacts"),
    "audit": ("audit",),
}
# Which logs each reader of a database follows, as the service inventory has it.
READERS: dict[str, dict[str, tuple[str, ...]]] = {
    "users": {"users": ("users",)},
    "products": {"products": ("products",), "reactors": ("orders",)},
    "orders": {
        "orders": ("orders",),
        "timeline": ("orders", "products", "payments", "notifications"),
        "deadlines": ("orders",),
        "reactors": ("products", "payments"),
    },
    "payments": {"payments": ("payments",), "reactors": ("orders", "payments")},
    "notifications": {"notifications": ("notifications",), "contacts": ("users",), "reactors": ("orders", "notifications")},
    "audit": {"audit": ("users", "products", "orders", "payments", "notifications")},
}


def connect(service: str) -> psycopg.Connection:
    """A service's database."""
    return psycopg.connect(postgres.url(f"daybook_{service}"), autocommit=True, connect_timeout=5)


def checkpoints() -> dict[str, int]:
    """Where each reader stands, by `database:reader:service/partition`."""
    found = {}
    for database in TABLES:
        with connect(database) as connection:
            rows = connection.execute('SELECT reader, service, "partition", next_offset FROM checkpoints').fetchall()
        found.update({f"{database}:{reader}:{service}/{partition}": next_ for reader, service, partition, next_ in rows})
    return found


def behind(ends: dict[str, int], standing: dict[str, int]) -> list[str]:
    """The readers that do not stand at the ends of their logs."""
    late = []
    for database, readers in READERS.items():
        for reader, services in readers.items():
            for source, end in ends.items():
                if source.split("/")[0] in services:
                    at = standing.get(f"{database}:{reader}:{source}", 0)
                    if at != end:
                        late.append(f"{database}:{reader} stands at {at} of {source}, which ends at {end}")
    return late


def dump(path: Path) -> None:
    """Writes every row of every view."""
    with path.open("w") as out:
        for database, tables in TABLES.items():
            with connect(database) as connection:
                for table in tables:
                    for (row,) in connection.execute(f'SELECT to_jsonb(t)::text FROM "{table}" t').fetchall():
                        out.write(json.dumps({"database": database, "table": table, "row": json.loads(row)}) + "\n")
