"""Several runs in one table: what their `--json` summaries say together."""

from __future__ import annotations

import math
from collections import Counter, defaultdict

ALL = "all"
COUNTED = (
    "workload_seconds",
    "operations",
    "acknowledged",
    "refused",
    "unknown",
    "attempts",
    "attempts_unavailable",
    "attempts_unanswered",
    "reads",
    "records",
    "claims",
    "records_that_do_not_count",
    "ended_by_themselves",
)


def together(runs: list[dict]) -> dict:
    """The counts added up, and the faults of all the runs by kind."""
    violations: Counter[str] = Counter()
    for run in runs:
        violations.update(run["violations"])
    return {
        "seeds": [run["seed"] for run in runs],
        **{name: sum(run[name] for run in runs) for name in COUNTED},
        "quiet_after_seconds": max(run["quiet_after_seconds"] for run in runs),
        "faults": kinds(runs),
        "violations": dict(violations),
    }


def kinds(runs: list[dict]) -> dict[str, dict]:
    """The faults of each kind, and of all: how many, the worst of them, and how long one partition waited in half of them and in 99 of 100."""
    found: dict[str, list[dict]] = defaultdict(list)
    single: dict[str, list[float]] = defaultdict(list)
    for run in runs:
        for kind, worst in run["faults"].items():
            found[kind].append(worst)
            found[ALL].append(worst)
        for fault in run.get("each_fault", []):
            single[fault["kind"]].append(fault["partition"])
            single[ALL].append(fault["partition"])
    return {kind: _kind(found[kind], single[kind]) for kind in [*sorted({*found} - {ALL}), *({ALL} & {*found})]}


def _kind(worst: list[dict], single: list[float]) -> dict:
    faults = sum(each["faults"] for each in worst)
    longest = {name: max(each[name] for each in worst) for name in ("silence", "partition", "wait")}
    # A summary that does not tell its faults one by one leaves only their maximum.
    told = {name: percentile(single, part) if len(single) == faults else None for name, part in (("half", 0.5), ("most", 0.99))}
    return {"faults": faults, **longest, **told, "unknown": sum(each["unknown"] for each in worst)}


def percentile(values: list[float], part: float) -> float:
    """The smallest value that so large a part of them does not exceed."""
    return sorted(values)[max(0, math.ceil(part * len(values)) - 1)]


def table(told: dict) -> str:
    """All of it for a person."""
    lines = [
        f"{len(told['seeds'])} runs, seeds {', '.join(map(str, told['seeds']))}: {told['workload_seconds'] / 60:.1f} minutes, "
        f"{told['faults'].get(ALL, {'faults': 0})['faults']} faults",
        f"{told['operations']} operations: {told['acknowledged']} acknowledged, {told['refused']} refused, {told['unknown']} unknown; "
        f"{told['attempts']} attempts, {told['attempts_unavailable']} answered 5xx, {told['attempts_unanswered']} unanswered; "
        f"{told['reads']} reads",
        f"{told['records']} records, {told['claims']} of them claims, {told['records_that_do_not_count']} do not count; quiet at the latest "
        f"{told['quiet_after_seconds']:.0f} s after the last fault; {told['ended_by_themselves']} processes ended by themselves",
        "",
        f"{'':<20}{'':>6}{'nothing acked':>15}{'one partition, s':>27}{'one caller':>12}",
        f"{'fault':<20}{'times':>6}{'longest':>15}{'p50':>9}{'p99':>9}{'longest':>9}{'longest':>12}{'unknown':>9}",
    ]
    for kind, fault in told["faults"].items():
        half, most = (f"{'-' if fault[name] is None else format(fault[name], '.1f'):>9}" for name in ("half", "most"))
        waits = f"{fault['silence']:>15.1f}{half}{most}{fault['partition']:>9.1f}{fault['wait']:>12.1f}"
        lines.append(f"{kind:<20}{fault['faults']:>6}{waits}{fault['unknown']:>9}")
    found = told["violations"]
    lines += ["", f"violations: {sum(found.values())}", *(f"  {kind}: {count}" for kind, count in found.items())]
    return "\n".join(lines)
