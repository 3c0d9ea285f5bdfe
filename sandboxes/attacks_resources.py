"""Attacks on what the host has: processes, memory, disk, open files, output, processor time."""

from __future__ import annotations

import asyncio
import functools
import os
import re
import resource
import secrets

from ..errors import SandboxError, ToolError
from . import launch
from .attacks_host import processes
from .attacks_target import LIMITS, Attack, Escape, Target, Unjudged, how, told, truthful
from .limits import MIB, Policy
from .result import ExecResult

SLACK = 8
"""The supervisor and its launcher are processes too."""
UNCONFINED_FORKS = 120
GROWTH = 96 * MIB
"""How much memory our own process may take for what a sandbox throws at it."""


async def _fork_bomb(target: Target) -> str:
    most = 1500 if target.confined else UNCONFINED_FORKS
    async with target.sandbox("resources") as sandbox:
        done = await sandbox.run(f"fork_bomb({most})")
        if done.status == "memory":  # a watchdog counts what processes share once for each
            return f"{how(done)}; {await truthful(sandbox)}"
        count = int(done.value) if done.ok and done.value is not None else None
        if count is None:
            raise Unjudged(how(done))
        if count > LIMITS.pids + SLACK:
            raise Escape(f"{count} processes at once")
        return f"{count} of {most} processes; {await truthful(sandbox)}"


async def _fork_storm(target: Target) -> str:
    mark = secrets.token_hex(8)
    async with target.sandbox("resources", policy=Policy(env={"STORM": mark}), wall_s=1.5) as sandbox:
        call = asyncio.create_task(sandbox.run("fork_storm(1500)"))
        await asyncio.sleep(1)
        count = len(processes(mark))
        try:
            ended = how(await call)
        except SandboxError as error:
            ended = f"the sandbox has ended ({error.kind})"
        after = await truthful(sandbox)
        await asyncio.sleep(0.1)
        left = len(processes(mark))
    if count > LIMITS.pids + SLACK:
        raise Escape(f"{count} processes at once")
    if left > 4:
        raise Escape(f"{left} processes are left after the time-out")
    return f"{count} processes, {ended}; {after}"


async def _threads(target: Target) -> str:
    async with target.sandbox("resources") as sandbox:
        count = await told(sandbox, "thread_bomb(1500)")
        if count > LIMITS.pids + SLACK:
            raise Escape(f"{count} threads at once")
        return f"{count} of 1500 threads; {await truthful(sandbox)}"


async def _memory(code: str, target: Target) -> str:
    async with target.sandbox("resources") as sandbox:
        try:
            done = await sandbox.run(code)
        except SandboxError as error:
            return f"the sandbox has ended ({error.kind})"
        return f"{_bounded(target, done)}; {await truthful(sandbox)}"


def _bounded(target: Target, done: ExecResult) -> str:
    """Judge by how many MiB the code said that it had, and by how it ended."""
    had = max((int(word) for word in re.findall(r"^\d+$", done.stdout, re.MULTILINE)), default=0)
    had = max(had, int(done.value)) if done.value is not None and done.value.isdigit() else had
    # A watchdog sees memory only after it was taken.
    most = LIMITS.memory / MIB * (1.05 if target.probe.capabilities.memory_total else 2.5)
    if had > most:
        raise Escape(f"{had} MiB of {LIMITS.memory // MIB} ({how(done)})")
    if done.status not in ("memory", "killed", "ok", "error"):
        raise Unjudged(how(done))
    return f"{had} MiB, {done.status}"


async def _memory_children(target: Target) -> str:
    async with target.sandbox("resources") as sandbox:
        try:
            done = await sandbox.run("swell_children(10, 100)")
        except SandboxError as error:
            return f"the sandbox has ended ({error.kind})"
        if done.status == "memory":
            return f"killed; {await truthful(sandbox)}"
        if not done.ok or done.value is None:
            raise Unjudged(how(done))
        if int(done.value) * 100 * MIB > LIMITS.memory:
            raise Escape(f"{done.value} children hold 100 MB each")
        return f"{done.value} of 10 children with 100 MB; {await truthful(sandbox)}"


