"""What a run is told as: the table, the violations with the history of their aggregate, and the same as JSON."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict
from datetime import UTC, datetime

from ..workload.history import ACKED, REFUSED, UNKNOWN
from . import letters, mails
from .evidence import Evidence, Violation
from .outages import by_kind, outages

TOLD_IN_FULL = 8
LONGEST_HISTORY = 60


def summary(evidence: Evidence, violations: list[Violation]) -> dict:
    """Everything that is counted."""
    outcomes = Counter(operation.outcome for operation in evidence.operations)
    attempts = [attempt for operation in evidence.operations for attempt in operation.attempts]
    records, singly, again = evidence.log.records, outages(evidence), mails.repeats(evidence)
    return {
        "seed": evidence.run.get("seed"),
        "workload_seconds": round(evidence.run.get("workload_seconds", 0), 1),
        "quiet_after_seconds": round(evidence.run.get("quiet_after_seconds", 0), 1),
        "operations": len(evidence.operations),
        "acknowledged": outcomes[ACKED],
        "refused": outcomes[REFUSED],
        "unknown": outcomes[UNKNOWN],
        "attempts": len(attempts),
        "attempts_unavailable": sum(attempt.status >= 500 for attempt in attempts),
        "attempts_unanswered": sum(attempt.status == 0 for attempt in attempts),
        "reads": len(evidence.reads),
        "records": len(records),
        "claims": sum(record.why == "claim" for record in records),
        "records_that_do_not_count": sum(not record.counts and record.why != "claim" for record in records),
        "events_lost": sum(len(loss.records) for loss in evidence.losses),
        "mails_repeated": len(again),
        "mails_sent_again": again.total(),
        **letters.standing_still(evidence),
        "faults": by_kind(singly),
        "each_fault": [
            {name: round(value, 2) if isinstance(value, float) else value for name, value in asdict(outage).items()}
            for outage in singly
        ],
        "ended_by_themselves": sum(note["what"] == "ended by itself" for note in evidence.notes),
        "violations": dict(Counter(violation.kind for violation in violations)),
    }


def table(told: dict) -> str:
    """The summary for a person."""
    lines = [
        f"seed {told['seed']}: {told['operations']} operations in {told['workload_seconds']:.0f} s: {told['acknowledged']} acknowledged, "
        f"{told['refused']} refused, {told['unknown']} unknown; {told['attempts']} attempts, {told['attempts_unavailable']} answered 5xx, "
        f"{told['attempts_unanswered']} unanswered; {told['reads']} reads",
        f"{told['records']} records, {told['claims']} of them claims, {told['records_that_do_not_count']} do not count, {told['events_lost']} events were lost; "
        f"{told['mails_repeated']} mails went out more than once; quiet {told['quiet_after_seconds']:.0f} s after the last fault; "
        f"{told['ended_by_themselves']} processes ended by themselves",
        f"refused for ever: {told['payments_refused']} payments ({told['captures_failed']} captures given up), {told['mails_refused']} mails "
        f"({told['mails_failed']} given up); {told['dead_letters']} dead letters",
        "",
        f"{'fault':<20}{'times':>6}{'nothing acked':>15}{'one partition':>15}{'one caller':>12}{'unknown':>9}",
    ]
    for kind, outage in told["faults"].items():
        seconds = f"{outage['silence']:>13.1f} s{outage['partition']:>13.1f} s{outage['wait']:>10.1f} s"
        lines.append(f"{kind:<20}{outage['faults']:>6}{seconds}{outage['unknown']:>9}")
    lines += [
        "",
        f"violations: {sum(told['violations'].values())}"
        + "".join(f"\n  {kind}: {count}" for kind, count in told["violations"].items()),
    ]
    return "\n".join(lines)


def in_full(evidence: Evidence, violations: list[Violation]) -> str:
    """The violations, the first of each aggregate with its history."""
    parts: list[str] = []
    shown: set[str] = set()
    for violation in violations[: TOLD_IN_FULL * 5]:
        parts.append(f"VIOLATION {violation.kind}: {violation.text} (seed {evidence.run.get('seed')})")
        if violation.aggregate and violation.aggregate not in shown and len(shown) < TOLD_IN_FULL:
            shown.add(violation.aggregate)
            parts.append(history(evidence, violation.aggregate))
    if len(violations) > TOLD_IN_FULL * 5:
        parts.append(f"... and {len(violations) - TOLD_IN_FULL * 5} more")
    return "\n".join(parts)


def history(evidence: Evidence, aggregate: str) -> str:
    """What was asked of an aggregate, what was heard, and what its log has, by time."""
    told: list[tuple[float, str]] = []
    logs = (evidence.log, *(loss.log for loss in evidence.losses))
    mine = {group.correlation for log in logs for group in log.by_aggregate.get(aggregate, [])}
    for operation in evidence.operations:
        if (
            operation.aggregate == aggregate
            or any(attempt.aggregate == aggregate for attempt in operation.attempts)
            or operation.id in mine
        ):
            for attempt in operation.attempts:
                told.append(
                    (attempt.start, f"-> {attempt.node} {operation.kind} {operation.id} {json.dumps(operation.body)[:120]}")
                )
                heard = (
                    attempt.code
                    or attempt.error
                    or f"version {attempt.version} at {attempt.position}{' again' if attempt.replayed else ''}"
                )
                told.append((attempt.end, f"<- {attempt.node} {operation.id} {attempt.status} {heard}"))
    lost = [(record, f" LOST at {moment(loss.gone)}") for loss in evidence.losses for record in loss.log.records if record.offset >= loss.first]
    for record, gone in (*((record, "") for record in evidence.log.records), *lost):
        if record.key == aggregate:
            judged = gone if record.counts else f" DOES NOT COUNT: {record.why}{gone}"
            by = f"run {record.headers.get('run')} at {record.headers.get('at')} group {record.headers.get('group')} v{record.version}"
            told.append(
                (
                    record.time,
                    f"   {record.position} {record.type} {by} by {record.headers.get('actor')} {json.dumps(record.value)[:160]}{judged}",
                )
            )
    told += [(fault["start"], f"** {fault['kind']}: {'; '.join(fault['did'])}") for fault in evidence.faults if told]
    told.sort(key=lambda each: each[0])
    if len(told) > LONGEST_HISTORY:
        told = told[: LONGEST_HISTORY // 2] + [(told[LONGEST_HISTORY // 2][0], "   ...")] + told[-LONGEST_HISTORY // 2 :]
    return "\n".join(f"    {moment(time)} {text}" for time, text in told)


def moment(time: float) -> str:
    """A time of the day, to the millisecond."""
    return datetime.fromtimestamp(time, UTC).strftime("%H:%M:%S.%f")[:-3]
