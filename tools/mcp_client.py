"""The tools of an MCP server as a toolset."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypedDict, Unpack
from urllib.parse import urlsplit

from ..core import ToolCall, ToolSpec
from ..errors import ConfigError, SandboxError, ToolError
from .foreign import sendable
from .mcp_connection import Connection, Lost
from .mcp_tool import Known, answer_text, fingerprint, known
from .mcp_transport import endpoint, process
from .tool import MAX_CHARS, TIMEOUT_S, capped
from .toolset import unknown

if TYPE_CHECKING:
    from mcp.types import CallToolResult

log = logging.getLogger("lamarck.tools")

CONNECT_S = 30.0


class Limits(TypedDict, total=False):
    """What `McpTools.stdio` and `http` take beside the way to the server; see `McpTools`."""

    include: Collection[str] | None
    timeout_s: float
    connect_s: float
    max_chars: int


class McpTools:
    """The tools of an MCP server. Make it with `stdio` or `http`, and use it with `async with`.

    The tools are those that were there in the beginning. A server that dies is started anew, or connected to anew,
    with the next call; one that died while it worked on a call is asked again only where it had said that a call
    twice does no more than once. What a tool answers is the result of the call and nothing else.

    Args:
        name: the server's, for messages.
        connect: makes a connection, not yet open.
        include: names of the tools that are wanted, as the server calls them; all if not given.
        timeout_s: longest call, in seconds.
        connect_s: longest start of the server, in seconds.
        max_chars: longest result in characters.
    """

    def __init__(
        self,
        name: str,
        connect: Callable[[], Connection],
        *,
        include: Collection[str] | None = None,
        timeout_s: float = TIMEOUT_S,
        connect_s: float = CONNECT_S,
        max_chars: int = MAX_CHARS,
    ) -> None:
        self.name = name
        self._connect = connect
        self._include = include
        self._timeout_s = timeout_s
        self._connect_s = connect_s
        self._max_chars = max_chars
        self._lock = asyncio.Lock()
        self._connection: Connection | None = None
        self._open = False
        self._failure = 0.0, ""
        """When connecting failed last, and why."""
        self._known: dict[str, Known] = {}
        self._now: dict[str, str] = {}
        """Print of each tool as the server lists it now, by the server's name."""

    @classmethod
    def stdio(
        cls,
        command: str,
        args: Sequence[str] = (),
        *,
        env: Mapping[str, str] | None = None,
        cwd: str | Path | None = None,
        name: str = "",
        **limits: Unpack[Limits],
    ) -> Self:
        """Return the tools of a server that runs as a process of ours.

        Args:
            command: the program.
            args: its arguments.
            env: its environment beside PATH, HOME and the like; it does not see our other variables.
            cwd: its working folder.
            name: for messages; the program's if not given.
            **limits: include, timeout_s, connect_s, max_chars.
        """
        return cls(
            name or Path(command).name, lambda: Connection(process(command, args, env, cwd), hears=True), **limits
        )

    @classmethod
    def http(
        cls, url: str, *, headers: Mapping[str, str] | None = None, name: str = "", **limits: Unpack[Limits]
    ) -> Self:
        """Return the tools of a server at a URL (streamable HTTP).

        Args:
            url: its endpoint; redirects to another host are not followed.
            headers: sent with each request, for example `Authorization`.
            name: for messages; the host's if not given.
            **limits: include, timeout_s, connect_s, max_chars.

        Raises:
            ConfigError: the URL or a header cannot be used.
        """
        try:
            parts = urlsplit(url)
            host = parts.hostname and f"{parts.hostname}:{parts.port or parts.scheme}"
        except ValueError:
            host = None
        if not host or parts.scheme not in ("http", "https"):
            raise ConfigError(f"{url!r} is no URL of an MCP server.", hint="Give one like http://localhost:8000/mcp.")
        for key, value in (headers or {}).items():
            if not f"{key}{value}".isprintable():
                raise ConfigError(f"header {key!r} for MCP server {name or host} holds a line break or the like.")
        connect_s = limits.get("connect_s", CONNECT_S)
        # Answers are bounded by the call; the stream of notifications may be silent for minutes.
        read_s = max(300.0, 2 * limits.get("timeout_s", TIMEOUT_S))
        transport = endpoint(url, headers, connect_s, read_s)
        return cls(name or host, lambda: Connection(transport, hears=False), **limits)

    async def __aenter__(self) -> Self:
        """Connect and list the tools.

        Raises:
            ConfigError: the program does not exist, a tool that is wanted is not there or cannot be offered, or two
                have the same name.
            SandboxError: the server does not answer.
        """
        self._open = True
        try:
            connection = await self._connected()
            found = known(await connection.tools(self._connect_s), self._include, self.name)
        except Lost as lost:
            await self.__aexit__(None, None, None)
            cause = lost.__cause__
            if isinstance(cause, OSError) and cause.filename:
                raise ConfigError(f"MCP server {self.name} cannot be started: {lost}.") from lost
            raise self._dead(lost) from lost
        except BaseException:
            await self.__aexit__(None, None, None)
            raise
        self._known = {tool.spec.name: tool for tool in found}
        self._now = {tool.name: tool.print for tool in found}
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the connection; a server process ends with it."""
        self._open = False
        async with self._lock:  # a call may be about to connect anew
            if self._connection is not None:
                await self._connection.close()

    def specs(self) -> Sequence[ToolSpec]:
        """Return what the model is told.

        Raises:
            ConfigError: it was never connected.
        """
        if not self._known and not self._open:
            raise ConfigError(f"MCP server {self.name} is not connected.", hint="Use its tools inside `async with`.")
        return [tool.spec for tool in self._known.values()]

    async def call(self, call: ToolCall) -> ToolCall:
        """Run a call and return it with its result, or with an error the model may read.

        Raises:
            SandboxError: the server is dead and could not be brought back.
        """
        tool = self._known.get(call.name)
        if tool is None:
            return unknown(call, self.specs())
        started = time.monotonic()
        try:
            answer = await self._ask(tool, sendable(call.name, call.arguments))
            text, failed = answer_text(answer), answer.is_error
        except ToolError as error:
            text, failed = str(error), True
        text, truncated = capped(text, self._max_chars)
        seconds = time.monotonic() - started
        result, said = (None, text) if failed else (text, None)
        return call.model_copy(update={"result": result, "error": said, "truncated": truncated, "seconds": seconds})

    async def _ask(self, tool: Known, arguments: dict[str, Any]) -> CallToolResult:
        try:
            return await self._send(tool, arguments)
        except Lost as lost:
            if not (tool.repeatable or lost.undone):
                raise self._dead(lost, f"died while it worked on {tool.name}") from lost
            log.warning("MCP server %s is gone (%s); connecting anew", self.name, lost)
        try:
            return await self._send(tool, arguments)
        except Lost as lost:
            raise self._dead(lost) from lost

    async def _send(self, tool: Known, arguments: dict[str, Any]) -> CallToolResult:
        try:
            connection = await self._connected()
        except Lost as lost:
            raise self._dead(lost) from lost
        if self._now.get(tool.name) != tool.print:
            how = "has changed" if tool.name in self._now else "is gone"
            log.warning("tool %s of MCP server %s %s since it was listed", tool.name, self.name, how)
            raise ToolError(
                f"tool {tool.name} of MCP server {self.name} {how} since it was listed; it is not called any more.",
                hint="Do without it.",
            )
        return await connection.call(tool.name, arguments, self._timeout_s)

    async def _connected(self) -> Connection:
        """Return a live connection whose list of tools is known; a new one where the last was lost."""
        asked = time.monotonic()
        async with self._lock:
            if not self._open:
                raise SandboxError(
                    f"MCP server {self.name} is not connected.", hint="Use its tools inside `async with`.", kind="mcp"
                )
            if self._connection is not None and self._connection.alive:
                try:
                    return await self._current(self._connection)
                except Lost as lost:
                    log.warning("MCP server %s is gone (%s); connecting anew", self.name, lost)
            return await self._current(await self._fresh(asked))

    async def _fresh(self, asked: float) -> Connection:
        if self._connection is not None:
            await self._connection.close()
        failed_at, reason = self._failure
        if failed_at > asked:  # another call has tried while this one waited
            raise Lost(reason)
        fresh = self._connect()
        try:
            await fresh.open(self._connect_s)
        except Lost as lost:
            self._failure = time.monotonic(), str(lost)
            raise
        fresh.changed = bool(self._known)  # as far as we know, a server that starts anew is another one
        self._connection = fresh
        return fresh

    async def _current(self, connection: Connection) -> Connection:
        """Look again at the tools of a server that says, or might say if we heard it, that they changed."""
        if connection.changed or connection.deaf:
            connection.changed = False  # before we look: they may change again meanwhile
            try:
                self._now = {tool.name: fingerprint(tool) for tool in await connection.tools(self._connect_s)}
            except Lost:
                await connection.close(at_once=True)
                raise
            except BaseException:
                connection.changed = True
                raise
        return connection

    def _dead(self, lost: Lost, how: str = "does not answer") -> SandboxError:
        return SandboxError(f"MCP server {self.name} {how}: {lost}.", hint="Check that it runs.", kind="mcp_dead")
