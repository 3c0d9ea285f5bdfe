"""A worker as a child process of ours: its streams, the processes below it, and their end."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import shutil
import signal
from collections.abc import Sequence
from pathlib import Path

from ..errors import SandboxError, boundary
from .cgroups import Group
from .channel import LINE, Streams, gist

POLL_S = 0.02
"""How often the watchdog looks; at 20 ms, a program that allocates as fast as it can was met at 311 of 256 MiB."""


class Process:
    """A channel over the pipes of a child process.

    Args:
        process: the launcher, which becomes or holds the worker.
        group: its control group, or None.
        memory: bytes above which a watchdog kills, where there is no control group; None for no watchdog.
        folder: removed at the end.
    """

    def __init__(
        self,
        process: asyncio.subprocess.Process,
        *,
        group: Group | None = None,
        memory: int | None = None,
        folder: Path | None = None,
    ) -> None:
        assert process.stdin is not None and process.stdout is not None
        self._process = process
        self._streams = Streams(process.stdout, process.stdin)
        self._group = group
        self._folder = folder
        self._watched_ooms = 0
        self._killed = False
        self._watch = asyncio.create_task(self._watchdog(memory)) if memory is not None else None

    @classmethod
    async def start(
        cls,
        argv: Sequence[str],
        *,
        fds: Sequence[int] = (),
        group: Group | None = None,
        memory: int | None = None,
        folder: Path | None = None,
    ) -> Process:
        """Start the launcher.

        Raises:
            SandboxError: kind `start`.
        """
        with boundary(SandboxError, f"cannot start {argv[0]}", OSError, kind="start"):
            process = await asyncio.create_subprocess_exec(
                *argv,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                pass_fds=fds,
                start_new_session=True,
                limit=LINE,
                env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"},
                cwd="/",
            )
        return cls(process, group=group, memory=memory, folder=folder)

    @property
    def pid(self) -> int:
        """Of the launcher."""
        return self._process.pid

    async def send(self, data: bytes) -> None:
        """Write bytes."""
        await self._streams.send(data)

    async def line(self) -> bytes:
        """Return the next line, or nothing at the end."""
        return await self._streams.line()

    async def oom_kills(self) -> int:
        """Return how many processes were killed so far for using too much memory."""
        return self._watched_ooms + (self._group.oom_kills() if self._group is not None else 0)

    async def last_words(self) -> str:
        """Return the first line the launcher wrote to stderr before it ended."""
        if self._process.stderr is None or self._process.stderr.at_eof():
            return ""
        try:
            data = await asyncio.wait_for(self._process.stderr.read(2000), 0.5)
        except TimeoutError:
            return ""
        return gist(data)

    async def kill(self) -> None:
        """End everything: the launcher, what is below it, and its control group."""
        if self._killed:
            return
        self._killed = True
        if self._watch is not None:
            self._watch.cancel()
        # Once it has ended, its number may be another's.
        for pid in (*descendants(self.pid), self.pid) if self._process.returncode is None else ():
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._process.wait(), 5)
        await self._streams.close()
        transport = getattr(self._process, "_transport", None)
        if transport is not None:
            transport.close()
        if self._folder is not None:
            await asyncio.to_thread(shutil.rmtree, self._folder, ignore_errors=True)
        if self._group is not None and not await self._group.remove():
            raise SandboxError(f"the processes of sandbox {self.pid} do not end.", kind="kill")

    async def _watchdog(self, limit: int) -> None:
        """Kill what the worker has started when all of it together uses too much memory."""
        while self._process.returncode is None:
            await asyncio.sleep(POLL_S)
            tree = descendants(self.pid)
            if sum(resident(pid) for pid in tree) <= limit:
                continue
            # Pages that forks share are counted once each there; asking exactly is dear, so only now.
            if sum(proportional(pid) for pid in tree) <= limit:
                continue
            # The worker itself is the first Python below the launcher, and says what became of the rest.
            worker = next((index for index, pid in enumerate(tree) if command(pid).startswith("python")), len(tree))
            self._watched_ooms += 1
            for pid in tree[worker + 1 :]:
                with contextlib.suppress(OSError):
                    os.kill(pid, signal.SIGKILL)


def descendants(pid: int) -> list[int]:
    """Return the processes below one, parents before children."""
    found, seen = [pid], {pid}
    for current in found:
        with contextlib.suppress(OSError):
            for task in Path(f"/proc/{current}/task").iterdir():
                for child in (task / "children").read_text().split():
                    if int(child) not in seen:
                        seen.add(int(child))
                        found.append(int(child))
    return found[1:]


def resident(pid: int) -> int:
    """Return the resident memory of a process that it does not share, in bytes; 0 if there is none."""
    try:
        fields = Path(f"/proc/{pid}/statm").read_text().split()
        # Pages of /dev/shm and memfd count as shared, and are the sandbox's own all the same.
        return int(fields[1]) * os.sysconf("SC_PAGE_SIZE") - _file_backed(pid)
    except (OSError, ValueError, IndexError):
        return 0


def proportional(pid: int) -> int:
    """Return the memory of a process with what it shares divided among those it shares it with, in bytes."""
    try:
        found = re.search(r"^Pss:\s+(\d+)", Path(f"/proc/{pid}/smaps_rollup").read_text(), re.MULTILINE)
    except PermissionError:
        return resident(pid)  # the worker lets nobody look
    except OSError:
        return 0
    return int(found[1]) * 1024 if found else resident(pid)


def command(pid: int) -> str:
    """Return the name of a process's program."""
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""


def _file_backed(pid: int) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("RssFile:"):
            return int(line.split()[1]) * 1024
    return 0
