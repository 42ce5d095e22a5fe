"""A read that names a position shows at least what was acknowledged there."""

from __future__ import annotations

from .evidence import Evidence, Violation


def check(evidence: Evidence) -> list[Violation]:
    """All reads that were answered from before their position."""
    found = []
    for read in evidence.reads:
        if read.status == 200 and (read.version or 0) < read.at_least:
            found.append(
                Violation(
                    "stale-read",
                    f"{read.path} at least {read.position} answered version {read.version}, {read.at_least} was acknowledged",
                    read.aggregate,
                )
            )
        elif read.status not in (0, 200) and read.status < 500:
            found.append(Violation("stale-read", f"{read.path} at least {read.position} answered {read.status}", read.aggregate))
    return found
