"""A process on a host: started, killed, stopped, continued, by its id and never by its name."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path


class Process:
    """One program on one host. It dies with us, however we end."""

    def __init__(
        self, name: str, host: str, words: list[str], log: Path, env: dict[str, str] | None = None, user: str | None = None
    ):
        self.name, self.host, self.words, self.log, self.env, self.user = name, host, words, log, env or {}, user
        self.wanted = False
        self.paused = False
        self._running: subprocess.Popen[bytes] | None = None

    @property
    def alive(self) -> bool:
        """Whether it runs (or is stopped by a signal)."""
        return self._running is not None and self._running.poll() is None

    @property
    def code(self) -> int | None:
        """How it ended."""
        return None if self._running is None else self._running.poll()

    def start(self) -> None:
        """Starts it, unless it runs."""
        self.wanted = True
        if self.alive:
            return
        away = ["setpriv", "--pdeathsig", "KILL"]
        if self.user:
            away = ["setpriv", f"--reuid={self.user}", f"--regid={self.user}", "--init-groups", "--pdeathsig", "KILL"]
        words = ["nsenter", f"--net=/run/netns/{self.host}", *away, "--", *self.words]
        with self.log.open("ab") as log:
            self._running = subprocess.Popen(  # noqa: S603
                words, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=self._environment(), cwd="/", start_new_session=True
            )
        self.paused = False

    def _environment(self) -> dict[str, str]:
        kept = {key: value for key, value in os.environ.items() if key in ("PATH", "HOME", "LANG", "JAVA_HOME", "TZ")}
        return {**kept, **self.env}

    def kill(self) -> None:
        """kill -9, of it and of all that it started."""
        self.wanted = False
        family = self._family()
        self._signal(signal.SIGKILL, family)
        if self._running is not None:
            self._running.wait()
        deadline = time.monotonic() + 10
        while any(_exists(pid) for pid in family) and time.monotonic() < deadline:
            time.sleep(0.01)
        self.paused = False

    def terminate(self, within: float) -> bool:
        """Asks it to end, and kills it when it has not after so many seconds. Whether it ended by itself."""
        self.wanted = False
        if not self.alive or self._running is None:
            return True
        self._running.send_signal(signal.SIGTERM)
        try:
            self._running.wait(within)
        except subprocess.TimeoutExpired:
            self.kill()
            return False
        return True

    def pause(self) -> None:
        """SIGSTOP, of it and of all that it started."""
        self.paused = True
        self._signal(signal.SIGSTOP, self._family())

    def resume(self) -> None:
        """SIGCONT."""
        self._signal(signal.SIGCONT, self._family())
        self.paused = False

    def _family(self) -> list[int]:
        if self._running is None or not self.alive:
            return []
        found = [self._running.pid]
        for pid in found:
            found.extend(children(pid))
        return found

    @staticmethod
    def _signal(what: signal.Signals, pids: list[int]) -> None:
        for pid in pids:
            try:
                os.kill(pid, what)
            except ProcessLookupError:
                continue

    def tail(self, lines: int = 5) -> str:
        """The end of what it said."""
        text = self.log.read_text(errors="replace") if self.log.exists() else ""
        return "\n".join(text.splitlines()[-lines:])


def children(pid: int) -> list[int]:
    """The processes that a process has started. Not every kernel lists them, so each process is asked for its parent."""
    found: list[int] = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(stat.read_text().rsplit(")", 1)[1].split()[1])
        except (OSError, IndexError, ValueError):
            continue
        if parent == pid:
            found.append(int(stat.parent.name))
    return found


def _exists(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except OSError:
        return False
    return state not in ("Z", "X")


def wait_until(what: str, within: float, holds) -> None:
    """Waits until `holds()`; raises when it does not in time."""
    deadline = time.monotonic() + within
    while not holds():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: not within {within:.0f} s")
        time.sleep(0.1)
