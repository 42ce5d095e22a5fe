"""The command line of the crash suite; `daybook-torture` prepares what it needs and calls it."""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path

from .checker import evidence, report, several
from .checker.check import check
from .nemesis.plan import EMBEDDED_KINDS, KINDS, ONE_BROKER_KINDS
from .settings import ROOT, SHORT_EMBEDDED_FAULTS, SHORT_FAULTS, SHORT_ONE_BROKER_FAULTS, Settings
from .world import layout

PREFIX = "daybook-torture."


def arguments(words: list[str]) -> argparse.Namespace:
    """What was asked for."""
    parser = argparse.ArgumentParser(
        prog="daybook-torture", description="Breaks Daybook in seeded ways and checks from outside what is left."
    )
    parser.add_argument("--minutes", type=float, default=10.0, help="how long to work and break (default 10)")
    parser.add_argument(
        "--seed", type=int, default=None, help="what all decisions follow from (default: a new one, which is printed)"
    )
    parser.add_argument("--short", action="store_true", help="a handful of faults, under four minutes in all")
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--embedded", action="store_true", help="break one machine with its embedded log, instead of three nodes on three brokers")
    where.add_argument("--one-broker", action="store_true", help="three nodes on one broker, which loses the last records of logs")
    parser.add_argument("--daybook", type=Path, default=ROOT / "target" / "release" / "daybook", help="the program to break")
    parser.add_argument("--keep", type=Path, help="keep the evidence and the logs in this directory")
    parser.add_argument("--faults", help=f"only these kinds, with commas: {', '.join(KINDS)}; with --embedded: {', '.join(EMBEDDED_KINDS)}; with --one-broker: {', '.join(ONE_BROKER_KINDS)}")
    parser.add_argument("--clients", type=int, default=10, help="how many callers at once (default 10)")
    parser.add_argument(
        "--env", action="append", default=[], metavar="NAME=VALUE", help="a variable for the nodes; repeat for several"
    )
    parser.add_argument("--json", type=Path, help="write the summary and the violations here")
    parser.add_argument("--check-only", type=Path, metavar="DIR", help="check a kept directory again")
    parser.add_argument(
        "--summarise", type=Path, nargs="+", metavar="FILE", help="one table of what --json wrote of several runs"
    )
    return parser.parse_args(words)


def usage(why: str) -> SystemExit:
    """Wrong arguments."""
    print(f"daybook-torture: {why}", file=sys.stderr)
    return SystemExit(2)


def kinds_of(asked: argparse.Namespace) -> tuple[str, ...]:
    """The kinds of faults that were asked for; refuses what cannot be run."""
    there, short = KINDS, SHORT_FAULTS
    if asked.embedded:
        there, short = EMBEDDED_KINDS, SHORT_EMBEDDED_FAULTS
    if asked.one_broker:
        there, short = ONE_BROKER_KINDS, SHORT_ONE_BROKER_FAULTS
    kinds = tuple(asked.faults.split(",")) if asked.faults else short if asked.short else there
    unknown = [kind for kind in kinds if kind not in there]
    if unknown:
        raise usage(f"no such fault: {', '.join(unknown)} (there are: {', '.join(there)})")
    if not asked.daybook.is_file():
        raise usage(f"{asked.daybook} is not there: build it (cargo build --release -p daybook) or name it with --daybook")
    if any("=" not in pair for pair in asked.env):
        raise usage("--env takes NAME=VALUE")
    return kinds


def settings_of(asked: argparse.Namespace, kinds: tuple[str, ...], work: Path) -> Settings:
    """The settings that follow from the arguments. The program is copied, so that a new build does not change it under the run."""
    program = work / "daybook"
    shutil.copy2(asked.daybook, program)
    env = dict(pair.split("=", 1) for pair in asked.env)
    seed = random.SystemRandom().randrange(1_000_000) if asked.seed is None else asked.seed
    partitions = 1 if asked.embedded else 2
    return Settings(seed, work, program, asked.short, asked.minutes, kinds, asked.clients, partitions, asked.embedded, env)


def say(text: str) -> None:
    """One line of progress."""
    print(f"torture {time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


def sweep() -> None:
    """Takes away the folders of runs that were killed."""
    for folder in Path(tempfile.gettempdir()).glob(PREFIX + "*"):
        try:
            owner = int((folder / "pid").read_text())
            os.kill(owner, 0)
        except (OSError, ValueError):
            shutil.rmtree(folder, ignore_errors=True)


def broken(asked: argparse.Namespace) -> Path:
    """Runs; answers the folder of the evidence."""
    from .run import run  # noqa: PLC0415 - checking a kept directory needs none of what this needs

    sweep()
    kinds = kinds_of(asked)
    work = Path(tempfile.mkdtemp(prefix=PREFIX))
    (work / "pid").write_text(str(os.getpid()))
    work.chmod(0o711)
    if asked.embedded:
        layout.one_machine()
    if asked.one_broker:
        layout.one_broker()
    try:
        run(settings_of(asked, kinds, work), say)
        return keep(work, asked.keep)
    except BaseException:
        say(f"the run did not come to its end; what there is of it is in {keep(work, asked.keep)}")
        raise
    finally:
        shutil.rmtree(work, ignore_errors=True)


def keep(work: Path, wanted: Path | None) -> Path:
    """Copies evidence and logs to where they are kept; answers where that is."""
    kept = wanted or Path(tempfile.mkdtemp(prefix="daybook-torture-evidence."))
    kept.mkdir(parents=True, exist_ok=True)
    for name in ("evidence", "logs"):
        if (work / name).exists():
            shutil.copytree(work / name, kept / name, dirs_exist_ok=True)
    return kept


def judge(folder: Path, asked: argparse.Namespace) -> int:
    """Checks, tells, and answers the exit code."""
    begun = time.monotonic()
    found = evidence.load(folder / "evidence" if (folder / "evidence").is_dir() else folder)
    violations = check(found)
    say(f"checked in {time.monotonic() - begun:.0f} s")
    told = report.summary(found, violations)
    if violations:
        print(report.in_full(found, violations))
    print(report.table(told))
    if asked.json:
        asked.json.write_text(json.dumps({**told, "details": [vars(violation) for violation in violations]}, indent=1))
    return 1 if violations else 0


def summarise(files: list[Path]) -> int:
    """Tells several runs as one, and answers the exit code."""
    try:
        told = several.together([json.loads(file.read_text()) for file in files])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise usage(f"not all of these are summaries that --json wrote: {type(error).__name__}: {error}") from error
    print(several.table(told))
    return 1 if told["violations"] else 0


def main() -> int:
    """Runs and judges, or only judges, or only tells."""
    asked = arguments(sys.argv[1:])
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: sys.exit(1))
    if asked.summarise:
        return summarise(asked.summarise)
    if asked.check_only:
        return judge(asked.check_only, asked)
    kept = broken(asked)
    code = judge(kept, asked)
    if asked.keep or code:
        say(f"the evidence and the logs are in {kept}; check them again with --check-only {kept}")
    else:
        shutil.rmtree(kept, ignore_errors=True)
    return code


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
    except (RuntimeError, TimeoutError, OSError) as error:
        sys.exit(f"daybook-torture: {error}")
