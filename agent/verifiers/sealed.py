"""Worlds that keep their outcome to themselves: the loop sees texts and actions, evaluation alone opens the rest.

Everything between the world and the store is given tasks without ground truth and steps without reward, success,
score and `info`, so nothing in between has to be trusted to look away. What was taken out is written into a file of
its own, `outcomes.db` in the run directory, under the attempt and the step it belongs to.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from ...core import Task, Trajectory
from ...errors import EnvironmentFailure, StoreError, boundary
from ..context import Attended, Rewinds
from ..hosting import World, WorldPool
from ..observed import Observed
from .blinded import ENDED

FILE = "outcomes.db"
_TABLE = """CREATE TABLE IF NOT EXISTS outcomes (
    trajectory_id TEXT NOT NULL, number INTEGER NOT NULL, reward REAL NOT NULL, success INTEGER, score REAL,
    info TEXT NOT NULL, ended TEXT, PRIMARY KEY (trajectory_id, number)
) WITHOUT ROWID"""


class Sealed(NamedTuple):
    """What a world said of one step; number 0 is its reset."""

    number: int
    reward: float
    success: bool | None
    score: float | None
    info: dict[str, object]
    ended: str | None
    """The last observation, where the world ended the episode."""


class Outcomes:
    """The outcomes of a run. Open them with `Outcomes.open`; one process writes."""

    def __init__(self, connection: sqlite3.Connection, place: Path) -> None:
        self._connection = connection
        self._place = place

    @classmethod
    @contextmanager
    def open(cls, path: Path, *, create: bool = True) -> Iterator[Outcomes]:
        """Open the file, making it where there is none.

        Raises:
            StoreError: it cannot be opened, or is no such file.
        """
        if not create and not path.is_file():
            raise StoreError(f"there are no outcomes in {path}.", kind="missing")
        with boundary(StoreError, f"opening outcomes {path}", sqlite3.Error):
            connection = sqlite3.connect(path, isolation_level=None, timeout=20.0)
        try:
            with boundary(StoreError, f"opening outcomes {path}", sqlite3.Error):
                connection.execute("PRAGMA journal_mode = WAL")
                connection.execute(_TABLE)
            yield cls(connection, path)
        finally:
            connection.close()

    def begin(self, trajectory_id: str) -> None:
        """Forget what was kept of an attempt, which begins again."""
        with boundary(StoreError, f"writing outcomes {self._place}", sqlite3.Error):
            self._connection.execute("DELETE FROM outcomes WHERE trajectory_id = ?", (trajectory_id,))

    def keep(self, trajectory_id: str, number: int, observed: Observed) -> None:
        """Write what a world said of one step."""
        row = (
            *(trajectory_id, number, observed.reward, observed.success, observed.score),
            *(json.dumps(observed.info), observed.observation if observed.terminated or observed.truncated else None),
        )
        with boundary(StoreError, f"writing outcomes {self._place}", sqlite3.Error):
            self._connection.execute("INSERT OR REPLACE INTO outcomes VALUES (?, ?, ?, ?, ?, ?, ?)", row)

    def of(self, trajectory_id: str) -> list[Sealed]:
        """Return what was kept of an attempt, in order."""
        query = "SELECT number, reward, success, score, info, ended FROM outcomes WHERE trajectory_id = ? ORDER BY 1"
        with boundary(StoreError, f"reading outcomes {self._place}", sqlite3.Error):
            rows = self._connection.execute(query, (trajectory_id,)).fetchall()
        return [
            Sealed(number, reward, None if success is None else bool(success), score, json.loads(info), ended)
            for number, reward, success, score, info, ended in rows
        ]

    def unseal(self, trajectory: Trajectory) -> Trajectory:
        """Return an attempt with its outcome put back; its verdict stays as it is.

        For evaluation only: nothing that learns may call this.
        """
        kept = self.of(trajectory.id)
        if trajectory.failure is not None or not kept:
            return trajectory
        by_number, moves, steps = {one.number: one for one in kept}, 0, []
        for step in trajectory.steps:
            moves += step.action is not None
            one = by_number.get(moves) if step.action is not None else None
            outcome = {} if one is None else {"success": one.success, "score": one.score}
            info = {} if one is None else {**one.info, **{k: v for k, v in outcome.items() if v is not None}}
            steps.append(step.model_copy(update={"reward": one.reward if one else 0.0, "info": info}))
        ended = kept[-1].ended
        return trajectory.model_copy(
            update={
                "steps": tuple(steps),
                "success": next((one.success for one in reversed(kept) if one.success is not None), None),
                "score": next((one.score for one in reversed(kept) if one.score is not None), None),
                "reward": sum(one.reward for one in kept),
                "final_observation": ended if ended is not None else trajectory.final_observation,
            }
        )


@contextmanager
def unsealing(folder: Path) -> Iterator[Callable[[Trajectory], Trajectory]]:
    """Open the outcomes of a run, for evaluation only; where none were withheld, attempts are given back as they are.

    Args:
        folder: of the run.

    Raises:
        StoreError: there are outcomes, and they cannot be read.
    """
    if not (folder / FILE).is_file():
        yield lambda trajectory: trajectory
        return
    with Outcomes.open(folder / FILE, create=False) as outcomes:
        yield outcomes.unseal


class SealedWorld:
    """A world that shows texts and admissible actions only.

    Args:
        world: the world itself.
        tasks: the tasks with their ground truth, by id: the world needs it, nobody else sees it.
        outcomes: where outcomes go.
        hide_end: show no last observation where the world ends the episode.
    """

    withholds = True

    def __init__(self, world: World, tasks: Mapping[str, Task], outcomes: Outcomes, *, hide_end: bool = True) -> None:
        self._world = world
        self._tasks = tasks
        self._outcomes = outcomes
        self._hide_end = hide_end
        self._trajectory_id = ""
        self._number = 0

    def attend(self, trajectory_id: str) -> None:
        """Hear which attempt begins."""
        self._trajectory_id = trajectory_id
        if isinstance(self._world, Attended):
            self._world.attend(trajectory_id)

    async def reset(self, task: Task, seed: int) -> Observed:
        """Begin an episode."""
        return self._begun(await self._world.reset(self._whole(task), seed))

    async def rewind(self, task: Task, seed: int, moves: int) -> Observed | None:
        """Begin an episode that goes back, where the world can."""
        if not isinstance(self._world, Rewinds):
            return None
        observed = await self._world.rewind(self._whole(task), seed, moves)
        return None if observed is None else self._begun(observed)

    async def step(self, action: str) -> Observed:
        """Carry an action out."""
        observed = await self._world.step(action)
        self._number += 1
        # Before the step is stored: an attempt that is in the store has its outcome.
        self._outcomes.keep(self._trajectory_id, self._number, observed)
        return self._shown(observed)

    async def snapshot(self) -> object:
        """Return the state of the world."""
        return await self._world.snapshot()

    async def restore(self, state: object) -> None:
        """Put a state back."""
        await self._world.restore(state)

    async def close(self) -> None:
        """Close the world."""
        await self._world.close()

    def _whole(self, task: Task) -> Task:
        found = self._tasks.get(task.id)
        if found is None:
            raise EnvironmentFailure(f"task {task.id} is not among those whose truth is withheld.", kind="sealed")
        return found

    def _begun(self, observed: Observed) -> Observed:
        self._number = 0
        self._outcomes.begin(self._trajectory_id)
        self._outcomes.keep(self._trajectory_id, 0, observed)
        return self._shown(observed)

    def _shown(self, observed: Observed) -> Observed:
        over = observed.terminated or observed.truncated
        text = ENDED if self._hide_end and over else observed.observation
        return replace(observed, observation=text, reward=0.0, success=None, score=None, info={})


class SealedPool:
    """Worlds of a pool, each of which keeps its outcome to itself.

    Args:
        pool: whose worlds they are.
        tasks: the tasks with their ground truth.
        outcomes: where outcomes go.
        hide_end: show no last observation where the world ends the episode.
    """

    def __init__(self, pool: WorldPool, tasks: Sequence[Task], outcomes: Outcomes, *, hide_end: bool = True) -> None:
        self._pool = pool
        self._tasks = {task.id: task for task in tasks}
        self._outcomes = outcomes
        self._hide_end = hide_end

    @asynccontextmanager
    async def lease(self) -> AsyncIterator[World]:
        """Return a world for the time of one episode."""
        async with self._pool.lease() as world:
            yield SealedWorld(world, self._tasks, self._outcomes, hide_end=self._hide_end)

    async def close(self) -> None:
        """Close the pool."""
        await self._pool.close()
