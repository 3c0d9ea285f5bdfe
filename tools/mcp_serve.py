"""Our tools for others: a toolset served over MCP."""

from __future__ import annotations

import asyncio
import hmac
import ipaddress
import logging
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Any

from ..core import ToolCall
from ..errors import INFRASTRUCTURE, ConfigError, SandboxError
from .toolset import Toolset

if TYPE_CHECKING:
    from mcp.server.lowlevel import Server

log = logging.getLogger("lamarck.tools")

START_S = 10.0
STOP_S = 5.0
PATH = "/mcp"

App = Callable[[Any, Any, Any], Awaitable[None]]


def mcp_server(toolset: Toolset, name: str = "lamarck") -> Server[Any]:
    """Return an MCP server of a toolset; it does not run yet.

    A call's error is a result with `isError`, which the caller's model reads. Where infrastructure failed, or the
    toolset itself did, the call ends in an error of the protocol.
    """
    from mcp import MCPError
    from mcp.server.lowlevel import Server
    from mcp.types import (
        INTERNAL_ERROR,
        CallToolRequestParams,
        CallToolResult,
        ListToolsResult,
        PaginatedRequestParams,
        TextContent,
        Tool,
    )

    async def on_list(_: Any, params: PaginatedRequestParams | None) -> ListToolsResult:
        specs = toolset.specs()
        tools = [Tool(name=one.name, description=one.description, input_schema=dict(one.parameters)) for one in specs]
        return ListToolsResult(tools=tools)

    async def on_call(_: Any, params: CallToolRequestParams) -> CallToolResult:
        try:
            done = await toolset.call(ToolCall(name=params.name, arguments=params.arguments or {}))
        except INFRASTRUCTURE as error:
            raise MCPError(INTERNAL_ERROR, str(error)) from error
        except Exception as error:
            log.exception("tool %s failed", params.name)
            raise MCPError(INTERNAL_ERROR, f"{params.name} failed ({type(error).__name__}).") from error
        text = done.error if done.error is not None else done.result or ""
        return CallToolResult(content=[TextContent(text=text)], is_error=done.error is not None)

    return Server(name, on_list_tools=on_list, on_call_tool=on_call)


async def serve_stdio(toolset: Toolset, name: str = "lamarck") -> None:
    """Serve a toolset over this process's standard input and output until the input ends.

    While it serves, what the tools print goes to the error output.
    """
    from mcp import stdio_server

    server = mcp_server(toolset, name)
    async with stdio_server() as (read, write):
        await server.run(read, write, server.create_initialization_options())


@asynccontextmanager
async def serve_http(
    toolset: Toolset, name: str = "lamarck", *, host: str = "127.0.0.1", port: int = 0, token: str = ""
) -> AsyncIterator[str]:
    """Serve a toolset over streamable HTTP while the block runs, and give its URL.

    Args:
        toolset: the tools.
        name: the server's.
        host: the address to listen at.
        port: the port; a free one if 0.
        token: what callers must send as `Authorization: Bearer TOKEN`; needed where other machines can call.

    Raises:
        ConfigError: the address cannot be used, or is open to other machines and there is no token.
        SandboxError: the server does not start.
    """
    if not token and not _is_local(host):
        raise ConfigError(f"tools served at {host} could be called by anyone.", hint="Give a token.")
    try:
        listener = socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        raise ConfigError(
            f"tools cannot be served at {host}:{port}: {error.strerror}.", hint="Use another port."
        ) from error
    with listener:
        app: App = mcp_server(toolset, name).streamable_http_app(streamable_http_path=PATH, host=host)
        async with _running(_guarded(app, token) if token else app, listener):
            shown = f"[{host}]" if ":" in host else host
            yield f"http://{shown}:{listener.getsockname()[1]}{PATH}"


@asynccontextmanager
async def _running(app: App, listener: socket.socket) -> AsyncIterator[None]:
    import uvicorn

    class Server(uvicorn.Server):
        @contextmanager
        def capture_signals(self) -> Iterator[None]:
            yield  # signals are the caller's matter

    config = uvicorn.Config(
        app, log_config=None, access_log=False, ws="none", lifespan="on", timeout_graceful_shutdown=int(STOP_S)
    )
    server = Server(config)
    task = asyncio.create_task(server.serve([listener]))
    try:
        deadline = asyncio.get_running_loop().time() + START_S
        while not server.started:
            if task.done() or asyncio.get_running_loop().time() > deadline:
                raise SandboxError("the MCP server does not start.", hint="See the log.", kind="mcp")
            await asyncio.sleep(0.01)
        yield
    finally:
        server.should_exit = True
        await asyncio.wait((task,), timeout=2 * STOP_S)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def _guarded(app: App, token: str) -> App:
    """Let in only who knows the token."""
    wanted = f"Bearer {token}".encode()

    async def guard(scope: Any, receive: Any, send: Any) -> None:
        given = dict(scope.get("headers", ())).get(b"authorization", b"")
        if scope["type"] == "http" and not hmac.compare_digest(given, wanted):
            await send({"type": "http.response.start", "status": 401, "headers": [(b"www-authenticate", b"Bearer")]})
            await send({"type": "http.response.body", "body": b"a token is needed\n"})
        else:
            await app(scope, receive, send)

    return guard


def _is_local(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
