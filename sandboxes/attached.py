"""The attach socket of a container as a channel."""

from __future__ import annotations

import asyncio
import contextlib
import io
import socket
import struct
from collections.abc import Callable
from typing import Any

from ..errors import SandboxError
from .channel import LINE, Streams, gist


class Started:
    """A container that runs, and the socket to its worker."""

    def __init__(self, ident: str, raw: socket.socket, keep: io.IOBase) -> None:
        self.ident, self.raw, self.keep = ident, raw, keep


class Attached:
    """A channel over a container's attach socket, whose frames say which stream they belong to.

    Args:
        ident: of the container.
        end: removes it.
    """

    def __init__(self, ident: str, end: Callable[[str], Any]) -> None:
        self._ident = ident
        self._end = end
        self._streams: Streams | None = None
        self._keep: Any = None
        self._raw = bytearray()
        self._out = bytearray()
        self._searched = 0
        self._words = b""

    async def open(self, raw: socket.socket, keep: Any) -> None:
        """Take the socket over."""
        raw.setblocking(False)
        self._keep = keep  # the SDK's response closes the socket when it is collected
        self._streams = Streams(*await asyncio.open_connection(sock=raw, limit=LINE))

    async def send(self, data: bytes) -> None:
        """Write bytes."""
        assert self._streams is not None
        await self._streams.send(data)

    async def line(self) -> bytes:
        """Return the next line, or nothing at the end."""
        assert self._streams is not None
        reader = self._streams.reader
        while True:
            end = self._out.find(b"\n", self._searched)
            if end >= 0:
                line = bytes(self._out[: end + 1])
                del self._out[: end + 1]
                self._searched = 0
                return line
            self._searched = len(self._out)
            if self._searched + len(self._raw) > 2 * LINE:
                raise SandboxError("a sandbox answered a line without end.", kind="protocol")
            try:
                data = await reader.read(1 << 16)
            except OSError:
                return b""
            if not data:
                return b""
            self._frames(data)

    def _frames(self, data: bytes) -> None:
        """Sort bytes into the streams they belong to."""
        self._raw += data
        at = 0
        while len(self._raw) >= at + 8:
            stream, size = struct.unpack_from(">BxxxI", self._raw, at)
            if len(self._raw) < at + 8 + size:
                break
            part = self._raw[at + 8 : at + 8 + size]
            at += 8 + size
            if stream == 1:
                self._out += part
            else:
                self._words = (self._words + part)[:2000]
        del self._raw[:at]

    async def kill(self) -> None:
        """Remove the container with all that runs in it."""
        if self._streams is not None:
            await self._streams.close()
        shut(self._keep)
        await self._end(self._ident)

    async def oom_kills(self) -> int:
        """Return nothing: the worker reads its own control group."""
        return 0

    async def last_words(self) -> str:
        """Return what the worker wrote to stderr."""
        return gist(self._words)


def shut(keep: Any) -> None:
    """Close an attach socket: both the SDK's file and the socket below it, which each keep it open."""
    for side in (keep, getattr(keep, "_sock", keep)):
        with contextlib.suppress(OSError, AttributeError):
            side.close()
