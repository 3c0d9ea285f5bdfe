"""Any taskset of ours as an OpenEnv server, for OpenEnv's own client and whatever trains through it.

The messages are those of OpenEnv 0.10: `/ws` for play, the task lists and schemas over HTTP. Unlike there, `/reset`
and `/step` over HTTP share a session too: `/reset` names it in `metadata.session_id`.
"""

from __future__ import annotations

import asyncio
import hmac
import ipaddress
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any

from ...agent.hosting import WorldPool
from ...errors import ConfigError, EnvironmentFailure
from ...seams import Taskset
from .openenv_application import application
from .openenv_catalogue import Catalogue
from .openenv_sessions import Sessions

START_S = 10.0
STOP_S = 5.0

App = Callable[[Any, Any, Any], Awaitable[None]]


@dataclass(frozen=True)
class Serving:
    """How to serve.

    Args:
        host: address to listen on.
        port: port; a free one if 0.
        token: what callers must send as `Authorization: Bearer TOKEN`; needed where other machines can call.
        split: where a reset that names no split looks for its task.
        max_sessions: players at once; the pool must have as many worlds.
        idle_s: a session that says nothing for so long is closed, in seconds.
        linger_s: how long a session waits for a client whose connection was lost, in seconds.
    """

    host: str = "127.0.0.1"
    port: int = 0
    token: str = ""
    split: str | None = None
    max_sessions: int = 64
    idle_s: float = 900.0
    linger_s: float = 30.0


@asynccontextmanager
async def serve_taskset(taskset: Taskset, pool: WorldPool, how: Serving) -> AsyncIterator[str]:
    """Serve a taskset while the block runs, and give the server's URL.

    Raises:
        ConfigError: the address cannot be used or is open to other machines without a token, there is no such
            split, or the WebSocket library is missing.
        EnvironmentFailure: the server does not start.
    """
    if not how.token and not is_local(how.host):
        raise ConfigError(f"worlds served at {how.host} could be played by anyone.", hint="Give a token.")
    catalogue = Catalogue(taskset, how.split)
    sessions = Sessions(catalogue, pool, most=how.max_sessions, idle_s=how.idle_s, linger_s=how.linger_s)
    family = socket.AF_INET6 if ":" in how.host else socket.AF_INET
    try:
        listener = socket.create_server((how.host, how.port), family=family)
    except OSError as error:
        raise ConfigError(
            f"worlds cannot be served at {how.host}:{how.port}: {error.strerror}.", hint="Use another port."
        ) from error
    with listener:
        try:
            async with _running(_guarded(application(sessions, catalogue), how.token), listener), _expiring(sessions):
                shown_host = f"[{how.host}]" if ":" in how.host else how.host
                yield f"http://{shown_host}:{listener.getsockname()[1]}"
        finally:
            await sessions.close_all()


@asynccontextmanager
async def _expiring(sessions: Sessions) -> AsyncIterator[None]:
    async def watch() -> None:
        while True:
            await asyncio.sleep(sessions.watch_s)
            await sessions.expire()

    task = asyncio.create_task(watch())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@asynccontextmanager
async def _running(app: App, listener: socket.socket) -> AsyncIterator[None]:
    try:
        import uvicorn
        import websockets  # noqa: F401 - uvicorn would serve without it, and refuse every player
    except ImportError as error:
        raise ConfigError(
            f"serving worlds needs {error.name}.", hint="Install it: pip install 'lamarck-agents[openenv]'"
        ) from error

    class Server(uvicorn.Server):
        @contextmanager
        def capture_signals(self) -> Iterator[None]:
            yield  # signals are the caller's matter

    config = uvicorn.Config(
        app,
        log_config=None,
        log_level="warning",
        access_log=False,
        ws="websockets-sansio",
        ws_per_message_deflate=False,  # messages are small and many
        lifespan="off",
        timeout_graceful_shutdown=int(STOP_S),
    )
    server = Server(config)
    task = asyncio.create_task(server.serve([listener]))
    try:
        deadline = asyncio.get_running_loop().time() + START_S
        while not server.started:
            if task.done() or asyncio.get_running_loop().time() > deadline:
                raise EnvironmentFailure("the OpenEnv server does not start.", hint="See the log.", kind="server")
            await asyncio.sleep(0.01)
        yield
    finally:
        server.should_exit = True
        await asyncio.wait((task,), timeout=2 * STOP_S)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def _guarded(app: App, token: str) -> App:
    """Let in only who knows the token; where there is none, whoever is not a page in somebody's browser."""
    wanted = f"Bearer {token}".encode()

    async def guard(scope: Any, receive: Any, send: Any) -> None:
        headers = dict(scope.get("headers", ()))
        known = hmac.compare_digest(headers.get(b"authorization", b""), wanted) if token else b"origin" not in headers
        if known or scope["type"] not in ("http", "websocket"):
            await app(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
        else:
            await send({"type": "http.response.start", "status": 401, "headers": [(b"www-authenticate", b"Bearer")]})
            await send({"type": "http.response.body", "body": b"a token is needed\n"})

    return guard


def is_local(host: str) -> bool:
    """Say whether an address is of this machine alone."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
