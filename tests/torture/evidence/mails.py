"""The mailboxes of the nodes: one file for each message."""

from __future__ import annotations

import email
import email.policy
import json
from pathlib import Path

from ..world.cluster import Cluster


def dump(cluster: Cluster, path: Path) -> None:
    """Writes what lies in the mailboxes."""
    with path.open("w") as out:
        for node in cluster.nodes.values():
            for file in sorted((node.disk.path / "mailbox").glob("*.eml")):
                out.write(json.dumps({"node": node.name, "file": file.stem, **read(file)}) + "\n")


def read(file: Path) -> dict:
    """One message."""
    message = email.message_from_bytes(file.read_bytes(), policy=email.policy.default)
    body = message.get_content() if file.stat().st_size else ""
    headers = {
        name: str(message.get(header) or "") for name, header in (("id", "Message-ID"), ("to", "To"), ("subject", "Subject"))
    }
    return {"size": file.stat().st_size, "body": str(body).strip(), **headers}
