"""One connection to an MCP server, in a task of its own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from ..errors import ToolError
from .foreign import plain
from .mcp_transport import Said, Streams, Transport, Watched

if TYPE_CHECKING:
    import anyio
    from mcp import Client
    from mcp.client.session import IncomingMessage
    from mcp.types import CallToolResult, Tool

CLOSE_S = 10.0
PROBE_S = 5.0
MAX_PAGES = 100


class Lost(Exception):
    """The server is gone.

    Args:
        reason: why, for a person.
        undone: whether it certainly did not act on what was asked last.
    """

    def __init__(self, reason: str, *, undone: bool = False) -> None:
        super().__init__(reason)
        self.undone = undone


class Connection:
    """One connection. What it consists of may only be closed by the task that opened it, so it has its own task.

    Args:
        transport: opens the streams to the server.
        hears: whether what an older server tells unasked reaches us for certain: over pipes, but not over HTTP.
    """

    def __init__(self, transport: Transport, *, hears: bool) -> None:
        self._transport = transport
        self._hears = hears
        self._said = Said()
        self._over = asyncio.Event()
        self._scope: anyio.CancelScope | None = None
        self._task: asyncio.Task[None] | None = None
        self._client: Client | None = None
        self._error: BaseException | None = None
        self._asked = 0
        """Calls under way."""
        self._alone = True
        """Whether at most one was when it ended, so that what ended it was the fate of that one."""
        self.changed = False
        """Whether the server has said that its tools changed."""
        self.deaf = False
        """Whether it could change them without our hearing of it."""

    @property
    def alive(self) -> bool:
        """Whether calls can be sent."""
        return self._client is not None and not self._over.is_set()

    async def open(self, timeout_s: float) -> None:
        """Connect and agree on a protocol version.

        Raises:
            Lost: it did not work, or not within `timeout_s`.
        """
        ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._task = asyncio.create_task(self._live(ready))
        self._task.add_done_callback(self._ended)
        try:
            await asyncio.wait((self._task, ready), timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
        finally:
            if not ready.done():
                await self.close(at_once=True)
        if not ready.done():
            raise self._lost(f"no answer within {timeout_s:g} s")

    async def close(self, *, at_once: bool = False) -> None:
        """End it: politely, unless it hangs or is to end at once."""
        if self._task is None:
            return
        self._over.set()
        if not at_once:
            await asyncio.wait((self._task,), timeout=CLOSE_S)
        if self._scope is not None:
            self._scope.cancel()
        else:
            self._task.cancel()
        await asyncio.wait((self._task,), timeout=CLOSE_S)

    async def tools(self, timeout_s: float) -> list[Tool]:
        """Return what the server offers now.

        Raises:
            Lost: it gave no list.
        """
        from mcp import MCPError
        from pydantic import ValidationError

        found: list[Tool] = []
        cursor: str | None = None
        try:
            async with asyncio.timeout(timeout_s):
                for _ in range(MAX_PAGES):
                    page = await self._client_().list_tools(cursor=cursor)
                    found.extend(page.tools)
                    cursor = page.next_cursor
                    if not cursor:
                        return found
        except TimeoutError:
            raise Lost(f"no list of tools within {timeout_s:g} s", undone=True) from None
        except MCPError as error:
            lost = await self._why(error)
            raise Lost(str(lost) if lost else f"no list of tools: {error}", undone=True) from error
        except ValidationError as error:
            raise Lost("its list of tools breaks the protocol", undone=True) from error
        raise Lost(f"its list of tools has more than {MAX_PAGES} pages", undone=True)

    async def call(self, name: str, arguments: dict[str, Any], timeout_s: float) -> CallToolResult:
        """Call a tool.

        Raises:
            ToolError: the server refuses the call, or takes too long.
            Lost: the server is gone.
        """
        from mcp import MCPError
        from pydantic import ValidationError

        client = self._client_()
        self._asked += 1
        try:
            async with asyncio.timeout(timeout_s):
                # Not the client's own call_tool: where a schema changed, that one would adapt to it unasked.
                return await client.session.call_tool(name, arguments)
        except TimeoutError:
            await self._probe()
            raise ToolError(f"{name} took longer than {timeout_s:g} s and was stopped.") from None
        except MCPError as error:
            if lost := await self._why(error):
                raise lost from error
            raise ToolError(f"{name} was refused: {error}") from error
        except (ValidationError, RuntimeError) as error:
            raise ToolError(f"{name} answered in a way that breaks the protocol: {_first(error)}") from error
        finally:
            self._asked -= 1

    async def _probe(self) -> None:
        """Part with a server that hangs as a whole, so that the next call begins with a fresh one."""
        try:
            await self.tools(PROBE_S)
        except Lost:
            await self.close(at_once=True)

    async def _why(self, error: Exception) -> Lost | None:
        """Return what an error of the protocol says of the connection, if the connection is at fault."""
        from mcp.types import CONNECTION_CLOSED

        if self._task is None or getattr(error, "code", 0) != CONNECTION_CLOSED:
            return None
        # Servers may use this code for errors of their own; these words are those of our side.
        if self.alive and str(error) != "Connection closed" and not str(error).startswith("SSE stream ended"):
            return None
        self._over.set()
        await asyncio.wait((self._task,), timeout=CLOSE_S)
        return self._lost(_first(error))

    def _lost(self, reason: str) -> Lost:
        """Return why this connection ended; `reason` where nothing else is known."""
        import httpx2

        leaf = self._error
        while isinstance(leaf, BaseExceptionGroup):
            leaf = leaf.exceptions[0]
        status = leaf.response.status_code if isinstance(leaf, httpx2.HTTPStatusError) else 0
        undone = isinstance(leaf, httpx2.ConnectError) or (400 <= status < 500)
        said = f"; it said: {self._said.last}" if self._said.last else ""
        lost = Lost((reason if leaf is None else _first(leaf)) + said, undone=undone and self._alone)
        lost.__cause__ = leaf
        return lost

    def _client_(self) -> Client:
        if self._client is None or not self.alive:
            raise Lost("the connection is closed", undone=True)
        return self._client

    async def _live(self, ready: asyncio.Future[None]) -> None:
        import anyio
        from mcp import Client

        with anyio.CancelScope() as self._scope:
            async with (
                Client(self._watched(), cache=None, message_handler=self._heard) as client,
                anyio.create_task_group() as group,
            ):
                self._client = client
                group.start_soon(self._listen, client)
                ready.set_result(None)
                await self._over.wait()
                group.cancel_scope.cancel()

    @asynccontextmanager
    async def _watched(self) -> AsyncIterator[Streams]:
        async with self._transport(self._said) as (read, write):
            yield Watched(read, self._over), write

    async def _listen(self, client: Client) -> None:
        """Ask to be told of changes, which since 2026-07-28 servers do only where they are asked to."""
        from mcp import MCPError
        from mcp.client.subscriptions import ListenNotSupportedError, SubscriptionLost

        tools = client.server_capabilities.tools
        if not tools or not tools.list_changed:
            return
        try:
            async with client.listen(tools_list_changed=True) as subscription:
                async for _ in subscription:
                    self.changed = True
        except ListenNotSupportedError:
            self.deaf = not self._hears
            return
        except (MCPError, SubscriptionLost):
            pass
        self.deaf = True

    async def _heard(self, message: IncomingMessage) -> None:
        from mcp.types import ToolListChangedNotification

        if isinstance(message, ToolListChangedNotification):
            self.changed = True

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._error = None if task.cancelled() else task.exception()
        self._alone = self._asked <= 1
        self._over.set()


def _first(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return plain(lines[0], 300) if lines else type(error).__name__
