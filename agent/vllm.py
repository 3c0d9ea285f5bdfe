"""A model that a vLLM server of our own serves: started with the first question, ended with the run."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from urllib.request import getproxies_environment, proxy_bypass

from ..core import Message, Reply, Sampling, ToolSpec
from ..errors import ModelError
from ..seams import LLM
from .vllm_server import VllmServer

Door = Callable[[VllmServer], LLM]
"""From a running server to the model it serves, under the name it goes by now."""

DOUBTFUL = frozenset({"connection", "server", "timeout"})
"""Kinds of errors after which the server is asked whether it is well."""


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
        self._lost: tuple[LLM, ModelError] | None = None

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
            ModelError: as there; of kind `died`, with what its log says, where the server or its engine is not there
                any more. The next question starts it anew.
        """
        return await self._asked(lambda door: door.chat(messages, sampling=sampling, tools=tools, session=session))

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
        return await self._asked(lambda door: door.choose(messages, options, sampling=sampling, session=session))

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
        """Give the GPU's memory back until the next question or adapter, which wakes the server.

        No question may be under way. A server that does not run has no memory to give back.

        Raises:
            ModelError: see `VllmServer.sleep`.
        """
        async with self._starting:
            if self.server.running and not self.server.asleep:
                await self.server.sleep()

    async def wake(self) -> None:
        """Take the GPU's memory again, where it was given back.

        Raises:
            ModelError: see `VllmServer.wake`.
        """
        async with self._starting:
            await self._awake()

    def end_session(self, session: str) -> None:
        """The server keeps beginnings of prompts by what is in them, not by episode."""

    async def close(self) -> None:
        """End the server."""
        door, self._door = self._door, None
        if door is not None:
            await door.close()
        await self.server.stop()

    async def _asked(self, question: Callable[[LLM], Awaitable[Reply]]) -> Reply:
        door = await self._open()
        try:
            return await question(door)
        except ModelError as error:
            raise await self._named(error, door) from error.__cause__

    async def _named(self, error: ModelError, door: LLM) -> ModelError:
        """Return why the server is lost, where it is, and let the next question start it anew; else the error.

        Of many questions that fail together the first ends the server. The others are told the same, and leave alone
        what was started since.
        """
        async with self._starting:
            if door is self._door:
                lost = self.server.died()
                if lost is None and error.kind in DOUBTFUL:
                    lost = await self.server.lost()
                if lost is not None:
                    self._lost, self._door = (door, lost), None
                    await self.server.stop()
            if self._lost is None or self._lost[0] is not door:
                return error
            known = self._lost[1]
            return ModelError(known.message, hint=known.hint, kind=known.kind)

    async def _awake(self) -> None:
        if self.server.running and self.server.asleep:
            self._door = None  # where it does not wake, it is started anew, at another address
            await self.server.wake()

    async def _open(self) -> LLM:
        async with self._starting:
            await self._awake()
            if self._door is not None and (died := self.server.died()) is not None:
                # Between two questions: nobody has to fail of that.
                self._lost, self._door = (self._door, died), None
            if self._door is None:
                if not self.server.running:
                    await self.server.start(self._adapter)
                _past_proxies(self.server.host)
                self._door = self._make(self.server)
            return self._door


def _past_proxies(host: str) -> None:
    """Have clients in this process ask our own server itself, where the environment names a proxy for everything.

    Proxies are for the world outside, and litellm's clients read them from these variables only.
    """
    proxies = getproxies_environment()
    if not proxies or proxy_bypass(host):
        return
    listed = ",".join(part for part in (proxies.get("no"), host) if part)
    os.environ["NO_PROXY"] = os.environ["no_proxy"] = listed