async def _fill(folder: str, target: Target) -> str:
    async with target.sandbox("resources") as sandbox:
        done = await sandbox.run(f"fill({folder!r}, 320)")
        if done.status in ("memory", "killed"):
            return f"{done.status}; {await truthful(sandbox)}"
        if not done.ok or done.value is None:
            raise Unjudged(how(done))
        if not done.value.isdigit():
            raise Unjudged(f"nothing can be written to {folder}: {done.value}")
        if int(done.value) > LIMITS.disk / MIB:
            raise Escape(f"{done.value} MiB fit into {folder}")
        return f"{done.value} of 320 MiB; {await truthful(sandbox)}"


async def _litter(target: Target) -> str:
    async with target.sandbox("resources") as sandbox:
        done = await sandbox.run("litter('/work', 60000)")
        if done.status in ("memory", "killed"):
            return f"{done.status}; {await truthful(sandbox)}"
        if not done.ok or done.value is None:
            raise Unjudged(how(done))
        if target.probe.capabilities.file_count and int(done.value) > LIMITS.files:
            raise Escape(f"{done.value} files")
        await sandbox.list_files()
        await sandbox.reset()
        charged = "" if target.probe.capabilities.file_count else ", charged to memory"
        return f"{done.value} of 60,000 files{charged}; a reset empties it; {await truthful(sandbox)}"


async def _kept_full(code: str, target: Target) -> str:
    """Use something up and leave it so: the host's own calls fail in an orderly way, and a reset gives it back."""
    # A watchdog counts what processes share once for each, so that many need room.
    memory = 1024 * MIB if code.startswith("hog") else LIMITS.memory
    async with target.sandbox("resources", wall_s=2, memory=memory) as sandbox:
        said = await told(sandbox, code)
        seen = []
        for call in (sandbox.write_file("/work/new", b"x" * MIB), sandbox.read_file("/work/new")):
            try:
                await call
                seen.append("ok")
            except ToolError:
                seen.append("refused")
            except SandboxError as error:
                return f"{said}, then the sandbox has ended ({error.kind})"
        done = await sandbox.exec([launch.PYTHON, "-I", "-S", "-c", "pass"])
        await sandbox.reset()
        await sandbox.write_file("/work/new", b"x" * MIB)
        if await sandbox.read_file("/work/new") != b"x" * MIB:
            raise Escape("after a reset a file is not what was written")
        again = await sandbox.exec([launch.PYTHON, "-I", "-S", "-c", "pass"])
        if not again.ok:
            raise Escape(f"after a reset no program starts: {how(again)}")
        return f"{said}, then {', '.join(seen)}, exec {done.status}; a reset frees it; {await truthful(sandbox)}"


async def _hoard(target: Target) -> str:
    async with target.sandbox("resources") as sandbox:
        count = await told(sandbox, "hoard(30000)")
        if count > LIMITS.nofile:
            raise Escape(f"{count} open files")
        return f"{count} open files"


async def _print_flood(target: Target) -> str:
    async with target.sandbox("resources") as sandbox:
        before = _memory_of_ours()
        done = await sandbox.run("flood(300)")
        return f"{_kept(done, before)}; {await truthful(sandbox)}"


async def _exec_flood(target: Target) -> str:
    code = "import sys\nfor i in range(300): sys.stderr.write('x' * (1 << 20))"
    async with target.sandbox() as sandbox:
        before = _memory_of_ours()
        done = await sandbox.exec([launch.PYTHON, "-c", code])
        return f"{_kept(done, before)}; {await truthful(sandbox)}"


async def _late_flood(target: Target) -> str:
    """A child writes while no call reads; what it wrote belongs to no later call's kept output beyond the cap."""
    async with target.sandbox("resources") as sandbox:
        before = _memory_of_ours()
        await told(sandbox, "flood_later(300)")
        await asyncio.sleep(0.5)
        said = await truthful(sandbox)
        done = await sandbox.run("import time; time.sleep(0.3)")
        return f"{_kept(done, before, ('ok', 'output_limit'))}; {said}"


