"""The tasks of a served taskset: what there is, and which one a `reset` means."""

from __future__ import annotations

import asyncio
import itertools
import random
import threading
from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from ...core import Task
from ...errors import ConfigError
from ...seams import Taskset


class ResetRequest(BaseModel):
    """What a client may say with a reset; all of it is optional, and what is not known here is left alone."""

    model_config = ConfigDict(extra="ignore")

    task_id: str | None = None
    """Id of the task, as the task lists show it."""
    split: str | None = None
    index: int | None = Field(default=None, ge=0)
    """Place of the task in its split, from 0."""
    seed: int | None = Field(default=None, ge=0)
    """Seed of the episode; it also draws the task where none is named."""
    episode_id: str | None = Field(default=None, max_length=255)
    """The client's own name for the episode."""


class Catalogue:
    """The tasks of a taskset by split, id and index; each split is made once, when it is first asked for.

    Args:
        taskset: whose tasks they are.
        split: where a reset that names no split looks; `train`, or the first there is, if not given.

    Raises:
        ConfigError: there is no such split.
    """

    def __init__(self, taskset: Taskset, split: str | None = None) -> None:
        self._taskset = taskset
        self._names = tuple(taskset.splits())
        if not self._names:
            raise ConfigError(f"taskset {taskset.name} has no splits, so there is nothing to serve.")
        self.split = split or ("train" if "train" in self._names else self._names[0])
        self._check(self.split)
        self._lock = threading.Lock()
        self._tasks: dict[str, Sequence[Task]] = {}
        self._places: dict[str, dict[str, int]] = {}
        self._turns = itertools.count()

    @property
    def name(self) -> str:
        """The taskset's name."""
        return self._taskset.name

    @property
    def splits(self) -> tuple[str, ...]:
        """The names of the splits."""
        return self._names

    async def tasks(self, split: str) -> Sequence[Task]:
        """Return the tasks of a split.

        Raises:
            ConfigError: there is no such split.
        """
        self._check(split)
        # Making a split may take seconds, in which the other sessions go on.
        return self._tasks[split] if split in self._tasks else await asyncio.to_thread(self._make, split)

    async def pick(self, request: ResetRequest) -> Task:
        """Return the task that a reset means: by id, by index, drawn by the seed, else the next one in turn.

        Raises:
            ConfigError: it names a task or a split that does not exist.
        """
        if request.task_id is not None:
            return await self._by_id(request.task_id, request.split)
        split = request.split or self.split
        tasks = await self.tasks(split)
        if not tasks:
            raise ConfigError(f"split {split} of taskset {self.name} has no tasks.")
        if request.index is not None:
            if request.index >= len(tasks):
                raise ConfigError(f"split {split} has {len(tasks)} tasks, so there is no index {request.index}.")
            return tasks[request.index]
        if request.seed is not None:
            return tasks[random.Random(f"{split}/{request.seed}").randrange(len(tasks))]
        return tasks[next(self._turns) % len(tasks)]

    async def _by_id(self, ident: str, split: str | None) -> Task:
        for name in (split,) if split is not None else self._names:
            tasks = await self.tasks(name)
            place = self._places[name].get(ident)
            if place is not None:
                return tasks[place]
        where = f"split {split} of " if split is not None else ""
        raise ConfigError(f"{where}taskset {self.name} has no task {ident!r}.")

    def _check(self, split: str) -> None:
        if split not in self._names:
            raise ConfigError(f"taskset {self.name} has no split {split!r}; there are: {', '.join(self._names)}.")

    def _make(self, split: str) -> Sequence[Task]:
        with self._lock:
            if split not in self._tasks:
                tasks = self._taskset.tasks(split)
                self._places[split] = {task.id: place for place, task in enumerate(tasks)}
                self._tasks[split] = tasks
            return self._tasks[split]


def shown(task: Task, index: int) -> dict[str, Any]:
    """Return what a client may know of a task: neither its ground truth nor its options, which may hold it."""
    known = {"id": task.id, "index": index, "split": task.split, "category": task.category, "goal": task.goal}
    return {**known, "seed": task.seed}
