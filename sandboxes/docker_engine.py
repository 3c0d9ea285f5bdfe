"""Docker, or any engine that speaks its API: hard limits by the kernel, 150 ms to a sandbox.

One container is one sandbox. Its only process is the worker, which is spoken to over the attach socket: an exec per
call costs a hundred times as much, and is not ended by closing its stream.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import itertools
import os
import socket
import ssl
import tarfile
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from ..errors import SandboxError
from . import cgroups, launch, rootfs
from .attached import Attached, Started, shut
from .limits import Limits, Policy
from .result import Capabilities
from .sandbox import Probe
from .seccomp import docker_profile
from .session import Session

T = TypeVar("T")
IMAGE = "lamarck-sandbox"
OWNER, MACHINE = "lamarck.owner", "lamarck.machine"
CALL_S, START_S = 60, 30.0
GVISOR_PIDS = 512
"""gVisor counts its own threads as the container's, and the whole sandbox ends when they are too many."""
HINT = "Start a Docker engine, or point DOCKER_HOST to one (unix:// or tcp://); or use bubblewrap."


class DockerEngine:
    """Makes sandboxes in containers.

    Args:
        packages: installed distributions that code in the sandbox may import.
        url: of the engine; `DOCKER_HOST`, else the local one.
        runtime: another one than the engine's own, such as `runsc` for gVisor.
    """

    name = "docker"

    def __init__(self, *, packages: Sequence[str] = (), url: str | None = None, runtime: str | None = None) -> None:
        self._packages = tuple(packages)
        self._url = url
        self._runtime = runtime
        self._threads = ThreadPoolExecutor(8, "lamarck-docker")
        self._client: Any = None
        self._image = ""
        self._probed: Probe | None = None
        self._lock = asyncio.Lock()
        self._build = asyncio.Lock()
        self._numbers = itertools.count(1)
        self._offset = int.from_bytes(os.urandom(4))
        self._first_uid, self._uids = launch.FIRST_UID, launch.UIDS
        self._live: set[Session] = set()
        self._starts: set[asyncio.Future[Started]] = set()
        self._ends: set[asyncio.Future[None]] = set()

    async def probe(self) -> Probe:
        """Say whether it works here, by running a sandbox and an escape check in it."""
        async with self._lock:
            if self._probed is None:
                began = time.monotonic()
                try:
                    await self.prepare()
                    began = time.monotonic()
                    session = await self._start(Limits(wall_s=5), Policy())
                    ready = time.monotonic() - began
                    async with session:
                        checked = await session.run(launch.ESCAPES)
                except SandboxError as error:
                    return Probe(self.name, False, reason=error.message, hint=error.hint or HINT)
                if checked.value != "'held'":
                    why = checked.value or (checked.error.message if checked.error else checked.status)
                    return Probe(self.name, False, reason=f"a container does not hold: {why}", hint=HINT)
                counted = self._runtime != "runsc"
                able = Capabilities(True, True, True, True, counted, True, True, True)
                mode = f"engine {await self._call(self._version)}, runtime {self._runtime or 'default'}"
                self._probed = Probe(self.name, True, "isolated", able, mode, ready_s=ready)
        return self._probed

    async def prepare(self) -> str:
        """Build the tree and import it as an image, once; return its content address."""
        async with self._build:
            if not self._image:
                tree = await asyncio.to_thread(rootfs.build, self._packages)
                self._image = await self._call(functools.partial(self._import, tree))
        return self._image.partition(":")[2]

    async def create(self, limits: Limits | None = None, policy: Policy | None = None) -> Session:
        """Start a sandbox."""
        probe = await self.probe()
        if not probe.available:
            raise SandboxError(f"docker is not available: {probe.reason}", hint=probe.hint, kind="unavailable")
        return await self._start(limits or Limits(), policy or Policy())

    async def sweep(self) -> int:
        """Remove the containers of dead owners on this machine; return how many."""

        def remove() -> int:
            api = self._api()
            removed = 0
            for found in api.containers(all=True, filters={"label": f"{MACHINE}={_machine()}"}):
                if not cgroups.owner_lives(found["Labels"].get(OWNER, "")):
                    _remove(api, found["Id"])
                    removed += 1
            return removed

        return await self._call(remove)

    async def close(self) -> None:
        """Kill what is left of its sandboxes and let go of the engine."""
        await asyncio.gather(*self._starts, return_exceptions=True)
        await asyncio.sleep(0)
        await asyncio.gather(*self._ends, return_exceptions=True)
        await asyncio.gather(*(session.kill() for session in list(self._live)), return_exceptions=True)
        self._live.clear()
        if self._client is not None:
            await asyncio.to_thread(self._client.close)
            self._client = None
        self._threads.shutdown(wait=False)

    async def _start(self, limits: Limits, policy: Policy) -> Session:
        await self.prepare()
        uid = self._first_uid + (self._offset + next(self._numbers)) % self._uids
        options = _options(limits, policy, self._runtime, uid)
        starting = asyncio.ensure_future(self._call(functools.partial(self._run, limits, policy, options, uid)))
        self._starts.add(starting)
        starting.add_done_callback(self._starts.discard)
        try:
            channel = await asyncio.shield(starting)
        except asyncio.CancelledError:
            # The thread goes on, and what it starts would be nobody's.
            starting.add_done_callback(self._abandon)
            raise
        attached = Attached(channel.ident, self._end)
        try:
            await attached.open(channel.raw, channel.keep)
        except BaseException:
            shut(channel.keep)
            await asyncio.shield(self._end(channel.ident))
            raise
        session = Session(attached, backend=self.name, guarantee="isolated", limits=limits, policy=policy)
        await session.hello(START_S)
        self._live = {other for other in self._live if other.alive} | {session}
        return session

    def _run(self, limits: Limits, policy: Policy, options: dict[str, Any], uid: int) -> Started:
        api = self._api()
        made = api.create_container(
            self._image,
            [launch.PYTHON, *launch.arguments(limits, scratch=["/dev/shm", "/dev/mqueue"])],
            stdin_open=True,
            environment=launch.environment(policy),
            user=f"{uid}:{uid}",
            working_dir="/work",
            hostname="sandbox",
            stop_signal="SIGKILL",
            labels={OWNER: cgroups.owner_tag(), MACHINE: _machine()},
            host_config=api.create_host_config(**options),
        )
        ident, keep = made["Id"], None
        try:
            # Attached before it starts, so that not a byte of its is missed.
            keep = api.attach_socket(ident, params={"stdin": 1, "stdout": 1, "stderr": 1, "stream": 1})
            api.start(ident)
            raw = getattr(keep, "_sock", keep)
            if not isinstance(raw, socket.socket) or isinstance(raw, ssl.SSLSocket):
                raise SandboxError(
                    f"the engine at {api.base_url} is reached over {type(raw).__name__}.", hint=HINT, kind="unavailable"
                )
        except BaseException:
            if keep is not None:
                shut(keep)
            with contextlib.suppress(Exception):
                _remove(api, ident)
            raise
        return Started(ident, raw, keep)

    def _abandon(self, starting: asyncio.Future[Started]) -> None:
        if not starting.cancelled() and starting.exception() is None:
            started = starting.result()
            shut(started.keep)
            self._ends.add(task := asyncio.ensure_future(self._end(started.ident)))
            task.add_done_callback(self._ends.discard)

    async def _end(self, ident: str) -> None:
        await self._call(lambda: _remove(self._api(), ident))

    def _import(self, tree: Path) -> str:
        import docker.errors

        api, name = self._api(), f"{IMAGE}:{tree.name}"
        if any("rootless" in option or "userns" in option for option in api.info().get("SecurityOptions") or ()):
            self._first_uid, self._uids = 20_000, 40_000  # such an engine has 65,536 users to give
        with contextlib.suppress(docker.errors.ImageNotFound):
            api.inspect_image(name)
            return name
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "tree.tar"
            with tarfile.open(path, "w") as tar:
                tar.add(tree, arcname=".", filter=_owned_by_root)
            answer = api.import_image_from_file(str(path), repository=IMAGE, tag=tree.name)
        if "error" in str(answer):
            raise SandboxError(f"the engine does not take the image: {str(answer)[:200]}", kind="image")
        return name

    def _version(self) -> str:
        return str(self._api().version()["Version"])

    def _api(self) -> Any:
        url = self._url or os.environ.get("DOCKER_HOST") or "unix:///var/run/docker.sock"
        _reach(url)
        if self._client is None:
            try:
                import docker
            except ImportError as error:
                raise SandboxError(
                    "docker needs the package docker.",
                    hint="Run: pip install 'lamarck-agents[docker]'",
                    kind="unavailable",
                ) from error
            self._client = docker.APIClient(base_url=url, version="auto", timeout=CALL_S)
        return self._client

    async def _call(self, work: Callable[[], T]) -> T:
        """Do something with the SDK, which blocks, in a thread of our own."""
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        except SandboxError:
            self._image = ""  # an engine that comes back may have lost it
            raise
        except Exception as error:
            self._image = ""
            if not type(error).__module__.startswith(("docker", "requests", "urllib3")) and not isinstance(
                error, OSError
            ):
                raise
            text = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
            raise SandboxError(f"the Docker engine failed: {text}", hint=HINT, kind="engine") from error