def _memory_of_ours() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _kept(done: ExecResult, before: int, expected: tuple[str, ...] = ("output_limit",)) -> str:
    grown = _memory_of_ours() - before
    written, kept = done.stdout_bytes + done.stderr_bytes, len(done.stdout) + len(done.stderr)
    if kept > 2 * LIMITS.output or written > LIMITS.flood * 1.5:
        raise Escape(f"{kept:,} bytes of {written:,} were kept")
    if grown > GROWTH:
        raise Escape(f"our own process grew by {grown / MIB:.0f} MiB")
    if done.status not in expected:
        raise Unjudged(how(done))
    return f"{done.status} after {written / MIB:.0f} MiB, {kept // 1024} KiB kept, we grew by {grown / MIB:.0f} MiB"


async def _spin(target: Target) -> str:
    """Four processes burn what they get; compared with what they get without a quota in the same minute."""
    cores, quota = os.cpu_count() or 1, 0.5
    for _ in range(3):
        used = await _burnt(target, quota, 1.2)
        free = await _burnt(target, cores, 0.6)
        if used > quota * 1.3:
            raise Escape(f"{used:.2f} processor seconds a second of {quota} ({free:.2f} without a quota)")
        if free > quota * 1.3:
            return f"{used:.2f} processor seconds a second of {quota}; {free:.2f} without a quota"
    return f"{used:.2f} processor seconds a second of {quota}; the machine had no more than {free:.2f} to give"


async def _burnt(target: Target, cpu: float, seconds: float) -> float:
    async with target.sandbox("resources", cpu=cpu) as sandbox:
        done = await sandbox.run(f"spin(4, {seconds})")
        if not done.ok:
            raise Unjudged(how(done))
        return done.cpu_s / done.wall_s


ATTACKS = (
    Attack("fork-bomb", "fork 1,500 processes", _fork_bomb, unconfined=True),
    Attack("fork-storm", "fork for ever, deaf to signals, until the time-out", _fork_storm),
    Attack("threads", "start 1,500 threads", _threads),
    Attack("memory", "take 1.5 GB in one process", functools.partial(_memory, "swell(1500)")),
    Attack("memory-spared", "the same as one whom the kernel spares", functools.partial(_memory, "unspared(1500)")),
    Attack("memory-children", "take 100 MB in each of ten processes", _memory_children),
    Attack(
        "memory-unseen",
        "share 800 MB that no process has in its tables",
        functools.partial(_memory, "swell_unseen(800, 40)"),
        needs="memory_total",
    ),
    Attack("memfd", "write 1 GB into a file without a name", functools.partial(_memory, "swell_memfd(1000, 1000)")),
    Attack(
        "memfds",
        "write 800 MB into many files without a name",
        functools.partial(_memory, "swell_memfd(800, 40)"),
        needs="memory_total",
    ),
    Attack("disk-work", "write 320 MB to /work", functools.partial(_fill, "/work")),
    Attack("disk-tmp", "write 320 MB to /tmp", functools.partial(_fill, "/tmp")),
    Attack("disk-shm", "write 320 MB to /dev/shm", functools.partial(_fill, "/dev/shm")),
    Attack("disk-files", "make 60,000 files", _litter, needs="memory_total"),
    Attack("open-files", "open 30,000 files", _hoard),
    Attack("keep-processes", "leave no process for the supervisor", functools.partial(_kept_full, "hog(1500)")),
    Attack("keep-disk", "leave no room in /work", functools.partial(_kept_full, "keep_full('/work')")),
    Attack("keep-memory", "leave no memory for the supervisor", functools.partial(_kept_full, "keep_memory(215)")),
    Attack("flood-print", "print 300 MB", _print_flood),
    Attack("flood-exec", "print 300 MB to stderr from a program", _exec_flood),
    Attack("flood-late", "print 300 MB after the call has ended", _late_flood),
    Attack("processor", "burn four cores with half a core allowed", _spin, needs="cpu_share", alone=True),
)
