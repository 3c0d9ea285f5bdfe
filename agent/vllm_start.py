"""Waiting for a vLLM server that was started: until it answers, or until there is nothing to wait for."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass

from ..config_vllm import VllmConfig
from ..errors import ModelError
from ..wheels import Notify
from .vllm_command import NO_VLLM, Served, interpreter
from .vllm_control import VllmControl
from .vllm_process import VllmProcess

POLL_S = 0.25
TELL_S = 15.0
"""Seconds between two words on what a starting server is at."""


@dataclass(frozen=True)
class Starting:
    """A server that is coming up.

    Args:
        served: the model.
        config: how it was started, and how long that may take.
        process: the server.
        control: asks it.
        say: told what is being waited for.
    """

    served: Served
    config: VllmConfig
    process: VllmProcess
    control: VllmControl
    say: Notify

    async def wait(self, label: str, began: float) -> None:
        """Wait until it answers under a name.

        Args:
            label: the name.
            began: when the start began, by the monotonic clock.

        Raises:
            ModelError: it ended, or did not answer in time; says what its log says.
        """
        told = began
        while True:
            if self.process.failed:
                raise self._not_up(f"ended with exit status {self.process.status} before it answered")
            # Another server may have taken the port in between: ours has a key, and our model.
            if await self.control.health() == "well" and await self._serves(label):
                return
            now = time.monotonic()
            if now - began > self.config.start_s:
                raise self._not_up(f"did not answer within {self.config.start_s:g} s")
            if now - told > TELL_S:
                told = now
                self.say(f"waiting for vLLM, {now - began:.0f} s: {self.process.last()}")
            await asyncio.sleep(POLL_S)

    async def _serves(self, label: str) -> bool:
        try:
            return any(card.name == label for card in await self.control.models())
        except ModelError:
            return False

    def _not_up(self, what: str) -> ModelError:
        reason = self.process.reason()
        if "No module named 'vllm'" in reason:
            return ModelError(f"{interpreter(self.config)} has no vllm.", hint=NO_VLLM, kind="no_vllm")
        if self.process.status is None and "ended" in what:
            what = "has no engine"
        return ModelError(
            f"the vLLM server with {self.served.name} {what}: {reason}",
            hint=f"Its log is {self.process.log}.",
            kind="timeout" if "within" in what else "start",
        )
