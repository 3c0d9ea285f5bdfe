"""Serving an application over HTTP inside a running event loop: where it listens, and for how long."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

from .errors import ConfigError, LamarckError

START_S = 10.0
STOP_S = 5.0

App = Callable[[Any, Any, Any], Awaitable[None]]
"""An application as ASGI has it."""


def is_local(host: str) -> bool:
    """Say whether an address is of this machine alone."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def listening(what: str, host: str, port: int) -> socket.socket:
    """Return a socket that listens; on a free port if `port` is 0.

    Args:
        what: what is to be served, for the error.
        host: an address of this machine.
        port: the port.

    Raises:
        ConfigError: the address cannot be used.
    """
    try:
        return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ConfigError(f"{what} cannot be served at {host}:{port}: {reason}.", hint="Use another port.") from error


def url_of(listener: socket.socket, host: str) -> str:
    """Return the URL under which a socket is reached by who knows it as `host`."""
    return f"http://{f'[{host}]' if ':' in host else host}:{listener.getsockname()[1]}"


@asynccontextmanager
async def running(app: App, listener: socket.socket, failed: LamarckError, **settings: Any) -> AsyncIterator[None]:
    """Serve `app` for as long as the block lasts; signals stay the caller's matter.

    Args:
        app: the application.
        listener: the socket, listening.
        failed: what to raise where the server does not start.
        settings: what else uvicorn is told.
    """
    import uvicorn

    class Server(uvicorn.Server):
        @contextmanager
        def capture_signals(self) -> Iterator[None]:
            yield

    config = uvicorn.Config(app, log_config=None, access_log=False, timeout_graceful_shutdown=int(STOP_S), **settings)
    server = Server(config)
    task = asyncio.create_task(server.serve([listener]))
    try:
        deadline = asyncio.get_running_loop().time() + START_S
        while not server.started:
            if task.done() or asyncio.get_running_loop().time() > deadline:
                raise failed
            await asyncio.sleep(0.01)
        yield
    finally:
        server.should_exit = True
        await asyncio.wait((task,), timeout=2 * STOP_S)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
