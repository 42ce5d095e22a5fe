"""Hosts as network namespaces on one bridge, and loss between any two of them, one way or both.

Loss is silent, as on a broken wire: the bridge's port of the sender redirects what goes to the receiver into a wire that
nobody listens at. That needs iproute2 and nothing else (no iptables, no `gact`, no `netem`). The namespaces live in a private mount
namespace and have no way out of this machine; when the last process ends, they are gone.
"""

from __future__ import annotations

import ctypes
import os
import subprocess

from . import layout

CLONE_NEWNET = 0x40000000
HUB = "hub"


def ip(*words: str) -> None:
    """Runs `ip`, and says all of it when it fails."""
    _run("ip", *words)


def _run(*words: str) -> None:
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(words)}: {done.stderr.strip()}")


class Network:
    """The bridge and its hosts."""

    def __init__(self) -> None:
        self._lost: dict[tuple[str, str], int] = {}
        self._priority = 100

    def build(self) -> None:
        """Makes the namespaces, the bridge and the wires."""
        ip("netns", "add", HUB)
        ip("-n", HUB, "link", "add", "bridge", "type", "bridge")
        ip("-n", HUB, "link", "set", "bridge", "up")
        ip("-n", HUB, "link", "add", "drain", "type", "veth", "peer", "name", "drained")
        ip("-n", HUB, "link", "set", "drain", "up")
        ip("-n", HUB, "link", "set", "drained", "up")
        for host, address in layout.ADDRESSES.items():
            self._plug_in(host, address)

    def _plug_in(self, host: str, address: str) -> None:
        ip("netns", "add", host)
        ip("link", "add", "wire", "netns", host, "type", "veth", "peer", "name", f"to-{host}", "netns", HUB)
        ip("-n", HUB, "link", "set", f"to-{host}", "master", "bridge", "up")
        ip("-n", host, "link", "set", "lo", "up")
        ip("-n", host, "addr", "add", f"{address}/24", "dev", "wire")
        ip("-n", host, "link", "set", "wire", "up")
        _run("tc", "-n", HUB, "qdisc", "add", "dev", f"to-{host}", "clsact")

    def lose(self, sender: str, receiver: str) -> None:
        """From now on nothing that `sender` sends reaches `receiver`."""
        if (sender, receiver) in self._lost:
            return
        self._priority += 1
        match = ("protocol", "ip", "pref", str(self._priority), "u32", "match", "ip", "dst", f"{layout.ADDRESSES[receiver]}/32")
        away = ("action", "mirred", "egress", "redirect", "dev", "drain")
        _run("tc", "-n", HUB, "filter", "add", "dev", f"to-{sender}", "ingress", *match, *away)
        self._lost[sender, receiver] = self._priority

    def mend(self) -> None:
        """Everything arrives again."""
        for (sender, _), priority in self._lost.items():
            _run("tc", "-n", HUB, "filter", "del", "dev", f"to-{sender}", "ingress", "pref", str(priority))
        self._lost.clear()


def enter(host: str) -> None:
    """Puts the calling thread (and the threads and processes that it starts) onto a host."""
    descriptor = os.open(f"/run/netns/{host}", os.O_RDONLY)
    try:
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.setns(descriptor, CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), f"the network namespace of {host} cannot be entered")
    finally:
        os.close(descriptor)
