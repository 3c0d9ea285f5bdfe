"""Sessions of an OpenEnv server: one player each, with a world of its own for as long as it plays.

A session whose client numbers its steps outlives a lost connection for a while: the client may come back, repeat
the step whose answer it missed, and get the same answer without the step being taken twice.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from ...agent.hosting import World, WorldPool
from ...agent.observed import Observed
from ...core import Task
from ...errors import EnvironmentFailure
from .openenv_catalogue import Catalogue, ResetRequest

FULL, UNKNOWN, WRONG, BROKEN = "CAPACITY_REACHED", "SESSION_ERROR", "VALIDATION_ERROR", "EXECUTION_ERROR"
"""OpenEnv's codes for an error: no room, no such session, a wrong request, a world that failed."""

HangUp = Callable[[str], Awaitable[None]]


class TextAction(BaseModel):
    """An action in words. `metadata.step` is its number, from 1; it makes repeating an action harmless."""

    model_config = ConfigDict(extra="forbid")

    text: str = Field(description="The action, in the words of the world.")
    metadata: dict[str, JsonValue] = Field(default_factory=dict)


class TextObservation(BaseModel):
    """What the player sees; `metadata` holds `success`, `score`, `terminated`, `truncated` and what else is known."""

    text: str
    admissible_actions: list[str] | None = Field(description="Null where the world offers no list.")
    metadata: dict[str, JsonValue] = Field(default_factory=dict)


class PlayState(BaseModel):
    """Where a session stands."""

    episode_id: str | None = None
    step_count: int = 0
    task_id: str | None = None
    split: str | None = None
    goal: str | None = None
    total_reward: float = 0.0
    ended: bool = False


class Session:
    """One player's episodes, one after the other, in a world leased from the pool at the first reset."""

    def __init__(self, ident: str, catalogue: Catalogue, pool: WorldPool) -> None:
        self.id = ident
        self.state = PlayState()
        self.used = time.monotonic()
        self.numbered = False
        self.lingering = False
        self.hang_up: HangUp | None = None
        self._catalogue = catalogue
        self._pool = pool
        self._lock = asyncio.Lock()
        self._lease = AsyncExitStack()
        self._world: World | None = None
        self._last: tuple[str, dict[str, Any]] | None = None

    @property
    def busy(self) -> bool:
        """Whether a call is under way."""
        return self._lock.locked()

    async def reset(self, request: ResetRequest) -> dict[str, Any]:
        """Start an episode.

        Raises:
            ConfigError: there is no such task.
            EnvironmentFailure: the world failed; the next reset gets another one.
        """
        async with self._lock:
            self.used = time.monotonic()
            task = await self._catalogue.pick(request)
            seed = request.seed if request.seed is not None else task.seed
            if self._world is None:
                self._world = await self._lease.enter_async_context(self._pool.lease())
            observed = await self._guarded(self._world.reset(task, seed))
            episode = request.episode_id or secrets.token_hex(8)
            self.state = PlayState(episode_id=episode, task_id=task.id, split=task.split, goal=task.goal)
            self._last = None
            return answer(observed, {**_about(task), "episode_id": episode, "session_id": self.id})

    async def step(self, action: TextAction) -> dict[str, Any]:
        """Take a step, or answer as before where this one was taken already.

        Raises:
            EnvironmentFailure: it is out of order, or the world failed.
        """
        async with self._lock:
            self.used = time.monotonic()
            count, number = self.state.step_count, action.metadata.get("step")
            if number is not None:
                self.numbered = True
                if self._last is not None and (number, action.text) == (count, self._last[0]):
                    return self._last[1]
            if self._world is None or self.state.episode_id is None:
                raise EnvironmentFailure("step before reset.", hint="Send a reset first.", kind=BROKEN)
            if number is not None and number != count + 1:
                # Not WRONG, which a client takes for a refused action: here the two have lost each other.
                raise EnvironmentFailure(f"step {number} cannot follow step {count}.", kind=BROKEN)
            if self.state.ended:
                raise EnvironmentFailure(
                    f"the episode has ended after {count} steps.", hint="Send a reset.", kind=BROKEN
                )
            observed = await self._guarded(self._world.step(action.text))
            self.state.step_count = count + 1
            self.state.total_reward += observed.reward
            self.state.ended = observed.terminated or observed.truncated
            self._last = (action.text, answer(observed, {"step": count + 1}))
            return self._last[1]

    async def close(self) -> None:
        """Give the world back."""
        async with self._lock:
            self._world = None
            self.state = PlayState()
            await self._lease.aclose()

    async def _guarded(self, call: Awaitable[Observed]) -> Observed:
        """Await a call of the world; a world that failed is not given back to be played in again."""
        try:
            return await call
        except BaseException as error:
            self._world = None
            self.state = PlayState()
            await self._lease.__aexit__(type(error), error, error.__traceback__)
            self._lease = AsyncExitStack()
            raise


