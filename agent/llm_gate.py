"""How many calls of a server are under way at once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Gate:
    """Lets a number of calls through at once, or one with no other beside it; who came first goes first.

    Args:
        width: calls at once.
    """

    def __init__(self, width: int) -> None:
        self._width = width
        self._places = asyncio.Semaphore(width)
        self._gathering = asyncio.Lock()

    @asynccontextmanager
    async def one(self) -> AsyncIterator[None]:
        """Wait for a place."""
        async with self._places:
            yield

    @asynccontextmanager
    async def alone(self) -> AsyncIterator[None]:
        """Wait for all places."""
        held = 0
        async with self._gathering:  # two that each hold half would wait for ever
            try:
                while held < self._width:
                    await self._places.acquire()
                    held += 1
                yield
            finally:
                for _ in range(held):
                    self._places.release()
