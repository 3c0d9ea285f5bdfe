"""Worlds that can go back to any step of the attempt before, where the environment takes snapshots."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from ...core import Task
from ...errors import EnvironmentFailure
from ..hosting import World, WorldPool
from ..observed import Observed

UNSUPPORTED = "unsupported"


class RewindingWorld:
    """Takes a snapshot after every step, and gives the steps before the one it goes back to from memory.

    The snapshots live as long as the lease: a process that goes on after a crash repeats the steps instead.

    Args:
        world: the world itself.
    """

    def __init__(self, world: World) -> None:
        self._world = world
        self._able = True
        self._seen: list[Observed] = []
        self._states: list[object] = []
        """State 0 is that after the reset, state n that after n steps."""
        self._actions: list[str] = []
        self._given = 0
        """Steps of this episode that were carried out or given from memory."""

    async def reset(self, task: Task, seed: int) -> Observed:
        """Begin an episode; what was remembered of the one before is forgotten."""
        self._seen, self._states, self._actions, self._given = [], [], [], 0
        observed = await self._world.reset(task, seed)
        await self._keep(observed)
        return observed

    async def step(self, action: str) -> Observed:
        """Carry an action out, or give what it led to before."""
        if self._given < len(self._actions):
            if action != self._actions[self._given]:
                raise EnvironmentFailure(f"step {self._given} was gone back to with another action.", kind="rewind")
            self._given += 1
            return self._seen[self._given]
        observed = await self._world.step(action)
        self._actions.append(action)
        self._given += 1
        await self._keep(observed)
        return observed

    async def rewind(self, task: Task, seed: int, moves: int) -> Observed | None:
        """Begin an episode that is as it was after `moves` steps, once as many were given; None without snapshots."""
        if not self._seen:
            # Another process has seen the attempt before: its steps will be carried out again.
            observed = await self.reset(task, seed)
            return observed if self._able else None
        if not self._able or moves >= len(self._states):
            return None
        await self._world.restore(self._states[moves])
        del self._seen[moves + 1 :], self._states[moves + 1 :], self._actions[moves:]
        self._given = 0
        return self._seen[0]

    async def snapshot(self) -> object:
        """Return the state of the world."""
        return await self._world.snapshot()

    async def restore(self, state: object) -> None:
        """Put a state back."""
        await self._world.restore(state)

    async def close(self) -> None:
        """Close the world."""
        await self._world.close()

    async def _keep(self, observed: Observed) -> None:
        if not self._able:
            return
        try:
            state = await self._world.snapshot()
        except EnvironmentFailure as error:
            if error.kind != UNSUPPORTED:
                raise
            self._able = False
            return
        self._seen.append(observed)
        self._states.append(state)


class RewindingPool:
    """Worlds of a pool, each able to go back within its lease.

    Args:
        pool: whose worlds they are.
    """

    def __init__(self, pool: WorldPool) -> None:
        self._pool = pool

    @asynccontextmanager
    async def lease(self) -> AsyncIterator[World]:
        """Return a world for the time of one episode and its repairs."""
        async with self._pool.lease() as world:
            yield RewindingWorld(world)

    async def close(self) -> None:
        """Close the pool."""
        await self._pool.close()
