"""The mail: what the mail server took and refused, or, where there is none, the mailboxes of the nodes, one file for each message."""

from __future__ import annotations

import email
import email.policy
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from ..checker.evidence import lines
from ..world import layout
from ..world.cluster import Cluster
from ..world.mail import box


def dump(cluster: Cluster, path: Path) -> dict:
    """Writes what went out; answers what is worth knowing of it."""
    found = taken(box(cluster.settings)) if cluster.mail else in_mailboxes(cluster)
    with path.open("w") as out:
        for mail in found:
            out.write(json.dumps(mail) + "\n")
    if not cluster.mail:
        return {}
    refused = Counter(line["refused"] for line in lines(box(cluster.settings)) if "refused" in line)
    return {"mail_server": True, "recipients_refused": dict(refused)}


def taken(file: Path) -> Iterator[dict]:
    """Every message that the server took, in order; `file` is the notification, as its Message-ID has it."""
    names = {address: host for host, address in layout.ADDRESSES.items()}
    for line in lines(file):
        if "message" in line:
            mail = read(line["message"].encode("latin-1"))
            name = mail["id"].removeprefix("<").removesuffix("@daybook>")
            yield {
                "node": names.get(line["peer"], line["peer"]),
                "file": name,
                "time": line["time"],
                **mail,
                "to": ", ".join(line["to"]),
            }


def in_mailboxes(cluster: Cluster) -> Iterator[dict]:
    """Every file that lies in a mailbox."""
    for node in cluster.nodes.values():
        for file in sorted((node.disk.path / "mailbox").glob("*.eml")):
            yield {"node": node.name, "file": file.stem, **read(file.read_bytes())}


def read(raw: bytes) -> dict:
    """One message."""
    message = email.message_from_bytes(raw, policy=email.policy.default)
    body = message.get_content() if raw else ""
    headers = {
        name: str(message.get(header) or "") for name, header in (("id", "Message-ID"), ("to", "To"), ("subject", "Subject"))
    }
    return {"size": len(raw), "body": str(body).strip(), **headers}
