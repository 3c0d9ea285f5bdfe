"""The connection to an OpenEnv server: a question, an answer, over one WebSocket; and questions over HTTP."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import json
import weakref
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

from ...errors import ConfigError, EnvironmentFailure

if TYPE_CHECKING:
    from websockets.asyncio.client import ClientConnection

LOST = "connection"
"""Kind of the failure where the connection went away before the answer came."""
REFUSED = "VALIDATION_ERROR"
"""OpenEnv's code for a message that did not fit; the world was not touched."""
LARGEST = 100 * 2**20
"""Largest message taken, in bytes: that of OpenEnv's own client."""
CLOSE_S = 2.0


class ServerError(EnvironmentFailure):
    """The server answered with an error; `kind` is OpenEnv's code for it."""


class Wire:
    """One connection, opened when it is first needed and again after it was lost.

    Args:
        url: base URL of the server, `http://` or `https://`.
        timeout_s: longest wait for one answer, in seconds.
        connect_s: longest wait for the connection, in seconds.
        headers: sent with the connection, for example `Authorization`.
    """

    def __init__(self, url: str, *, timeout_s: float, connect_s: float, headers: Mapping[str, str]) -> None:
        self._url = url
        self._timeout_s = timeout_s
        self._connect_s = connect_s
        self._headers = dict(headers)
        self._socket: ClientConnection | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._dropped: weakref.finalize[Any, Wire] | None = None

    @property
    def open(self) -> bool:
        """Whether there is a connection that this event loop may use."""
        return self._socket is not None and self._loop is asyncio.get_running_loop()

    async def connect(self, session: str | None = None) -> None:
        """Open a new connection, to go on with a session where one is named.

        Raises:
            EnvironmentFailure: the server cannot be reached, or the WebSocket library is missing.
        """
        self.drop()
        try:
            from websockets.asyncio.client import connect
            from websockets.exceptions import WebSocketException
        except ImportError as error:
            raise ConfigError(
                "playing over OpenEnv needs websockets.", hint="Install it: pip install 'lamarck-agents[openenv]'"
            ) from error
        query = f"?session_id={quote(session)}" if session is not None else ""
        options: dict[str, Any] = {"proxy": None} if is_here(self._url) else {}
        try:
            self._socket = await connect(
                f"ws{self._url.removeprefix('http')}/ws{query}",
                open_timeout=self._connect_s,
                close_timeout=CLOSE_S,
                max_size=LARGEST,
                compression=None,  # messages are small and many
                additional_headers=self._headers,
                **options,
            )
        except (OSError, TimeoutError, WebSocketException) as error:
            raise EnvironmentFailure(
                f"no OpenEnv server can be reached at {self._url}: {_reason(error)}.", kind=LOST
            ) from error
        self._loop = asyncio.get_running_loop()
        # An episode that dies elsewhere leaves its world to the garbage collector; the server shall not wait for it.
        self._dropped = weakref.finalize(self, _abort, self._socket.transport, self._loop)
        self._dropped.atexit = False

    async def ask(self, kind: str, data: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Send a message and return the data of its answer.

        Raises:
            ServerError: the answer is an error.
            EnvironmentFailure: no answer came, or none that can be read; the connection is gone then.
        """
        from websockets.exceptions import ConnectionClosed

        if not self.open:
            await self.connect()
        assert self._socket is not None
        message = json.dumps({"type": kind, "data": data} if data is not None else {"type": kind})
        try:
            # Where the server has refused us, its reason waits to be read though nothing can be sent any more.
            with contextlib.suppress(ConnectionClosed):
                await self._socket.send(message)
            async with asyncio.timeout(self._timeout_s):
                raw = await self._socket.recv()
        except ConnectionClosed as error:
            self.drop()
            raise EnvironmentFailure(
                f"the OpenEnv server at {self._url} closed the connection during {kind}.", kind=LOST
            ) from error
        except TimeoutError as error:
            # The answer may still come; the next question must not take it for its own.
            self.drop()
            raise EnvironmentFailure(
                f"the OpenEnv server at {self._url} gave no answer to {kind} within {self._timeout_s:g} s.",
                hint="Raise the taskset option timeout_s if it is merely slow.",
                kind="timeout",
            ) from error
        except BaseException:
            self.drop()
            raise
        return self._read(raw, kind)

    async def close(self) -> None:
        """Tell the server that the session is over, and wait a little for it to have heard."""
        if not self.open:
            self.drop()
            return
        assert self._socket is not None
        from websockets.exceptions import ConnectionClosed

        with contextlib.suppress(ConnectionClosed, TimeoutError):
            await self._socket.send('{"type": "close"}')
            # The server frees the session before it closes; closing first would not wait for that.
            async with asyncio.timeout(CLOSE_S):
                await self._socket.wait_closed()
        await self._socket.close()
        self.drop()

    def drop(self) -> None:
        """Cut the connection without a word."""
        if self._dropped is not None:
            self._dropped()
        self._socket = self._loop = self._dropped = None

    def _read(self, raw: str | bytes, kind: str) -> dict[str, Any]:
        try:
            answer = json.loads(raw)
            what, data = answer["type"], answer.get("data") or {}
            if not isinstance(data, dict):
                raise TypeError("data is no object")
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            self.drop()
            raise EnvironmentFailure(
                f"the OpenEnv server at {self._url} answered {kind} with {raw[:80]!r}.",
                hint="Is it an OpenEnv server?",
                kind="contract",
            ) from error
        if what == "error":
            raise ServerError(
                f"the OpenEnv server at {self._url} answered {kind}: {_complaint(data)}",
                kind=str(data.get("code", "ServerError")),
            )
        return data


def base_url(url: str) -> str:
    """Return the URL of a server as `http(s)://host:port/path`, without a slash at its end.

    Raises:
        ConfigError: it is no URL of a server.
    """
    try:
        parts = urlsplit(url)
        host = parts.hostname if parts.port != 0 else None
    except ValueError:
        # The port is no number up to 65535, or a bracket is missing.
        raise ConfigError(f"{url!r} is no URL of a server.", hint="For example: http://127.0.0.1:8000") from None
    scheme = {"http": "http", "https": "https", "ws": "http", "wss": "https"}.get(parts.scheme)
    if scheme is None or not host:
        raise ConfigError(f"{url!r} is no URL of a server.", hint="For example: http://127.0.0.1:8000")
    return f"{scheme}://{parts.netloc}{parts.path.rstrip('/')}"


def is_here(url: str) -> bool:
    """Say whether a URL is of this machine, to which no proxy leads."""
    host = urlsplit(url).hostname or ""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _abort(transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
    if not loop.is_closed():
        loop.call_soon_threadsafe(transport.abort)


def _reason(error: BaseException) -> str:
    return str(error).strip().rstrip(".") or type(error).__name__


def _complaint(data: Mapping[str, Any]) -> str:
    errors = data.get("errors")
    details = "; ".join(str(one.get("msg", one)) if isinstance(one, dict) else str(one) for one in errors or ())
    return f"{data.get('message', 'an error without words')}" + (f" ({details})" if details else "")
