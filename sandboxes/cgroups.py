"""Limits for all processes of a sandbox together, by control groups of version 1 or 2."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from .limits import Limits

ROOT = Path("/sys/fs/cgroup")
PREFIX = "lamarck"
NEEDED = ("memory", "pids", "cpu")


def owner_tag(pid: int | None = None) -> str:
    """Return who owns a sandbox: a process id, its start time, since ids come again, and where the id counts."""
    pid = pid if pid is not None else os.getpid()
    return f"{pid}-{started(pid)}-{_namespace()}"


def started(pid: int) -> int:
    """Return when a process was started, in clock ticks since boot; 0 if there is none."""
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])
    except (OSError, ValueError, IndexError):
        return 0


def owner_lives(tag: str) -> bool:
    """Say whether the process of a tag is still there; one of another container cannot be seen, and is left alone."""
    pid, _, rest = tag.partition("-")
    when, _, namespace = rest.partition("-")
    if not (pid.isdigit() and when.isdigit() and namespace.isdigit()):
        return False
    return int(namespace) != _namespace() or started(int(pid)) == int(when) != 0


def _namespace() -> int:
    """Return the number of our namespace of process ids."""
    try:
        return Path("/proc/self/ns/pid").stat().st_ino
    except OSError:
        return 0


@dataclass(frozen=True)
class Hierarchy:
    """Where control groups can be made.

    Args:
        version: 1 has a folder per controller, 2 has one.
        bases: folders to make groups in, by controller.
    """

    version: Literal[1, 2]
    bases: dict[str, Path]

    def folders(self, name: str) -> list[Path]:
        """Return the folders of a group."""
        return [base / name for base in dict.fromkeys(self.bases.values())]


def find(root: Path = ROOT, own: Path = Path("/proc/self/cgroup")) -> Hierarchy | None:
    """Return where this process may make groups with all controllers it needs, or None."""
    try:
        if (root / "cgroup.controllers").is_file():
            return _second(root, own)
        bases = {name: root / name for name in NEEDED}
        if all(os.access(base, os.W_OK) and (base / "cgroup.procs").is_file() for base in bases.values()):
            return Hierarchy(1, bases)
    except OSError:
        return None
    return None


def _second(root: Path, own: Path) -> Hierarchy | None:
    """Version 2: groups stand beside ours, since one that holds processes gives no controllers to its children."""
    line = next((line for line in own.read_text().splitlines() if line.startswith("0::")), "0::/")
    mine = root / line.removeprefix("0::").strip().lstrip("/")
    for base in (mine.parent, mine) if mine != root else (root,):
        if root not in (base, *base.parents) or not os.access(base, os.W_OK):
            continue
        given = (base / "cgroup.subtree_control").read_text().split()
        missing = [name for name in NEEDED if name not in given]
        if missing and not set(missing) - set((base / "cgroup.controllers").read_text().split()):
            with contextlib.suppress(OSError):
                (base / "cgroup.subtree_control").write_text(" ".join(f"+{name}" for name in missing))
                missing = [n for n in NEEDED if n not in (base / "cgroup.subtree_control").read_text().split()]
        if not missing:
            return Hierarchy(2, dict.fromkeys(NEEDED, base))
    return None


class Group:
    """The control group of one sandbox.

    Args:
        hierarchy: where it is, or will be.
        name: carries its owner, so that a later process can tell whether it is left over.
    """

    def __init__(self, hierarchy: Hierarchy, name: str) -> None:
        self._hierarchy = hierarchy
        self._name = name
        self._folders = hierarchy.folders(name)

    def make(self, limits: Limits) -> Group:
        """Make it, with its limits set before anything enters.

        Raises:
            OSError: it cannot be made.
        """
        try:
            for folder in self._folders:
                folder.mkdir()
            for controller, file, value in _settings(self._hierarchy.version, limits):
                path = self._hierarchy.bases[controller] / self._name / file
                # Swap is not accounted for everywhere; without it the memory limit alone holds.
                with contextlib.suppress(OSError) if "sw" in file else contextlib.nullcontext():
                    path.write_text(value)
        except OSError:
            self.remove_empty()
            raise
        return self

    @property
    def entrances(self) -> list[Path]:
        """Files into which a process writes 0 to enter."""
        return [folder / "cgroup.procs" for folder in self._folders]

    def oom_kills(self) -> int:
        """Return how many of its processes the kernel has killed for memory."""
        file = "memory.oom_control" if self._hierarchy.version == 1 else "memory.events"
        for folder in self._folders:
            with contextlib.suppress(OSError, ValueError):
                for line in (folder / file).read_text().splitlines():
                    name, _, count = line.partition(" ")
                    if name == "oom_kill":
                        return int(count)
        return 0

    def pids(self) -> set[int]:
        """Return the processes in it."""
        found: set[int] = set()
        for entrance in self.entrances:
            with contextlib.suppress(OSError):
                found |= {int(line) for line in entrance.read_text().split()}
        # A process of another namespace is shown as 0, which to a signal means our own group.
        return {pid for pid in found if pid > 0}

    async def remove(self, patience_s: float = 5.0) -> bool:
        """Kill what is in it and remove it; say whether that worked."""
        deadline = time.monotonic() + patience_s
        while not self.remove_empty():
            for pid in self.pids():
                with contextlib.suppress(OSError):
                    os.kill(pid, signal.SIGKILL)
            if time.monotonic() > deadline:
                return False
            await asyncio.sleep(0.002)
        return True

    def remove_empty(self) -> bool:
        """Remove it where no process is in it; say whether it is gone."""
        for folder in self._folders:
            with contextlib.suppress(OSError):
                folder.rmdir()
        return not any(folder.exists() for folder in self._folders)


def _settings(version: int, limits: Limits) -> Iterable[tuple[str, str, str]]:
    """Return controller, file and value of each setting, in the order in which the kernel takes them."""
    memory = int(limits.memory)
    # The supervisor and the launcher are in the group too.
    pids = str(int(limits.pids) + 4)
    if version == 1:
        yield "memory", "memory.limit_in_bytes", str(memory)
        yield "memory", "memory.memsw.limit_in_bytes", str(memory)
        yield "memory", "memory.swappiness", "0"
        yield "pids", "pids.max", pids
        yield "cpu", "cpu.cfs_period_us", "100000"
        yield "cpu", "cpu.cfs_quota_us", str(int(limits.cpu * 100_000))
    else:
        yield "memory", "memory.max", str(memory)
        yield "memory", "memory.swap.max", "0"
        yield "pids", "pids.max", pids
        yield "cpu", "cpu.max", f"{int(limits.cpu * 100_000)} 100000"


async def sweep(hierarchy: Hierarchy) -> int:
    """Remove the groups of dead owners; return how many."""
    names = set()
    for base in set(hierarchy.bases.values()):
        with contextlib.suppress(OSError):
            names |= {path.name for path in base.glob(f"{PREFIX}-*-*-*-*") if path.is_dir()}
    removed = 0
    for name in names:
        if not owner_lives(name.removeprefix(PREFIX + "-").rpartition("-")[0]):
            removed += await Group(hierarchy, name).remove()
    return removed
