"""Small disks that can be filled: a tmpfs for each node's data and each broker's log. They go when we do (private mounts)."""

from __future__ import annotations

import subprocess
from pathlib import Path

BALLAST = "ballast"


class Disk:
    """A mounted tmpfs. Without the right to mount, a plain folder that cannot be filled."""

    def __init__(self, path: Path, megabytes: int):
        self.path, self.megabytes = path, megabytes
        self.mounted = False

    def mount(self) -> bool:
        """Mounts it; whether that worked."""
        self.path.mkdir(parents=True, exist_ok=True)
        words = ["mount", "-t", "tmpfs", "-o", f"size={self.megabytes}m,mode=755", "tmpfs", str(self.path)]
        self.mounted = subprocess.run(words, capture_output=True, check=False).returncode == 0
        return self.mounted

    def fill(self) -> None:
        """Writes a file until nothing fits any more."""
        block = bytes(1 << 20)
        with (self.path / BALLAST).open("wb", buffering=0) as ballast:
            while block:
                try:
                    ballast.write(block)
                except OSError:
                    block = block[: len(block) // 2] if len(block) > 1 else b""

    def free(self) -> None:
        """Takes the file away."""
        (self.path / BALLAST).unlink(missing_ok=True)

    def unmount(self) -> None:
        """Takes the disk away; lazily, since a killed process may still hold it."""
        if self.mounted:
            subprocess.run(["umount", "-l", str(self.path)], capture_output=True, check=False)
            self.mounted = False
