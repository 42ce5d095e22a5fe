"""The mail server that the nodes share: `smtp_sink.py` as a process, where a recipient is to be refused."""

from __future__ import annotations

import sys
from pathlib import Path

from ..settings import Settings
from ..workload.stuck import REFUSED
from . import layout
from .processes import Process

PROGRAM = Path(__file__).with_name("smtp_sink.py")
FAULT = "recipient-refuses"


def mail_server(settings: Settings) -> Process | None:
    """The server; none where the nodes keep their mail in folders."""
    if FAULT not in settings.kinds:
        return None
    where = [layout.ADDRESSES[layout.MAIL], str(layout.MAIL_PORT)]
    words = [sys.executable, str(PROGRAM), *where, str(box(settings)), REFUSED]
    return Process(layout.MAIL, layout.MAIL, words, settings.work / "logs" / "mail.log")


def environment(settings: Settings) -> dict[str, str]:
    """What a node must be told to use it."""
    if FAULT not in settings.kinds:
        return {"DAYBOOK_MAIL": "folder"}
    return {"DAYBOOK_SMTP_URL": f"smtp://{layout.ADDRESSES[layout.MAIL]}:{layout.MAIL_PORT}"}


def box(settings: Settings) -> Path:
    """Where it writes down what it took and what it refused."""
    return settings.work / "mail.jsonl"
