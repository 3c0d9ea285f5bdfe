"""Writing an episode into the store as it happens."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from ..core import Step, Task, Trajectory
from ..store import Store
from .episode_state import Attempt


class StoreRecorder:
    """Writes through a `Store`. All writes are idempotent.

    A local file takes a step in less time than it takes to reach another thread, so it is written on the event
    loop; a database across a network is not.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    async def begin(self, run_id: str, task: Task, sample: int, attempt: Attempt) -> None:
        """Register an attempt before its first step."""
        await self._call(
            self._store.begin_attempt,
            attempt.trajectory_id,
            run_id=run_id,
            task=task,
            sample=sample,
            attempt=attempt.number,
        )

    async def step(self, trajectory_id: str, step: Step) -> None:
        """Store one step."""
        await self._call(self._store.append_step, trajectory_id, step)

    async def finish(self, trajectory: Trajectory) -> None:
        """Store the finished attempt."""
        await self._call(self._store.finish, trajectory)

    async def _call(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> None:
        if self._store.local:
            function(*args, **kwargs)
        else:
            await asyncio.to_thread(function, *args, **kwargs)
