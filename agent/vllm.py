"""A model that a vLLM server of our own serves: started with the first question, ended with the run."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path

from ..core import Message, Reply, Sampling, ToolSpec
from ..errors import ModelError
from ..seams import LLM
from .vllm_server import VllmServer

Door = Callable[[VllmServer], LLM]
"""From a running server to the model it serves, under the name it goes by now."""


class VllmLLM:
    """The model of a server; every question goes through litellm.

    Args:
        server: is started when it is needed, and stopped by `close`.
        door: makes the model that asks it.
        adapter: folder of the adapter that answers; None is the model itself.
    """

    def __init__(self, server: VllmServer, door: Door, adapter: str | Path | None = None) -> None:
        self.name = server.served.name
        self.server = server
        self._make = door
        self._adapter = Path(adapter) if adapter is not None else None
        self._door: LLM | None = None
        self._starting = asyncio.Lock()

    async def start(self) -> None:
        """Start the server now, so that what is wrong with it is said before the first question.

        Raises:
            ConfigError, ModelError: see `VllmServer.start`.
        """
        await self._open()

    async def chat(
        self,
        messages: Sequence[Message],
        *,
        sampling: Sampling | None = None,
        tools: Sequence[ToolSpec] = (),
        session: str | None = None,
    ) -> Reply:
        """Sample one completion; see `LiteLLM.chat`.

        Raises:
            ModelError: as there; of kind `died`, with what its log says, where the server is not there any more.
        """
        door = await self._open()
        try:
            return await door.chat(messages, sampling=sampling, tools=tools, session=session)
        except ModelError as error:
            raise await self._named(error) from error.__cause__

    async def choose(
        self,
        messages: Sequence[Message],
        options: Sequence[str],
        *,
        sampling: Sampling | None = None,
        session: str | None = None,
    ) -> Reply:
        """Choose one of the options; see `LiteLLM.choose`.

        Raises:
            ModelError: as for `chat`.
        """
        door = await self._open()
        try:
            return await door.choose(messages, options, sampling=sampling, session=session)
        except ModelError as error:
            raise await self._named(error) from error.__cause__

    async def load(self, adapter: str | Path | None) -> None:
        """Let another adapter answer from now on, or None for the model itself.

        Raises:
            ConfigError, ModelError: see `VllmServer.load`.
        """
        wanted = Path(adapter) if adapter is not None else None
        async with self._starting:
            self._door = None
            if self.server.running:
                await self.server.load(wanted)
            # Only now: after a refused one, what answered before goes on answering, also from a server started anew.
            self._adapter = wanted

    async def sleep(self) -> None:
        """Give the GPU's memory back until `wake`; no question may be under way.

        Raises:
            ModelError: see `VllmServer.sleep`.
        """
        await self._open()
        await self.server.sleep()

    async def wake(self) -> None:
        """Take the GPU's memory again.

        Raises:
            ModelError: see `VllmServer.wake`.
        """
        await self.server.wake()

    def end_session(self, session: str) -> None:
        """The server keeps beginnings of prompts by what is in them, not by episode."""

    async def close(self) -> None:
        """End the server."""
        door, self._door = self._door, None
        if door is not None:
            await door.close()
        await self.server.stop()

    async def _named(self, error: ModelError) -> ModelError:
        """Return why the server died, where it did, and let the next question start it anew; else the error."""
        died = self.server.died()
        if died is None:
            return error
        self._door = None
        await self.server.stop()
        return died

    async def _open(self) -> LLM:
        async with self._starting:
            if self._door is None:
                if not self.server.running:
                    await self.server.start(self._adapter)
                self._door = self._make(self.server)
            return self._door
