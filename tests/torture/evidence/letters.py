"""The dead letters, as a node serves them."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

from ..world import layout
from ..world.daybook import get

PAGE = "/dead-letters?limit=100"


def dump(path: Path) -> None:
    """Writes every letter: `{"database", "letter"}`."""
    with path.open("w") as out:
        for letter in letters():
            out.write(json.dumps(letter) + "\n")


def letters(within: float = 30.0) -> Iterator[dict]:
    """All of them, page by page."""
    after, deadline, turn = "", time.monotonic() + within, 0
    while True:
        node = layout.NODES[turn % len(layout.NODES)]
        status, page = get(node, PAGE + after, 10)
        if status == 200 and isinstance(page, dict):
            yield from page["items"]
            if not page.get("next"):
                return
            after = f"&after={page['next']}"
        elif time.monotonic() > deadline:
            raise TimeoutError(f"no node tells the dead letters; {node} answered {status}: {page}")
        else:
            turn += 1
            time.sleep(0.2)
