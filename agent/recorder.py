"""Writing an episode into the store as it happens."""

from __future__ import annotations

import asyncio

from ..core import Step, Task, Trajectory
from ..store import Store
from .context import Attempt


class StoreRecorder:
    """Writes through a `Store`, off the event loop. All writes are idempotent."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def begin(self, run_id: str, task: Task, sample: int, attempt: Attempt) -> None:
        """Register an attempt before its first step."""
        await asyncio.to_thread(
            self._store.begin_attempt,
            attempt.trajectory_id,
            run_id=run_id,
            task=task,
            sample=sample,
            attempt=attempt.number,
        )

    async def step(self, trajectory_id: str, step: Step) -> None:
        """Store one step."""
        await asyncio.to_thread(self._store.append_step, trajectory_id, step)

    async def finish(self, trajectory: Trajectory) -> None:
        """Store the finished attempt."""
        await asyncio.to_thread(self._store.finish, trajectory)
