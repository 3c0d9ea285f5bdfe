"""The line to a worker: bytes out, lines in, and the end of everything behind it."""

from __future__ import annotations

import asyncio
import contextlib
import json
from typing import Any, Protocol

from ..errors import SandboxError

LINE = 32 * 1024 * 1024
"""Longest line that is read; the worker's own cap is lower, so a longer one is no answer of its."""


class Channel(Protocol):
    """What a launcher gives: the worker's standard streams, and control over its sandbox."""

    async def send(self, data: bytes) -> None:
        """Write bytes.

        Raises:
            OSError: nobody reads them any more.
        """
        ...

    async def line(self) -> bytes:
        """Return the next line, or nothing at the end."""
        ...

    async def kill(self) -> None:
        """End the sandbox and all in it, and remove what it leaves on the host; doing it again is fine."""
        ...

    async def oom_kills(self) -> int:
        """Return how many processes were killed so far for using too much memory."""
        ...

    async def last_words(self) -> str:
        """Return why it ended, as far as the launcher said."""
        ...


def parse(line: bytes) -> dict[str, Any]:
    """Return the object in a line from a sandbox; every byte of it may be the code's.

    Raises:
        SandboxError: kind `protocol`, that is no answer.
    """
    try:
        message = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise SandboxError(f"a sandbox answered no JSON ({str(error)[:80]}).", kind="protocol") from error
    if not isinstance(message, dict):
        raise SandboxError("a sandbox answered something else than an object.", kind="protocol")
    return message


class Streams:
    """A channel's bytes over asyncio streams.

    Args:
        reader: of the worker's standard output.
        writer: to its standard input.
    """

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def send(self, data: bytes) -> None:
        """Write bytes, waiting while the worker does not read."""
        self.writer.write(data)
        await self.writer.drain()

    async def line(self) -> bytes:
        """Return the next line.

        Raises:
            SandboxError: kind `protocol`, it does not end.
        """
        try:
            return await self.reader.readuntil(b"\n")
        except asyncio.IncompleteReadError:
            return b""
        except asyncio.LimitOverrunError as error:
            raise SandboxError("a sandbox answered a line without end.", kind="protocol") from error
        except OSError:
            return b""

    async def close(self) -> None:
        """Let go of both sides."""
        self.writer.close()
        with contextlib.suppress(OSError, TimeoutError):
            await asyncio.wait_for(self.writer.wait_closed(), 2)


def gist(words: bytes) -> str:
    """Return the line of an error output that says what went wrong: the last of a Python traceback, else the first."""
    lines = words.decode("utf-8", "replace").strip().splitlines() or [""]
    return (lines[-1] if lines[0].startswith("Traceback") else lines[0])[:300]
