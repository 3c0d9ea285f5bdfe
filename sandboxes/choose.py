"""Which backend: the one that is named, or the first that works; never silently none."""

from __future__ import annotations

from collections.abc import Sequence

from ..errors import SandboxError
from .sandbox import Backend, Probe

NAMES = ("auto", "docker", "bubblewrap", "unsafe-local")
WAYS_OUT = (
    "Install bubblewrap (Debian: apt-get install bubblewrap), or start Docker or point DOCKER_HOST to an engine, "
    "or, for code you trust, choose unsafe-local with allow_unsafe."
)


def make_backend(
    name: str,
    *,
    packages: Sequence[str] = (),
    allow_unsafe: bool = False,
    url: str | None = None,
    runtime: str | None = None,
) -> Backend:
    """Return a backend by its name, untried.

    Args:
        name: docker, bubblewrap or unsafe-local.
        packages: installed distributions that code in its sandboxes may import.
        allow_unsafe: must be True for unsafe-local.
        url: of the Docker engine; `DOCKER_HOST` if not given.
        runtime: of the Docker engine, such as `runsc`.

    Raises:
        SandboxError: kind `unknown`, there is none of that name; kind `unsafe`.
    """
    if name == "docker":
        from .docker_engine import DockerEngine

        return DockerEngine(packages=packages, url=url, runtime=runtime)
    if name == "bubblewrap":
        from .bubblewrap import Bubblewrap

        return Bubblewrap(packages=packages)
    if name == "unsafe-local":
        from .local import UnsafeLocal

        return UnsafeLocal(allow_unsafe=allow_unsafe)
    raise SandboxError(f"there is no sandbox backend {name!r}; there are: {', '.join(NAMES)}.", kind="unknown")


async def open_backend(
    name: str = "auto",
    *,
    packages: Sequence[str] = (),
    allow_unsafe: bool = False,
    url: str | None = None,
    runtime: str | None = None,
) -> Backend:
    """Return a backend that works here, with what dead owners left behind removed.

    `auto` takes docker, else bubblewrap. It never takes unsafe-local: who has asked for a sandbox gets one or an error.

    Args:
        name: one of `NAMES`.
        packages: installed distributions that code in its sandboxes may import.
        allow_unsafe: must be True for unsafe-local.
        url: of the Docker engine; `DOCKER_HOST` if not given.
        runtime: of the Docker engine, such as `runsc`.

    Raises:
        SandboxError: kind `unavailable`, with the reason of each and the ways out.
    """
    refused: list[Probe] = []
    for candidate in ("docker", "bubblewrap") if name == "auto" else (name,):
        backend = make_backend(candidate, packages=packages, allow_unsafe=allow_unsafe, url=url, runtime=runtime)
        probe = await backend.probe()
        if probe.available:
            await backend.sweep()
            return backend
        await backend.close()
        refused.append(probe)
    reasons = "; ".join(f"{probe.backend}: {probe.reason.rstrip('.')}" for probe in refused)
    hint = WAYS_OUT if name == "auto" else refused[-1].hint
    raise SandboxError(f"no sandbox works here ({reasons}).", hint=hint, kind="unavailable")
