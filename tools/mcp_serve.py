"""Our tools for others: a toolset served over MCP."""

from __future__ import annotations

import hmac
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from ..core import ToolCall
from ..errors import INFRASTRUCTURE, ConfigError, SandboxError
from ..serving import App, is_local, listening, running, url_of
from .toolset import Toolset

if TYPE_CHECKING:
    from mcp.server.lowlevel import Server

log = logging.getLogger("lamarck.tools")

PATH = "/mcp"


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
    if not token and not is_local(host):
        raise ConfigError(f"tools served at {host} could be called by anyone.", hint="Give a token.")
    failed = SandboxError("the MCP server does not start.", hint="See the log.", kind="mcp")
    with listening("tools", host, port) as listener:
        app: App = mcp_server(toolset, name).streamable_http_app(streamable_http_path=PATH, host=host)
        async with running(_guarded(app, token) if token else app, listener, failed, ws="none", lifespan="on"):
            yield url_of(listener, host) + PATH


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
