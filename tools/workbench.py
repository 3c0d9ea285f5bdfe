"""The tools of one episode: opened with it, closed with it, with a sandbox of its own once one is needed."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Protocol

from ..core import Task, ToolCall, ToolSpec
from ..sandboxes.lease import Lease
from ..sandboxes.pool import Pool
from .builtin import Leased, file_tools, python_tool, shell_tool
from .tool import Tool
from .toolset import Joined, Tools, Toolset

log = logging.getLogger("lamarck.tools")

STATEFUL = frozenset({"python", "shell", "write_file"})
"""Calls that change what later calls find."""
SANDBOXED = ("python", "shell", "files")


class Bench(Protocol):
    """The tools of one episode."""

    def specs(self) -> Sequence[ToolSpec]:
        """Return what the model is told."""
        ...

    async def call(self, call: ToolCall) -> ToolCall:
        """Run a call and return it with its result or error."""
        ...

    async def restore(self, calls: Sequence[ToolCall]) -> None:
        """Bring the sandbox to where these calls left it."""
        ...


More = Callable[[Leased, Task, str], Toolset]
"""Makes tools that need the episode's sandbox, its task, or the id of its trajectory."""


class Workbench:
    """Makes the tools of each episode.

    Args:
        pool: where sandboxes come from; None where no tool needs one.
        builtin: names of built-in tools that need a sandbox: python, shell, files.
        shared: tools that all episodes share.
        more: makes further tools for each episode.
        around: put around all of them, to limit, record or approve calls.
        renew: take another sandbox where the first has ended; an episode must not, a server that goes on for long may.

    Raises:
        ConfigError: two tools have the same name.
    """

    def __init__(
        self,
        *,
        pool: Pool | None = None,
        builtin: Sequence[str] = (),
        shared: Sequence[Toolset] = (),
        more: Sequence[More] = (),
        around: Callable[[Toolset], Toolset] | None = None,
        renew: bool = False,
    ) -> None:
        self._pool = pool
        self._builtin = tuple(builtin)
        self._shared = tuple(shared)
        self._more = tuple(more)
        self._around = around
        self._renew = renew

    def with_more(self, *more: More) -> Workbench:
        """Return one with further tools."""
        return Workbench(
            pool=self._pool,
            builtin=self._builtin,
            shared=self._shared,
            more=(*self._more, *more),
            around=self._around,
            renew=self._renew,
        )

    @asynccontextmanager
    async def session(self, task: Task, trajectory_id: str) -> AsyncIterator[EpisodeTools]:
        """Open the tools of one episode."""
        async with AsyncExitStack() as stack:
            lease = LazyLease(self._pool, renew=self._renew)
            stack.push_async_callback(lease.close)
            made: list[Toolset] = [Tools(sandboxed(self._builtin, lease)), *self._shared]
            made += [more(lease, task, trajectory_id) for more in self._more]
            inner = Joined(*made)
            yield EpisodeTools(self._around(inner) if self._around is not None else inner, inner)


class EpisodeTools:
    """The tools of one episode, and what they leave in its sandbox.

    Args:
        toolset: all of them, as the model calls them.
        inner: all of them, without what is put around; nobody is asked about what was agreed to before.
    """

    def __init__(self, toolset: Toolset, inner: Toolset) -> None:
        self._toolset = toolset
        self._inner = inner

    def specs(self) -> Sequence[ToolSpec]:
        """Return what the model is told."""
        return self._toolset.specs()

    async def call(self, call: ToolCall) -> ToolCall:
        """Run a call."""
        return await self._toolset.call(call)

    async def restore(self, calls: Sequence[ToolCall]) -> None:
        """Run the calls again that left something behind, for an episode that goes on in another process."""
        for call in calls:
            if call.name in STATEFUL and call.ran:
                await self._inner.call(call)


class LazyLease:
    """A lease that begins when it is first asked for.

    Args:
        pool: where the sandbox comes from.
        renew: take another one where it has ended.
    """

    def __init__(self, pool: Pool | None, *, renew: bool = False) -> None:
        self._pool = pool
        self._renew = renew
        self._lease: Lease | None = None
        self._stack = AsyncExitStack()
        # Calls of one answer run at once, and all of them are for one sandbox.
        self._turn = asyncio.Lock()

    async def __call__(self) -> Lease:
        """Return the lease."""
        async with self._turn:
            if self._lease is not None and self._renew and not self._lease.sandbox.alive:
                log.warning("the sandbox has ended; a new one takes its place, without what was in it")
                await self.close()
            if self._lease is None:
                assert self._pool is not None
                self._lease = await self._stack.enter_async_context(self._pool.lease())
            return self._lease

    async def close(self) -> None:
        """End the lease."""
        self._lease = None
        stack, self._stack = self._stack, AsyncExitStack()
        await stack.aclose()


def sandboxed(names: Sequence[str], lease: Leased) -> list[Tool]:
    """Return built-in tools by name."""
    made: list[Tool] = []
    for name in names:
        if name == "python":
            made.append(python_tool(lease))
        elif name == "shell":
            made.append(shell_tool(lease))
        elif name == "files":
            made += file_tools(lease)
    return made
