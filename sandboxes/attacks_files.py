"""Attacks by files: paths that lead elsewhere, files that are none, and what should be gone after a reset."""

from __future__ import annotations

import os
import time
from collections.abc import Awaitable, Sequence
from pathlib import Path
from typing import Any

from ..errors import SandboxError, ToolError
from .attacks_target import LIMITS, Attack, Escape, Target, Unjudged, told, truthful
from .limits import MIB, Policy
from .sandbox import Sandbox

SLOW_S = 3.0
"""How long the host may wait for one file, in seconds."""


async def _tool(call: Awaitable[Any]) -> Any:
    """Return what a call on files gives, or its error."""
    began = time.monotonic()
    try:
        return await call
    except ToolError as error:
        return error
    finally:
        if (took := time.monotonic() - began) > SLOW_S:
            raise Escape(f"the host waited {took:.1f} s for a file")


async def _read(sandbox: Sandbox, paths: Sequence[str], allowed: Sequence[bytes] = ()) -> int:
    """Read paths that must all be refused; return how many there were."""
    for path in paths:
        got = await _tool(sandbox.read_file(path))
        if isinstance(got, bytes) and got not in allowed:
            raise Escape(f"{path[:60]!r} gave {got[:40]!r}")
    return len(paths)


async def _links(target: Target) -> str:
    goals = [
        str(target.host.canary),
        "/etc/passwd",
        "/proc/1/environ",
        "/proc/self/environ",
        "/usr/lib/lamarck/worker.py",
    ]
    async with target.sandbox("files") as sandbox:
        made = list(await told(sandbox, f"links('/work', {goals})"))
        count = await _read(sandbox, made)
        for path in made:
            if not isinstance(await _tool(sandbox.write_file(path, b"mine")), ToolError):
                raise Escape(f"{path} was written")
        for folder in ("/work/folder0", "/work/folder1", "/work/folder2"):
            if not isinstance(await _tool(sandbox.list_files(folder)), ToolError):
                raise Escape(f"{folder} was listed")
        return f"{count} links refused; {await truthful(sandbox)}"


async def _paths(target: Target) -> str:
    canary = target.host.canary
    up = "/".join([".."] * 12)
    ways = [str(canary), f"{up}{canary}", f"/work/{up}{canary}", f"/tmp/../work/{up}{canary}", f"./{up}/etc/passwd"]
    ways += ["/etc/passwd", "/proc/self/environ", "/proc/1/environ", "/proc/self/mem", "/dev/zero", "/dev/stdin"]
    ways += [
        "/work/../etc/passwd",
        "//etc/passwd",
        "/work\n/../etc/passwd",
        "",
        "\0",
        "/work/\0",
        "~/x",
        "/work/" + "a" * 10_000,
    ]
    ways += ["/work/" + "a/" * 2000 + "b", "/proc/self/fd/0", "/proc/self/root/etc/passwd", "/workspace/x", "/tmpx"]
    async with target.sandbox("files") as sandbox:
        count = await _read(sandbox, ways)
        for path in ways:
            if "/work/a" not in path and not isinstance(await _tool(sandbox.write_file(path, b"mine")), ToolError):
                inside = Path("/work", path)
                if ".." in inside.parts or not str(inside).startswith(("/work/", "/tmp/")):
                    raise Escape(f"{path[:60]!r} was written")
        if canary.read_text() != target.host.secret:
            raise Escape("a file of the host was changed")
        return f"{count} paths refused; {await truthful(sandbox)}"


async def _odd(target: Target) -> str:
    names = ["pipe", "read-pipe", "loop", "zero", "stdin", "kmsg", "dir", "socket"]
    async with target.sandbox("files") as sandbox:
        await told(sandbox, "odd_files('/work')")
        count = await _read(sandbox, [f"/work/{name}" for name in names])
        for name in names:
            await _tool(sandbox.write_file(f"/work/{name}", b"mine"))
        await _tool(sandbox.list_files())
        return f"{count} odd files refused; {await truthful(sandbox)}"


async def _race(target: Target) -> str:
    """A folder becomes a link to another one between the look and the step."""
    async with target.sandbox("files") as sandbox:
        await told(sandbox, f"swapper('/work', {str(target.host.canary)!r}, 2.5)")
        ending, reads = time.monotonic() + 1.5, 0
        while time.monotonic() < ending:
            got = await _tool(sandbox.read_file("/work/race/canary"))
            await _tool(sandbox.write_file("/work/race/canary", b"mine"))
            reads += 1
            if isinstance(got, bytes) and got not in (b"mine", b""):
                raise Escape(f"read {got[:40]!r}")
        if target.host.canary.read_text() != target.host.secret:
            raise Escape("a file of the host was changed")
        return f"{reads} reads and writes; {await truthful(sandbox)}"


async def _names(target: Target) -> str:
    async with target.sandbox("files") as sandbox:
        count = await told(sandbox, "odd_names('/work')")
        listed = await sandbox.list_files()
        for name in listed:
            try:
                name.encode()
            except UnicodeEncodeError as error:
                raise Escape(f"a listed name cannot be written down: {name!r}") from error
            await _tool(sandbox.read_file(f"/work/{name}"))
        return f"{len(listed)} of {count} odd names are listed; {await truthful(sandbox)}"


