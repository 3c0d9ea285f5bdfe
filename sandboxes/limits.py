"""What a sandbox may use, and what it may reach."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Literal

from ..errors import SandboxError

MIB = 1024 * 1024
Network = Literal["none", "loopback"]


@dataclass(frozen=True)
class Limits:
    """What one sandbox may use.

    Raises:
        SandboxError: kind `limits`, a limit is out of range.
    """

    wall_s: float = 10.0
    """Longest run of one call, in seconds; then the code is interrupted and keeps its state."""
    grace_s: float = 1.0
    """How long an interrupted call has to end before its process is killed and its state lost, in seconds."""
    cpu: float = 1.0
    """Cores, for all processes together."""
    memory: int = 512 * MIB
    """Bytes, for all processes together and what they write to /tmp and /work."""
    pids: int = 64
    """Processes and threads."""
    disk: int = 64 * MIB
    """Bytes in /work, and again in /tmp."""
    files: int = 4096
    """Files in /work, and again in /tmp, where the backend can count them; elsewhere they count as memory."""
    nofile: int = 256
    """Open files of one process."""
    output: int = 64 * 1024
    """Bytes of stdout, and of stderr, that are kept of one call; the rest is counted and dropped."""
    flood: int = 64 * MIB
    """Bytes of output after which a call is stopped."""
    value: int = 64 * 1024
    """Characters of a call's value and of its traceback that are kept."""
    transfer: int = 8 * MIB
    """Bytes of one file that is written or read, of code, and of stdin."""

    def __post_init__(self) -> None:
        for entry in fields(self):
            value, least = getattr(self, entry.name), LEAST[entry.name]
            if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value < 2**53:
                raise SandboxError(
                    f"sandbox limit {entry.name} = {value!r} must be a number of at least {least:g}.", kind="limits"
                )

    def with_(self, **changes: Any) -> Limits:
        """Return a copy with changes."""
        return replace(self, **changes)


LEAST: Mapping[str, float] = {
    "wall_s": 0.01,
    "grace_s": 0.0,
    "cpu": 0.05,
    "memory": 32 * MIB,
    "pids": 8,
    "disk": MIB,
    "files": 64,
    "nofile": 32,
    "output": 0,
    "flood": 4096,
    "value": 64,
    "transfer": 1024,
}
"""The least of each limit with which the worker itself still runs."""


@dataclass(frozen=True)
class Policy:
    """What one sandbox may reach. The host's environment, files and network are never among it by themselves."""

    network: Network = "none"
    """`loopback`: programs in the sandbox may talk to each other over TCP; nothing reaches further."""
    env: Mapping[str, str] = field(default_factory=dict)
    """Environment variables; nothing else of the host's environment enters."""
    mounts_ro: Mapping[str, Path] = field(default_factory=dict)
    """Folders of the host to read: path inside, below /mnt -> path on the host."""

    def __post_init__(self) -> None:
        if self.network not in ("none", "loopback"):
            raise SandboxError(f"sandbox network {self.network!r} is neither none nor loopback.", kind="limits")
        for name, value in self.env.items():
            if not name.isidentifier() or "\0" in value:
                raise SandboxError(f"environment variable {name!r} is not valid.", kind="limits")
        for inside, outside in self.mounts_ro.items():
            parts = Path(inside).parts
            if len(parts) < 3 or parts[:2] != ("/", "mnt") or ".." in parts or ":" in inside:
                raise SandboxError(f"mount {inside!r} is not a path below /mnt.", kind="limits")
            if not Path(outside).is_dir():
                raise SandboxError(f"mount {inside}: there is no folder {outside}.", kind="limits")
            if special := _special(Path(outside)):
                raise SandboxError(
                    f"mount {inside}: {special} is a socket, pipe or device, which a read-only mount does not guard.",
                    kind="limits",
                )


def _special(folder: Path) -> str:
    """Return what below a folder is neither file, folder nor link; or nothing."""
    left = [folder]
    while left:
        with os.scandir(left.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    left.append(Path(entry.path))
                elif not entry.is_file(follow_symlinks=False) and not entry.is_symlink():
                    return entry.path
    return ""
