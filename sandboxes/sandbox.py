"""The seam: what every sandbox does, wherever it runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Protocol

from .limits import Limits, Policy
from .result import Capabilities, ExecResult, Guarantee


@dataclass(frozen=True)
class Probe:
    """Whether a backend works here, found by running a sandbox in it."""

    backend: str
    available: bool
    guarantee: Guarantee = "none"
    capabilities: Capabilities = field(default_factory=Capabilities)
    mode: str = ""
    """How it is launched here."""
    reason: str = ""
    """Why it is not available, or what is missing."""
    hint: str = ""
    """What to do about it."""
    ready_s: float = 0.0
    """How long a sandbox took to be ready, in seconds."""


class Sandbox(Protocol):
    """A place where code runs. One call at a time; use it with `async with`.

    Code that fails is an `ExecResult`. All methods raise `SandboxError` when the sandbox itself fails, of kind
    `died` (it is gone), `protocol` (it answered nonsense), `closed` (it was closed before) or `limits` (the
    request is larger than the limits allow).
    """

    backend: str
    guarantee: Guarantee
    limits: Limits
    touched: bool
    """Whether there is state in it that a fresh sandbox would lack."""
    spoiled: bool
    """Whether something went wrong in it that makes a fresh one the better choice."""

    @property
    def alive(self) -> bool:
        """Whether it still takes calls."""
        ...

    async def run(self, code: str, *, timeout_s: float | None = None) -> ExecResult:
        """Run Python code; variables stay for the next call.

        Args:
            code: the source; the value of a last expression is returned.
            timeout_s: in seconds, instead of the limit; never above it.
        """
        ...

    async def exec(
        self,
        argv: Sequence[str],
        *,
        stdin: bytes = b"",
        cwd: str = "/work",
        env: Mapping[str, str] | None = None,
        timeout_s: float | None = None,
    ) -> ExecResult:
        """Run a program to its end; what it leaves running is killed."""
        ...

    async def write_file(self, path: str, data: bytes) -> None:
        """Write a file below /work or /tmp; folders on the way are made.

        Raises:
            ToolError: the path is not allowed, or cannot be written.
        """
        ...

    async def read_file(self, path: str) -> bytes:
        """Return a regular file below /work or /tmp.

        Raises:
            ToolError: there is none, it is no regular file, or it is larger than the limit.
        """
        ...

    async def list_files(self, path: str = "/work") -> list[str]:
        """Return the paths of the files below a folder, sorted, relative to it.

        Raises:
            ToolError: there is no such folder.
        """
        ...

    async def reset(self) -> None:
        """Forget everything: a fresh interpreter, /work and /tmp empty, no process left."""
        ...

    async def ping(self) -> None:
        """Make sure that it answers."""
        ...

    async def kill(self) -> None:
        """End it and everything in it at once."""
        ...

    async def __aenter__(self) -> Sandbox: ...

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class Backend(Protocol):
    """A way to make sandboxes: docker, bubblewrap, unsafe-local."""

    name: str

    async def probe(self) -> Probe:
        """Say whether it works here, by running a sandbox and an escape check in it; the answer is kept."""
        ...

    async def prepare(self) -> str:
        """Build what sandboxes start from, once; return its content address."""
        ...

    async def create(self, limits: Limits | None = None, policy: Policy | None = None) -> Sandbox:
        """Start a sandbox.

        Raises:
            SandboxError: kind `unavailable` or `start`.
        """
        ...

    async def sweep(self) -> int:
        """Remove what dead owners left behind; return how many sandboxes that were."""
        ...

    async def close(self) -> None:
        """Kill what is left of its sandboxes and let go of the engine."""
        ...
