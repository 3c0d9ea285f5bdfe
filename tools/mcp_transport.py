"""How to reach an MCP server: the pipes of a process, or streamable HTTP."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from .foreign import plain

if TYPE_CHECKING:
    import httpx2

MAX_ANSWER = 32 * 1024 * 1024
"""Bytes of one answer over HTTP."""
SAID = 2_000
"""Bytes of a server's error output that are kept to explain its death."""
REFUSED = (401, 403, 407, 429)
"""HTTP statuses that say something of the server, not of the call, which it did not act upon."""
OUT = (502, 503, 504)
"""HTTP statuses of a server that is out of order."""

Streams = tuple[Any, Any]
Transport = Callable[["Said"], AbstractAsyncContextManager[Streams]]
"""Opens the streams to and from a server, and hears what it says beside them."""


class Said(asyncio.Protocol):
    """The end of what a server process wrote to its error output."""

    text = b""

    def data_received(self, data: bytes) -> None:
        """Keep the end."""
        self.text = (self.text + data)[-SAID:]

    @property
    def last(self) -> str:
        """The last line that says something."""
        lines = self.text.decode(errors="replace").strip().splitlines()
        return plain(lines[-1], 300) if lines else ""


class Watched:
    """The stream of what the server says, which tells when it has ended."""

    def __init__(self, stream: Any, over: asyncio.Event) -> None:
        self._stream = stream
        self._over = over

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Any:
        try:
            return await self._stream.__anext__()
        except StopAsyncIteration:
            self._over.set()
            raise

    async def receive(self) -> Any:
        return await self._stream.receive()

    async def aclose(self) -> None:
        await self._stream.aclose()

    async def __aenter__(self) -> Self:
        await self._stream.__aenter__()
        return self

    async def __aexit__(self, *error: Any) -> Any:
        return await self._stream.__aexit__(*error)


def process(command: str, args: Sequence[str], env: Mapping[str, str] | None, cwd: str | Path | None) -> Transport:
    """Return the transport over the pipes of a server process, which sees only harmless variables and `env`."""

    @asynccontextmanager
    async def open_process(said: Said) -> AsyncIterator[Streams]:
        from mcp import StdioServerParameters, stdio_client

        parameters = StdioServerParameters(command=command, args=list(args), env=dict(env or {}), cwd=cwd)
        read_end, write_end = os.pipe()
        with os.fdopen(write_end, "w") as errors, os.fdopen(read_end, "rb", 0) as output:
            pipe, _ = await asyncio.get_running_loop().connect_read_pipe(lambda: said, output)
            try:
                async with AsyncExitStack() as stack:
                    streams = await stack.enter_async_context(stdio_client(parameters, errlog=errors))
                    errors.close()  # the server holds the other copy
                    yield streams
            finally:
                pipe.close()

    return open_process


def endpoint(url: str, headers: Mapping[str, str] | None, connect_s: float, read_s: float) -> Transport:
    """Return the transport to a streamable HTTP endpoint."""

    @asynccontextmanager
    async def open_endpoint(said: Said) -> AsyncIterator[Streams]:
        import httpx2
        from mcp.client.streamable_http import streamable_http_client

        timeout = httpx2.Timeout(connect_s, read=read_s)
        hooks: dict[str, list[Callable[..., Any]]] = {"response": [_refused]}
        async with (
            httpx2.AsyncClient(headers=dict(headers or {}), timeout=timeout, event_hooks=hooks) as client,
            streamable_http_client(url, http_client=client, max_sse_event_size=MAX_ANSWER) as streams,
        ):
            yield streams

    return open_endpoint


async def _refused(response: httpx2.Response) -> None:
    """End the connection at a status that says something of the server; others are answers to the call."""
    import httpx2

    status = response.status_code
    if status < 400:
        return
    body = (await response.aread())[:2_000].lower()
    # A server that was started anew does not know the session: 404 by the standard, 400 by a widespread example.
    gone = "mcp-session-id" in response.request.headers and (status == 404 or (status == 400 and b"session" in body))
    if gone or status in REFUSED or (status in OUT and b'"jsonrpc"' not in body):
        reason = "the server has forgotten the session" if gone else f"HTTP {status} {response.reason_phrase}"
        raise httpx2.HTTPStatusError(reason, request=response.request, response=response)
