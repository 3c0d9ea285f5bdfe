"""Playing one session of an OpenEnv server as an environment of ours."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from ...core import Task
from ...errors import ConfigError, EnvironmentFailure
from .openenv_fields import CUT, SUCCESS, Fields, first_of, offers
from .openenv_wire import LOST, REFUSED, ServerError, Wire

SERVERS = ("episode_id", "session_id", "step", "terminated", "truncated")
"""Metadata that is about the server's sessions, not about the world; the same episode has others every time."""


class OpenEnvEnvironment:
    """One session of an OpenEnv server.

    Args:
        wire: the connection.
        fields: returns how messages are read; may ask the server, so it is called in a thread.
        reset: what is sent with every reset.
        success_reward: sum of rewards that counts as success, or None.
    """

    concurrency = "async"

    def __init__(
        self, wire: Wire, fields: Callable[[], Fields], reset: Mapping[str, Any], success_reward: float | None
    ) -> None:
        self._wire = wire
        self._find = fields
        self._fields: Fields | None = None
        self._reset = dict(reset)
        self._success_reward = success_reward
        self._session: str | None = None
        self._steps = 0
        self._total = 0.0
        self._offered: list[str] | None = None
        self._playing = False

    async def reset(self, *, seed: int | None = None, task: Task | None = None) -> tuple[str, dict[str, Any]]:
        """Start the episode of a task and seed.

        Raises:
            EnvironmentFailure: the server failed, or refuses us.
        """
        if self._fields is None:
            try:
                self._fields = await asyncio.to_thread(self._find)
            except ConfigError as error:
                raise EnvironmentFailure(error.message, hint=error.hint, kind="contract") from error
        wanted = {**self._reset, **(task.options if task is not None else {})}
        wanted |= {"seed": seed} if seed is not None else {}
        self._playing = False
        kept = self._wire.open
        try:
            data = await self._wire.ask("reset", wanted)
        except EnvironmentFailure as error:
            # A connection kept since the last episode may have died; a reset can be asked for again.
            if not kept or error.kind not in (LOST, "SESSION_ERROR"):
                raise
            await self._wire.connect()
            data = await self._wire.ask("reset", wanted)
        self._steps, self._total, self._playing = 0, 0.0, True
        metadata = _metadata(data)
        named = metadata.get("session_id")
        self._session = named if isinstance(named, str) else None
        self._offered = None
        return self._seen(data, metadata)

    async def step(self, action: str) -> tuple[str, float, bool, bool, dict[str, Any]]:
        """Take one action.

        Raises:
            EnvironmentFailure: the server failed; the episode cannot go on.
        """
        if not self._playing or self._fields is None:
            raise EnvironmentFailure("step before reset.", kind="order")
        written = self._fields.written(action)
        if written is None:
            return self._unmoved("An action is a JSON object.")
        try:
            return self._moved(await self._ask_step(written))
        except ServerError as error:
            if error.kind == REFUSED:
                return self._unmoved(f"The action was refused: {error.message.partition(': ')[2]}")
            self._playing = False
            self._wire.drop()
            raise
        except BaseException:
            self._playing = False
            raise

    async def close(self) -> None:
        """End the session."""
        self._playing = False
        await self._wire.close()

    async def _ask_step(self, written: Mapping[str, Any]) -> dict[str, Any]:
        if self._session is None:
            return await self._wire.ask("step", written)
        # Our own servers keep a session whose steps are numbered, and take none of them twice.
        numbered = {**written, "metadata": {"step": self._steps + 1}}
        try:
            return await self._wire.ask("step", numbered)
        except EnvironmentFailure as error:
            if error.kind != LOST:
                raise
            await self._wire.connect(self._session)
            return await self._wire.ask("step", numbered)

    def _moved(self, data: Mapping[str, Any]) -> tuple[str, float, bool, bool, dict[str, Any]]:
        observation, metadata = data.get("observation"), _metadata(data)
        reward, ended = _number(data.get("reward")), data.get("done")
        if ended is not None and not isinstance(ended, bool):
            raise EnvironmentFailure(f"the OpenEnv server sent the end {ended!r}, not true or false.", kind="contract")
        self._steps += 1
        self._total += reward
        ended = ended is True
        cut = ended and first_of(CUT, metadata, observation) is True
        text, info = self._seen(data, metadata)
        if ended and "success" not in info and self._success_reward is not None:
            info["success"] = self._total >= self._success_reward
        self._playing = not ended
        return text, reward, ended and not cut, cut, info

    def _seen(self, data: Mapping[str, Any], metadata: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
        """Return the text and the info of an answer."""
        if "observation" not in data:
            raise EnvironmentFailure("the OpenEnv server sent no observation.", kind="contract")
        assert self._fields is not None
        observation = data["observation"]
        info: dict[str, Any] = {
            key: value for key, value in metadata.items() if key not in (*SUCCESS, *SERVERS, "score")
        }
        listed = offers(observation, metadata)
        self._offered = listed if listed is not None else list(self._fields.actions) if self._fields.actions else None
        if self._offered is not None:
            info["admissible_actions"] = self._offered
        success = first_of(SUCCESS, metadata, observation)
        if isinstance(success, bool):
            info["success"] = success
        score = first_of(("score",), metadata, observation)
        if isinstance(score, int | float) and not isinstance(score, bool):
            # Ours is a share of the whole; what else is called score is kept under another name.
            info["score" if 0 <= score <= 1 else "points"] = float(score)
        return self._fields.shown(observation), info

    def _unmoved(self, why: str) -> tuple[str, float, bool, bool, dict[str, Any]]:
        info: dict[str, Any] = {"effective": False}
        if self._offered is not None:
            info["admissible_actions"] = self._offered
        return why, 0.0, False, False, info


def _metadata(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return the metadata of an answer, which newer servers send beside the observation and older ones inside."""
    inner, outer = data.get("observation"), data.get("metadata")
    inner = inner.get("metadata") if isinstance(inner, dict) else None
    merged = dict(inner) if isinstance(inner, dict) else {}
    if isinstance(outer, dict):
        merged.update(outer)
    return merged


def _number(reward: object) -> float:
    if reward is None:
        return 0.0
    if isinstance(reward, bool | int | float):
        return float(reward)
    raise EnvironmentFailure(f"the OpenEnv server sent the reward {reward!r}, not a number.", kind="contract")