class Sessions:
    """All sessions of a server.

    Args:
        catalogue: the tasks.
        pool: where the worlds come from.
        most: sessions at once.
        idle_s: a session that says nothing for so long is closed, in seconds.
        linger_s: how long a session waits for a client whose connection was lost, in seconds.
    """

    def __init__(self, catalogue: Catalogue, pool: WorldPool, *, most: int, idle_s: float, linger_s: float) -> None:
        self._catalogue = catalogue
        self._pool = pool
        self._open: dict[str, Session] = {}
        self.most = most
        self._idle_s = idle_s
        self._linger_s = linger_s

    def __len__(self) -> int:
        return len(self._open)

    @property
    def watch_s(self) -> float:
        """How often to look for sessions to expire, in seconds."""
        return max(0.05, min(5.0, self._idle_s / 4, self._linger_s / 4))

    async def open(self) -> Session:
        """Return a new session; one whose client was lost makes room.

        Raises:
            EnvironmentFailure: all are taken.
        """
        lost = None
        if len(self._open) >= self.most:
            lost = min((one for one in self._open.values() if one.lingering), key=lambda one: one.used, default=None)
            if lost is None:
                raise EnvironmentFailure(
                    f"all {self.most} sessions of this server are taken.",
                    hint="Close one, wait, or serve with more --max-sessions.",
                    kind=FULL,
                )
            del self._open[lost.id]
        session = Session(secrets.token_hex(16), self._catalogue, self._pool)
        self._open[session.id] = session
        if lost is not None:
            await lost.close()
        return session

    def get(self, ident: str) -> Session:
        """Return an open session.

        Raises:
            EnvironmentFailure: there is none of this id.
        """
        session = self._open.get(ident)
        if session is None:
            raise EnvironmentFailure(
                "there is no such session; it was closed, or idle for too long.", hint="Reset.", kind=UNKNOWN
            )
        return session

    async def attach(self, ident: str | None, hang_up: HangUp) -> Session:
        """Return a session for a connection: a new one, or the one it comes back to.

        Raises:
            EnvironmentFailure: there is no such session, or no room.
        """
        session = await self.open() if ident is None else self.get(ident)
        before, session.hang_up = session.hang_up, hang_up
        session.lingering = False
        session.used = time.monotonic()
        if before is not None:
            await before("another connection has taken this session over.")
        return session

    async def leave(self, session: Session, hang_up: HangUp, *, closed: bool) -> None:
        """Part a connection from its session, which ends with it unless the client may come back for an answer."""
        if session.hang_up is not hang_up:
            return
        session.hang_up = None
        if closed or not session.numbered:
            await self.close(session)
        else:
            session.lingering = True
            session.used = time.monotonic()

    async def close(self, session: Session) -> None:
        """End a session."""
        if self._open.pop(session.id, None) is not None:
            await session.close()

    async def expire(self) -> int:
        """Close what was idle for too long and return how many that were."""
        now = time.monotonic()
        old = [one for one in self._open.values() if not one.busy and now - one.used > self._allowed(one)]
        for session in old:
            hang_up, session.hang_up = session.hang_up, None
            await self.close(session)
            if hang_up is not None:
                await hang_up(f"this session was idle for more than {self._idle_s:g} s.")
        return len(old)

    async def close_all(self) -> None:
        """End all sessions."""
        for session in list(self._open.values()):
            await self.close(session)

    def _allowed(self, session: Session) -> float:
        return min(self._idle_s, self._linger_s) if session.lingering else self._idle_s


def answer(observed: Observed, more: dict[str, Any]) -> dict[str, Any]:
    """Return an observation as OpenEnv sends it.

    The metadata stands twice, as in OpenEnv's own server: inside for typed clients, beside for generic ones.
    """
    known = {"success": observed.success, "score": observed.score}
    metadata = {
        **observed.info,
        **{key: value for key, value in known.items() if value is not None},
        "effective": observed.effective,
        "terminated": observed.terminated,
        "truncated": observed.truncated,
        **more,
    }
    admissible = list(observed.admissible) if observed.admissible is not None else None
    return {
        "observation": {"text": observed.observation, "admissible_actions": admissible, "metadata": metadata},
        "reward": observed.reward,
        "done": observed.terminated or observed.truncated,
        "metadata": metadata,
    }


def _about(task: Task) -> dict[str, Any]:
    return {"task_id": task.id, "split": task.split, "category": task.category, "goal": task.goal}
