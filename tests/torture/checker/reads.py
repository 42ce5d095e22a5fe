"""A read that names a position shows at least what was acknowledged there, unless the log has lost it; and some seconds after a log has
lost something, nothing is shown as of it."""

from __future__ import annotations

from collections.abc import Iterator

from ..workload.history import Read
from .evidence import Evidence, Loss, Violation
from .moments import Moments
from .runs import Group

# How soon after the broker is back nothing may be shown any more that it has lost, in seconds.
SHOWN_WITHIN = 10.0


def check(evidence: Evidence) -> list[Violation]:
    """All reads that were answered from before their position, or from what was lost."""
    touched = {group.aggregate: (group, loss) for loss in evidence.losses for group in loss.groups}
    moments = Moments(evidence) if touched else None
    found: list[Violation] = []
    for read in evidence.reads:
        if not any(unnoticed(read, loss, noticed_by(loss, evidence.losses)) for loss in evidence.losses):
            found += stale(read)
        if moments and read.aggregate in touched:
            group, loss = touched[read.aggregate]
            found += beyond(read, moments, group, loss, noticed_by(loss, evidence.losses))
    return found


def noticed_by(loss: Loss, losses: list[Loss]) -> float:
    """By when a loss must have been noticed: while the broker was down again, nobody could."""
    back = loss.back
    for other in sorted(losses, key=lambda other: other.gone):
        if back <= other.gone < back + SHOWN_WITHIN:
            back = other.back
    return back + SHOWN_WITHIN


def unnoticed(read: Read, loss: Loss, by: float) -> bool:
    """Whether a view cannot know what the position means: it is one of those that were lost, or stands in their place, and the view had read
    further before the loss and has not noticed it yet."""
    source, offset = read.position.rsplit("/", 1)
    if source != loss.source or int(offset) < loss.first or read.end < loss.gone:
        return False
    is_lost = any((group.aggregate, group.last.position) == (read.aggregate, read.position) for group in loss.groups)
    return is_lost or read.start < by


def stale(read: Read) -> Iterator[Violation]:
    """One that was answered from before its position."""
    if read.status == 200 and (read.version or 0) < read.at_least:
        text = f"{read.path} at least {read.position} answered version {read.version}, {read.at_least} was acknowledged"
        yield Violation("stale-read", text, read.aggregate)
    elif read.status not in (0, 200) and read.status < 500:
        yield Violation("stale-read", f"{read.path} at least {read.position} answered {read.status}", read.aggregate)


def beyond(read: Read, moments: Moments, group: Group, loss: Loss, by: float) -> Iterator[Violation]:
    """One that shows a version which its aggregate had only in what was lost a while ago."""
    if read.status == 200 and read.start > by:
        had = [state["version"] for state in moments.within(group.first.service, group.aggregate, by, read.end)]
        if (read.version or 0) > max(had):
            text = f"{read.path} answered version {read.version} {read.start - loss.back:.1f} s after it was lost; there were {sorted({*had})}"
            yield Violation("shows-lost", text, read.aggregate)
