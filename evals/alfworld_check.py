"""Replaying each game's own walkthrough: every one must win, and every command be admissible."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from ..core import Task
from ..errors import ConfigError, EnvironmentFailure
from ..seams import Taskset
from .alfworld_engine import Engine
from .alfworld_game import Game


class Games(Taskset, Protocol):
    """A taskset whose tasks are ALFWorld games."""

    def game(self, task: Task) -> Game:
        """Return the game of a task."""
        ...


@dataclass
class CheckReport:
    """What replaying showed."""

    games: int = 0
    won: int = 0
    failures: list[str] = field(default_factory=list)
    start_seconds: float = 0.0
    step_seconds: float = 0.0
    steps: int = 0

    @property
    def starts_per_s(self) -> float:
        """Games brought from where they are kept to the first observation, per second."""
        return self.games / self.start_seconds if self.start_seconds else 0.0

    @property
    def steps_per_s(self) -> float:
        """Steps with their admissible actions, per second."""
        return self.steps / self.step_seconds if self.step_seconds else 0.0


def check_games(
    taskset: Taskset, split: str, limit: int | None = None, progress: Callable[[int, int], None] | None = None
) -> CheckReport:
    """Replay the walkthroughs of a split.

    Raises:
        ConfigError: the taskset is not made of ALFWorld games, or has no such split.
    """
    if not hasattr(taskset, "game"):
        raise ConfigError(f"taskset {taskset.name} has no walkthroughs to check; alfworld and household have.")
    games: Games = taskset  # type: ignore[assignment]
    tasks = taskset.tasks(split, limit=limit)
    report = CheckReport()
    for number, task in enumerate(tasks, 1):
        _check(games, task, report)
        if progress is not None:
            progress(number, len(tasks))
    return report


def _check(games: Games, task: Task, report: CheckReport) -> None:
    report.games += 1
    clock = time.perf_counter()
    try:
        game = games.game(task)
        engine = Engine(game)
        engine.reset()
        engine.admissible()
    except EnvironmentFailure as error:
        report.failures.append(str(error))
        return
    finally:
        report.start_seconds += time.perf_counter() - clock
    if not game.walkthrough:
        report.failures.append(f"{task.id}: the game carries no walkthrough")
        return
    clock = time.perf_counter()
    for command in game.walkthrough:
        if command not in engine.admissible():
            report.failures.append(f"{task.id}: {command!r} of its walkthrough is not admissible")
            break
        engine.step(command)
        report.steps += 1
    else:
        if engine.won:
            report.won += 1
        else:
            report.failures.append(f"{task.id}: its walkthrough does not win")
    engine.admissible()
    report.step_seconds += time.perf_counter() - clock
