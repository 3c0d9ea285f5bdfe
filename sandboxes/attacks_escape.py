"""Attacks on the walls: the host's files, processes and kernel, reached by paths, numbers and system calls."""

from __future__ import annotations

import functools
import os
import re
from pathlib import Path

from .attacks_host import processes
from .attacks_target import Attack, Escape, Target, Unjudged, refused, short, told
from .limits import Policy

DEVICES = {f"1:{n}" for n in (3, 5, 7, 8, 9)} | {"5:0", "5:1", "5:2"}
"""null, zero, full, random, urandom; tty, console, ptmx."""


async def _canary(target: Target) -> str:
    async with target.sandbox("escape") as sandbox:
        found = await told(sandbox, f"content({str(target.host.canary)!r})")
        if target.host.secret in str(found):
            raise Escape("a file of the host was read")
        return "no way leads to a file of the host"


async def _environment(target: Target) -> str:
    async with target.sandbox("escape") as sandbox:
        found = await told(sandbox, f"environments({target.host.variable!r})")
        if target.host.secret in str(found):
            raise Escape("the host's environment was read")
        return "in no environment that can be read"


async def _processes(target: Target) -> str:
    async with target.sandbox("escape") as sandbox:
        count, found = await told(sandbox, f"commands({target.host.abstract!r})")
        if found:
            raise Escape(f"{count} processes are seen, among them one of the host")
        return f"{count} processes are seen, none of the host"


async def _kill(target: Target) -> str:
    async with target.sandbox("escape", "protocol") as sandbox:
        found = await told(sandbox, f"kill_host([{target.host.pid}, {os.getpid()}])")
        await told(sandbox, f"attempt(lambda: os.kill({target.host.pid}, 15))")
        if not target.host.bait_lives or "ok" in found.values():
            raise Escape(f"a process of the host was reached: {short(found)}")
        return short(found)


async def _host_user(target: Target) -> str:
    """On the host, nothing of a sandbox may run as root: what it is inside is not what protects."""
    async with target.sandbox("escape", policy=Policy(env={"WHO": target.host.abstract})):
        users = set()
        for pid in processes(target.host.abstract) - {target.host.pid}:
            users |= _users(pid)
        if not users:
            return "its processes cannot be seen from here"
        if 0 in users:
            raise Escape(f"it runs as user {sorted(users)} of the host")
        return f"it runs as user {sorted(users)} of the host"


def _users(pid: int) -> set[int]:
    try:
        text = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return set()
    if "python" not in text.splitlines()[0]:
        return set()  # the launcher, which is ours
    return {int(word) for word in re.findall(r"^Uid:\s+(\d+)\s+(\d+)", text, re.MULTILINE)[0]}


async def _rights(target: Target) -> str:
    async with target.sandbox("escape") as sandbox:
        found = await told(sandbox, "rights()")
        if any(int(found[name], 16) for name in ("CapInh", "CapPrm", "CapEff", "CapAmb")):
            raise Escape(f"it has capabilities: {found}")
        if found["NoNewPrivs"] != "1" or found["Seccomp"] != "2":
            raise Escape(f"it may gain rights: {found}")
        return "no capabilities, no new privileges, a filter"


async def _writable(target: Target) -> str:
    async with target.sandbox("escape") as sandbox:
        seen, folders = await told(sandbox, "writable()")
        wrong = [f for f in folders if not f.startswith(("/work", "/tmp", "/dev/shm", "/dev/mqueue"))]
        files, written = await told(sandbox, "writable_files(['/usr', '/etc', '/sys', '/run', '/var'])")
        if wrong or written:
            raise Escape(f"can be written: {[*wrong, *written]!s:.150}")
        if not folders or seen < 10:
            raise Unjudged(f"{seen} folders, {folders}")
        return f"{len(folders)} of {seen} folders, none of {files} files: {', '.join(folders)}"


async def _devices(target: Target) -> str:
    async with target.sandbox("escape") as sandbox:
        found = await told(sandbox, "devices()")
        wrong = [d for d in found if d.split()[1] == "b" or (d.split()[2] not in DEVICES and "/pts/" not in d)]
        if wrong:
            raise Escape(f"can be opened: {wrong}")
        return f"{len(found)} can be opened: {', '.join(d.split()[0] for d in found)}"


async def _empty(code: str, target: Target) -> str:
    async with target.sandbox("escape") as sandbox:
        if found := await told(sandbox, code):
            raise Escape(f"{found!s:.150}")
        return "none"


def _tries(name: str, what: str, code: str, *, unconfined: bool = False) -> Attack:
    return Attack(name, what, functools.partial(refused, code), unconfined=unconfined)


ATTACKS = (
    Attack("read-canary", "read a file of the host", _canary, unconfined=True),
    _tries("read-host", "read 60 places of a host: passwords, devices, the kernel's memory", "read_all(READ)"),
    Attack("env-secret", "read a variable of the host's environment", _environment, unconfined=True),
    Attack("host-pids", "see the host's processes", _processes, unconfined=True),
    Attack("kill-host", "signal the host's processes", _kill, unconfined=True, alone=True),
    Attack("host-user", "be root on the host", _host_user),
    _tries(
        "write-host", "open 50 places of a host for writing: core_pattern, sysrq, control groups", "write_all(WRITE)"
    ),
    Attack("write-anywhere", "write outside of /work, /tmp and /dev/shm", _writable),
    Attack("devices", "open a device that is not harmless", _devices),
    _tries("mknod", "make devices", "make_devices()"),
    Attack(
        "mount-flags",
        "find a writable place for set-uid programs or devices",
        functools.partial(_empty, "loose_mounts()"),
    ),
    Attack("setuid-files", "find a set-uid program", functools.partial(_empty, "privileged_files()")),
    _tries("setuid", "become root", "become_root()"),
    Attack("rights", "have capabilities, or gain them", _rights),
    _tries("raise-limits", "raise limits and priorities", "raise_limits()"),
    _tries("supervisor-files", "open the supervisor's memory, files and pipes", "open_supervisor()"),
)
