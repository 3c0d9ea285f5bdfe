"""A sandbox for a while, out of a pool."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from ..errors import SandboxError
from .result import ExecResult
from .sandbox import Sandbox

T = TypeVar("T")
log = logging.getLogger("lamarck.sandboxes")
RETRIED = frozenset({"died", "protocol", "timeout", "start", "engine"})
"""Failures of a sandbox after which a fresh one may do better."""


@dataclass
class Kept:
    """A sandbox of a pool, how old it is, and how often it was lent."""

    sandbox: Sandbox
    born: float
    uses: int = 0


class Lease:
    """A sandbox for a while. One that fails before anything was kept in it is replaced, once, unseen.

    Args:
        replace: gives another one in place of one that has failed.
        kept: the first.
    """

    def __init__(self, replace: Callable[[Kept], Awaitable[Kept]], kept: Kept) -> None:
        self._replace = replace
        self.kept = kept
        self._replaced = False

    @property
    def sandbox(self) -> Sandbox:
        """The sandbox as it is now."""
        return self.kept.sandbox

    async def run(self, code: str, *, timeout_s: float | None = None) -> ExecResult:
        """Run Python code; see `Sandbox`."""
        return await self._do(lambda sandbox: sandbox.run(code, timeout_s=timeout_s))

    async def exec(
        self,
        argv: Sequence[str],
        *,
        stdin: bytes = b"",
        cwd: str = "/work",
        env: Mapping[str, str] | None = None,
        timeout_s: float | None = None,
    ) -> ExecResult:
        """Run a program; see `Sandbox`."""
        return await self._do(lambda s: s.exec(argv, stdin=stdin, cwd=cwd, env=env, timeout_s=timeout_s))

    async def write_file(self, path: str, data: bytes) -> None:
        """Write a file; see `Sandbox`."""
        await self._do(lambda sandbox: sandbox.write_file(path, data))

    async def read_file(self, path: str) -> bytes:
        """Return a file; see `Sandbox`."""
        return await self._do(lambda sandbox: sandbox.read_file(path))

    async def list_files(self, path: str = "/work") -> list[str]:
        """Return the files below a folder; see `Sandbox`."""
        return await self._do(lambda sandbox: sandbox.list_files(path))

    async def reset(self) -> None:
        """Forget everything; see `Sandbox`."""
        await self._do(lambda sandbox: sandbox.reset())

    async def _do(self, call: Callable[[Sandbox], Awaitable[T]]) -> T:
        try:
            return await call(self.sandbox)
        except SandboxError as error:
            # With state in it, a fresh one would answer as if nothing had been before; that is for the caller to know.
            if self._replaced or self.sandbox.touched or error.kind not in RETRIED:
                raise
            log.warning("a sandbox failed, trying once more in a fresh one: %s", error)
            self._replaced = True
            self.kept = await self._replace(self.kept)
            return await call(self.sandbox)
