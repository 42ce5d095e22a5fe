"""The views and checkpoints as they stand in PostgreSQL or in SQLite's files, and who must have read how far."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import psycopg

from ..world import postgres

TABLES = {
    "users": ("users",),
    "products": ("products",),
    "orders": ("orders", "timeline", "deadlines"),
    "payments": ("payments",),
    "notifications": ("notifications", "contacts"),
    "reservations": (),
    "audit": ("audit",),
}
# Which logs each reader of a database follows, as the service inventory has it.
READERS: dict[str, dict[str, tuple[str, ...]]] = {
    "users": {"users": ("users",), "reactors": ("orders",)},
    "products": {"products": ("products",), "reactors": ("orders",)},
    "orders": {
        "orders": ("orders",),
        "timeline": ("orders", "users", "products", "payments", "notifications"),
        "deadlines": ("orders",),
        "reactors": ("users", "products", "payments"),
    },
    "payments": {"payments": ("payments",), "reactors": ("orders", "payments")},
    "notifications": {"notifications": ("notifications",), "contacts": ("users",), "reactors": ("orders", "notifications")},
    "reservations": {"reactors": ("users", "products")},
    "audit": {"audit": ("users", "products", "orders", "payments", "notifications", "reservations")},
}


# How it shows that a database cannot be asked.
UNREACHABLE = (psycopg.Error, sqlite3.Error)
# The folder of SQLite's files, where the views are not in PostgreSQL.
_files: Path | None = None


def in_files(folder: Path) -> None:
    """From now on the views are those in this folder."""
    global _files  # noqa: PLW0603 - said once, before anything is read
    _files = folder


@contextlib.contextmanager
def connect(service: str) -> Iterator[psycopg.Connection | sqlite3.Connection]:
    """A service's database, to be read."""
    if _files is None:
        with psycopg.connect(postgres.url(f"daybook_{service}"), autocommit=True, connect_timeout=5) as connection:
            yield connection
        return
    with contextlib.closing(sqlite3.connect(f"file:{_files / f'{service}.db'}?mode=ro", uri=True, timeout=5)) as connection:
        yield connection


def rows(connection: psycopg.Connection | sqlite3.Connection, table: str) -> Iterator[dict]:
    """Every row of a table."""
    if isinstance(connection, psycopg.Connection):
        yield from (json.loads(row) for (row,) in connection.execute(f'SELECT to_jsonb(t)::text FROM "{table}" t').fetchall())
        return
    found = connection.execute(f'SELECT * FROM "{table}"')
    names = [column[0] for column in found.description]
    yield from ({name: plain(value) for name, value in zip(names, row)} for row in found)


def plain(value: object) -> object:
    """SQLite keeps JSON as text; no name or address of the workload begins like a list or an object."""
    return json.loads(value) if isinstance(value, str) and value[:1] in ("[", "{") else value


def answering(connection: psycopg.Connection | sqlite3.Connection, view: str) -> str:
    """The table that answers for a view: its version's."""
    known = connection.execute("SELECT base, table_name FROM view_versions WHERE state = 'ready' ORDER BY since").fetchall()
    return dict(known).get(view, view)


def checkpoints() -> dict[str, int]:
    """Where each reader stands, by `database:reader:service/partition`; the reader of a view's version bears the view's name."""
    found = {}
    for database in TABLES:
        with connect(database) as connection:
            standing = connection.execute('SELECT reader, service, "partition", next_offset FROM checkpoints').fetchall()
        found.update({f"{database}:{reader.split('@')[0]}:{service}/{partition}": next_ for reader, service, partition, next_ in standing})
    return found


# Errands that are put by and still tried: none that waits behind one that was given up.
WAITING = """SELECT id FROM errands AS waiting WHERE status = 'waiting' AND NOT EXISTS (SELECT 1 FROM errands AS dead WHERE dead.status = 'dead'
    AND dead.source_aggregate = waiting.source_aggregate AND dead.aggregate_id = waiting.aggregate_id)"""


def put_by() -> list[str]:
    """What reactors have put by and still try."""
    found = []
    for database in TABLES:
        with connect(database) as connection:
            found += [f"{database} still tries the errand {id_}" for (id_,) in connection.execute(WAITING).fetchall()]
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
                    for row in rows(connection, answering(connection, table)):
                        out.write(json.dumps({"database": database, "table": table, "row": row}) + "\n")
