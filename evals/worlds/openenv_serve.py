"""Any taskset of ours as an OpenEnv server, for OpenEnv's own client and whatever trains through it.

The messages are those of OpenEnv 0.10: `/ws` for play, the task lists and schemas over HTTP. Unlike there, `/reset`
and `/step` over HTTP share a session too: `/reset` names it in `metadata.session_id`.
"""

from __future__ import annotations

import asyncio
import hmac
import importlib.util
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from ...agent.hosting import WorldPool
from ...errors import ConfigError, EnvironmentFailure
from ...seams import Taskset
from ...serving import App, is_local, listening, running, url_of
from .openenv_application import application
from .openenv_catalogue import Catalogue
from .openenv_sessions import Sessions

SETTINGS: dict[str, Any] = {
    "log_level": "warning",
    "ws": "websockets-sansio",
    "ws_per_message_deflate": False,  # messages are small and many
    "lifespan": "off",
}


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
    # uvicorn would serve without it, and refuse every player.
    if importlib.util.find_spec("websockets") is None:
        raise ConfigError("serving worlds needs websockets.", hint="Install it: pip install 'lamarck-agents[openenv]'")
    failed = EnvironmentFailure("the OpenEnv server does not start.", hint="See the log.", kind="server")
    app = _guarded(application(sessions, catalogue), how.token)
    with listening("worlds", how.host, how.port) as listener:
        try:
            async with running(app, listener, failed, **SETTINGS), _expiring(sessions):
                yield url_of(listener, how.host)
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
