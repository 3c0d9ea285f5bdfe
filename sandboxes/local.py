"""No sandbox at all: code runs as we do. Only for trusted code, only on explicit demand."""

from __future__ import annotations

import asyncio
import logging
import shutil
import sys
import tempfile
from pathlib import Path

from ..errors import SandboxError
from . import cgroups, launch
from .limits import Limits, Policy
from .processes import Process
from .sandbox import Probe
from .session import Session

log = logging.getLogger("lamarck.sandboxes")
PREFIX = "lamarck-unsafe-"


class UnsafeLocal:
    """Runs code as a child process with our own rights; time, output and the memory of one process are limited.

    Args:
        allow_unsafe: must be True.

    Raises:
        SandboxError: kind `unsafe`, it is not.
    """

    name = "unsafe-local"

    def __init__(self, *, allow_unsafe: bool = False) -> None:
        if allow_unsafe is not True:
            raise SandboxError(
                "unsafe-local runs model-written code with all your rights.",
                hint="Use docker or bubblewrap; or set sandbox.allow_unsafe = true as well.",
                kind="unsafe",
            )
        self._live: set[Session] = set()
        self._warned = False

    async def probe(self) -> Probe:
        """Say that it works, and that it guarantees nothing."""
        return Probe(self.name, True, "none", mode="a child process with our rights", reason="nothing is guaranteed")

    async def prepare(self) -> str:
        """Build nothing."""
        return ""

    async def create(self, limits: Limits | None = None, policy: Policy | None = None) -> Session:
        """Start a child process."""
        if not self._warned:
            log.warning("unsafe-local: code runs with your rights, on your files and network")
            self._warned = True
        limits, policy = limits or Limits(), policy or Policy()
        folder = await asyncio.to_thread(_folders)
        channel = await Process.start(_command(folder, limits, policy), folder=folder)
        session = Session(channel, backend=self.name, guarantee="none", limits=limits, policy=policy)
        await session.hello(20.0)
        self._live = {other for other in self._live if other.alive} | {session}
        return session

    async def sweep(self) -> int:
        """Remove the folders of dead owners."""
        return await asyncio.to_thread(_sweep)

    async def close(self) -> None:
        """Kill what is left."""
        await asyncio.gather(*(session.kill() for session in list(self._live)))
        self._live.clear()


def _folders() -> Path:
    folder = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{cgroups.owner_tag()}-"))
    for name in ("work", "tmp"):
        (folder / name).mkdir()
    return folder


def _command(folder: Path, limits: Limits, policy: Policy) -> list[str]:
    places = [str(folder / "work"), str(folder / "tmp")]
    values = {**launch.environment(policy), "HOME": places[0], "TMPDIR": places[1]}
    worker = str(Path(__file__).parent / "inside" / "worker.py")
    told = launch.arguments(limits, address_space=True, nproc=False, places=places, scratch=[], shared_pids=True)
    python = str(Path(getattr(sys, "_base_executable", sys.executable)).resolve())
    argv = ["/usr/bin/env", "-i", *(f"{key}={value}" for key, value in values.items()), python]
    return argv + [worker if word == launch.WORKER else word for word in told]


def _sweep() -> int:
    removed = 0
    for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        tag = folder.name.removeprefix(PREFIX)
        if not cgroups.owner_lives("-".join(tag.split("-")[:3])):
            shutil.rmtree(folder, ignore_errors=True)
            removed += 1
    return removed
