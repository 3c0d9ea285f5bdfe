"""What the conformance suite is pointed at: a taskset, one of its splits, and how much of it is played."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar

from ...agent.hosting import declared_concurrency
from ...core import Task
from ...errors import LamarckError
from ...seams import Concurrency, Taskset
from .conformance_play import Announce, Play
from .conformance_report import Failed, Spot, shown

T = TypeVar("T")
Make = Callable[[], Taskset]


@dataclass
class Subject:
    """What is under test, and how much of it is played.

    `episodes` tasks are used, `steps` is the length of a walk where the world does not end it earlier.
    """

    taskset: Taskset
    split: str
    make: Make | None = None
    """Makes the same taskset in another process; None for an object that only lives here."""
    episodes: int = 6
    steps: int = 30
    seed: int = 0
    announce: Announce = lambda spot: None

    @cached_property
    def tasks(self) -> list[Task]:
        """The first `episodes` tasks of the split."""
        return self.listed(self.split, limit=self.episodes)

    @cached_property
    def concurrency(self) -> Concurrency:
        """What the environment declares; `serial` where it declares what there is not."""
        try:
            with self.play() as play:
                return declared_concurrency(play.environment)
        except LamarckError:
            return "serial"

    @cached_property
    def max_steps(self) -> int | None:
        """The step limit that the environment declares."""
        with self.play() as play:
            limit = getattr(play.environment, "max_steps", None)
        return limit if isinstance(limit, int) and limit > 0 else None

    def listed(self, split: str, *, limit: int | None = None, of: Taskset | None = None) -> list[Task]:
        """Return tasks of a split.

        Raises:
            Failed: the taskset raised, or returned what are no tasks.
        """
        self.announce(Spot())
        try:
            found = list((of or self.taskset).tasks(split, seed=self.seed, limit=limit))
        except Exception as error:
            raise Failed(f"tasks({split!r}) raised {type(error).__name__}: {error}", crashed=True) from error
        if not found or not all(isinstance(task, Task) for task in found):
            raise Failed(f"tasks({split!r}, limit={limit}) returned {shown(found)}, not tasks.", crashed=True)
        return found

    @contextmanager
    def play(self) -> Iterator[Play]:
        """Open a new environment and close it behind the block; an error of `close` hides none of the block's."""
        play = Play(self._environment(), self.announce, self.awaited)
        try:
            yield play
        except BaseException:
            with suppress(Failed):
                play.close()
            raise
        play.close()

    def awaited(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine on the event loop of this subject."""
        return self._runner.run(coroutine)

    @cached_property
    def _runner(self) -> asyncio.Runner:
        return asyncio.Runner()

    def close(self) -> None:
        """Close the event loop, if there is one."""
        if "_runner" in vars(self):
            self._runner.close()
            del self._runner

    def _environment(self) -> Any:
        self.announce(Spot())
        try:
            return self.taskset.environment()
        except Exception as error:
            raise Failed(f"environment() raised {type(error).__name__}: {error}", crashed=True) from error

    def walkthrough(self, task: Task) -> tuple[str, ...]:
        """Return actions that are known to solve a task, where the taskset offers them.

        Looked for, in turn: `taskset.walkthrough(task)`; `taskset.game(task).walkthrough`; the answer of a task whose
        world ends with its first step.
        """
        with suppress(Exception):
            if hasattr(self.taskset, "walkthrough"):
                return tuple(self.taskset.walkthrough(task))
            if hasattr(self.taskset, "game"):
                return tuple(self.taskset.game(task).walkthrough)
        return (task.truth,) if isinstance(task.truth, str) and self.max_steps == 1 else ()

    def policy(self, task: Task, salt: str = "") -> random.Random:
        """Return the chance behind a walk: the same for the same task, seed and `salt`."""
        return random.Random(f"conformance/{self.seed}/{task.id}/{salt}")
