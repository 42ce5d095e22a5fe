"""All checks, one after the other."""

from __future__ import annotations

from . import commands, letters, logs, mails, names, reads, refusals, sagas, served, views
from .evidence import Evidence, Violation

CHECKS = {
    "logs": logs.check,
    "commands": commands.check,
    "refusals": refusals.check,
    "names": names.check,
    "sagas": sagas.check,
    "gateway": sagas.check_gateway,
    "views": views.check,
    "mails": mails.check,
    "letters": letters.check,
    "reads": reads.check,
    "served": served.check,
}


def check(evidence: Evidence) -> list[Violation]:
    """Every promise that was not kept."""
    found = [violation for run in CHECKS.values() for violation in run(evidence)]
    return found + [Violation("not-quiet", text) for text in evidence.run.get("not_quiet", [])]
