"""PostgreSQL on a host of its own. Only its processes are killed, never the machine, so it need not wait for the disk."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from ..settings import Settings
from . import layout
from .processes import Process

OPTIONS = {
    "listen_addresses": layout.ADDRESSES[layout.POSTGRES],
    "port": str(layout.POSTGRES_PORT),
    "unix_socket_directories": "",
    "max_connections": "400",
    "shared_buffers": "64MB",
    "fsync": "off",
    "log_min_messages": "warning",
}


class Postgres:
    """The server."""

    def __init__(self, settings: Settings):
        self.data = settings.work / "postgres"
        self.log = settings.work / "logs" / "postgres.log"
        options = [word for key, value in OPTIONS.items() for word in ("-c", f"{key}={value}")]
        words = [str(programs() / "postgres"), "-D", str(self.data), *options]
        self.process = Process(layout.POSTGRES, layout.POSTGRES, words, self.log, user="postgres")

    def prepare(self) -> None:
        """Makes the empty cluster."""
        self.data.mkdir()
        shutil.chown(self.data, "postgres", "postgres")
        words = ["setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups", str(programs() / "initdb")]
        words += ["-D", str(self.data), "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-sync"]
        done = subprocess.run(words, capture_output=True, text=True, check=False, cwd="/")
        if done.returncode != 0:
            raise RuntimeError(f"initdb: {done.stderr.strip()}")
        with (self.data / "pg_hba.conf").open("a") as access:
            access.write(f"host all all {layout.SUBNET} trust\n")


def programs() -> Path:
    """Where the system keeps the newest PostgreSQL."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))
    if found:
        return found[-1]
    where = shutil.which("initdb", path=os.environ.get("PATH"))
    if where is None:
        raise RuntimeError("PostgreSQL is missing: install the package postgresql")
    return Path(where).parent


def url(database: str = "") -> str:
    """How to reach it."""
    path = f"/{database}" if database else ""
    return f"postgres://postgres@{layout.ADDRESSES[layout.POSTGRES]}:{layout.POSTGRES_PORT}{path}"