def _reach(url: str) -> None:
    """Check that an engine listens; the SDK leaves its socket open where none does.

    Raises:
        SandboxError: kind `engine`.
    """
    if not url.startswith("unix://"):
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as tried:
        tried.settimeout(5)
        try:
            tried.connect(url.removeprefix("unix://"))
        except OSError as error:
            raise SandboxError(f"no Docker engine answers at {url}.", hint=HINT, kind="engine") from error


def _options(limits: Limits, policy: Policy, runtime: str | None, uid: int) -> dict[str, Any]:
    from docker.types import LogConfig, Ulimit

    size, files, own = int(limits.disk), int(limits.files), f"uid={uid},gid={uid}"
    pids = int(limits.pids) + 4
    return {
        "network_mode": "none",
        "mem_limit": int(limits.memory),
        "memswap_limit": int(limits.memory),
        "pids_limit": max(pids, GVISOR_PIDS) if runtime == "runsc" else pids,
        "nano_cpus": int(limits.cpu * 1e9),
        "read_only": True,
        "tmpfs": {
            "/tmp": f"rw,nosuid,nodev,size={size},nr_inodes={files},mode=1777",
            "/work": f"rw,nosuid,nodev,size={size},nr_inodes={files},mode=0700,{own}",
        },
        "cap_drop": ["ALL"],
        "security_opt": [
            "no-new-privileges",
            f"seccomp={docker_profile(policy.network, mounts=bool(policy.mounts_ro))}",
        ],
        "ipc_mode": "private",
        "shm_size": 16 * 1024 * 1024,
        "log_config": LogConfig(type=LogConfig.types.NONE if hasattr(LogConfig.types, "NONE") else "none"),
        "ulimits": [Ulimit(name="core", soft=0, hard=0)],
        "binds": {str(outside): {"bind": inside, "mode": "ro"} for inside, outside in policy.mounts_ro.items()},
        "auto_remove": True,
        **({"runtime": runtime} if runtime else {}),
    }


def _remove(api: Any, ident: str) -> None:
    import docker.errors

    try:
        api.remove_container(ident, force=True)
    except docker.errors.NotFound:
        pass
    except docker.errors.APIError as error:
        if error.status_code != 409:  # it is being removed already
            raise


def _owned_by_root(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = "root"
    return entry


def _machine() -> str:
    """Return what tells this boot of this machine from others that share the engine."""
    with contextlib.suppress(OSError):
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return socket.gethostname()