async def _sparse(target: Target) -> str:
    async with target.sandbox("files") as sandbox:
        size = await told(sandbox, "sparse('/work/holes', 1 << 40)")
        got = await _tool(sandbox.read_file("/work/holes"))
        if isinstance(got, bytes) and len(got) > LIMITS.transfer:
            raise Escape(f"{len(got):,} bytes were read")
        return f"{size / MIB:,.0f} MiB of holes; {await truthful(sandbox)}"


async def _zip(target: Target) -> str:
    async with target.sandbox("files") as sandbox:
        done = await sandbox.run("zip_bomb('/work', 192)")
        if done.status in ("memory", "killed"):
            return f"{done.status}; {await truthful(sandbox)}"
        size, mib, how = await told(sandbox, done.value or "None")
        if mib > LIMITS.disk / MIB:
            raise Escape(f"{mib} MiB were unpacked")
        return f"{mib} of 192 MiB from {size // 1024} KiB, then {how}; {await truthful(sandbox)}"


async def _hard_links(target: Target) -> str:
    sources = [str(target.host.canary), "/etc/passwd", "/usr/bin/python3", "/proc/self/exe", "/proc/1/exe", "/dev/null"]
    async with target.sandbox("files") as sandbox:
        found = await told(sandbox, f"hard_links({sources})")
        if "ok" in found.values():
            raise Escape(f"{found}")
        return ", ".join(sorted(set(found.values())))


def _mounted(base: Path) -> Path:
    """Make a folder that anybody may change where nothing but the mount forbids it."""
    folder = base / "mount"
    folder.mkdir()
    folder.chmod(0o777)
    (folder / "file").write_text("true")
    (folder / "file").chmod(0o666)
    (folder / "out").symlink_to(base)
    return folder


def _names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


async def _mount(target: Target) -> str:
    folder = _mounted(target.host.folder)
    async with target.sandbox("files", policy=Policy(mounts_ro={"/mnt/data": folder})) as sandbox:
        if await told(sandbox, "open('/mnt/data/file').read()") != "true":
            raise Unjudged("the folder was not mounted")
        found = await told(sandbox, "spoil_mount('/mnt/data')")
        if "ok" in found.values() or _names_in(folder) != ["file", "out"]:
            raise Escape(f"{found}")
        return f"{len(found)} tries: {', '.join(sorted(set(found.values())))}"


async def _mount_socket(target: Target) -> str:
    """Read-only keeps nobody from a socket: a folder that holds one must be refused, or not reach it."""
    before = len(target.host.reached)
    try:
        policy = Policy(mounts_ro={"/mnt/data": target.host.socket.parent})
        async with target.sandbox("network", policy=policy) as sandbox:
            said = await told(sandbox, f"connect(socket.AF_UNIX, '/mnt/data/{target.host.socket.name}')")
    except SandboxError as error:
        return f"refused: {error.message[:100]}"
    if len(target.host.reached) > before:
        raise Escape(f"a server of the host was reached through a mount: {said[:20]}")
    return str(said)


async def _mount_pipe(target: Target) -> str:
    """Neither does it from a pipe, at whose other end something of the host reads."""
    path, ear = _pipe(target.host.folder)
    try:
        async with target.sandbox("files", policy=Policy(mounts_ro={"/mnt/data": path.parent})) as sandbox:
            said = await told(sandbox, "attempt(lambda: os.write(os.open('/mnt/data/pipe', os.O_WRONLY), b'hello'))")
        if heard := _heard(ear):
            raise Escape(f"the host reads {heard!r} through a mount")
        return str(said)
    except SandboxError as error:
        return f"refused: {error.message[:100]}"
    finally:
        os.close(ear)


def _pipe(base: Path) -> tuple[Path, int]:
    path = base / "pipes" / "pipe"
    path.parent.mkdir()
    os.mkfifo(path)
    path.chmod(0o666)
    return path, os.open(path, os.O_RDONLY | os.O_NONBLOCK)


def _heard(ear: int) -> bytes:
    try:
        return os.read(ear, 100)
    except BlockingIOError:
        return b""


ATTACKS = (
    Attack("file-links", "lead the host's reads and writes out by links", _links),
    Attack("file-paths", "lead them out by paths: above, absolute, 10,000 long, with a zero byte", _paths),
    Attack("file-kinds", "have the host read pipes, sockets, loops and endless files", _odd),
    Attack("file-race", "swap a folder with a link while the host reads", _race),
    Attack("file-names", "give files names that cannot be printed", _names),
    Attack("file-sparse", "have the host read a file of one terabyte", _sparse),
    Attack("zip-bomb", "unpack 192 MiB of zeros", _zip),
    Attack("hard-links", "give files from elsewhere a name of one's own", _hard_links),
    Attack("mount-read-only", "change a folder that is mounted for reading", _mount),
    Attack("mount-socket", "connect to a socket in a folder that is mounted for reading", _mount_socket),
    Attack("mount-pipe", "write to a pipe in a folder that is mounted for reading", _mount_pipe),
)
