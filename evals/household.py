"""Household: as many ALFWorld games as one wants, made on the spot, with nothing to download."""

from __future__ import annotations

import functools
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

from ..core import Origin, Task
from ..errors import ConfigError, EnvironmentFailure
from ..seams import Environment
from .alfworld_game import CATEGORIES, Game
from .alfworld_play import MAX_STEPS, GameEnvironment
from .household_generate import Made, make_game
from .household_world import SIZES, SPLITS, Size, Split, TaskType, rooms_for


class HouseholdTaskset:
    """Generated games of one size; the split and the seed say which.

    Args:
        size: `nano`, `tiny`, `small`, `room` or `full` (the statistics of released ALFWorld games).
        types: task types to keep, all six if not given.
        games: games per split.
        max_steps: steps after which an episode is truncated.
        seed: another seed, other games.

    Raises:
        ConfigError: there is no such size or task type.
    """

    name = "household"

    def __init__(
        self,
        size: str = "small",
        types: Sequence[str] | None = None,
        games: int = 120,
        max_steps: int = MAX_STEPS,
        seed: int = 0,
    ) -> None:
        if size not in SIZES:
            raise ConfigError(f"household has no size {size!r}; there are: {', '.join(SIZES)}.")
        if games < 1:
            raise ConfigError(f"household needs at least one game per split, not {games}.")
        for kind in types or ():
            rooms_for(kind)
        self._size = cast(Size, size)
        self._types = cast(tuple[TaskType, ...], tuple(sorted(set(types or CATEGORIES))))
        self._games = games
        self._max_steps = max_steps
        self._seed = seed

    def splits(self) -> list[str]:
        """Return the splits."""
        return list(SPLITS)

    def tasks(self, split: str, *, seed: int = 0, limit: int | None = None) -> list[Task]:
        """Return the games of a split, by turns of each task type. The seed adds to the taskset's own.

        Raises:
            ConfigError: there is no such split.
        """
        if split not in SPLITS:
            raise ConfigError(f"household has no split {split!r}; there are: {', '.join(SPLITS)}.")
        count = self._games if limit is None else min(limit, self._games)
        return [
            self._task(split, self._types[n % len(self._types)], n // len(self._types), self._seed + seed)
            for n in range(count)
        ]

    def environment(self) -> Environment:
        """Return an environment that plays every game of this set."""
        return GameEnvironment(self.game, self._max_steps)

    def game(self, task: Task) -> Game:
        """Return the game of a task, made anew from its options: no file, the same everywhere.

        Raises:
            EnvironmentFailure: the task is not one of this taskset.
        """
        return _made(task_key(task)).game

    def _task(self, split: str, kind: TaskType, index: int, seed: int) -> Task:
        key = (seed, self._size, split, kind, index)
        made = _made(key)
        options: dict[str, Any] = {"size": self._size, "type": kind, "index": index, "grammar": made.game.grammar}
        # By what is in it: games of two splits may have all else in common, down to the words of the errand.
        options["game"] = made.signature[:16]
        return Task(
            id=f"{self.name}/{self._size}/{split}/{kind}/{seed}-{index:05d}",
            goal=made.game.goal,
            environment=self.name,
            options=options,
            seed=seed,
            split=split,
            category=kind,
            origin=Origin(by=self.name),
        )


def task_key(task: Task) -> tuple[int, str, str, str, int]:
    """Return what a household task is made from.

    Raises:
        EnvironmentFailure: it is no household task.
    """
    size, kind, index = (task.options.get(name) for name in ("size", "type", "index"))
    if size not in SIZES or kind not in CATEGORIES or task.split not in SPLITS or not isinstance(index, int):
        raise EnvironmentFailure(f"task {task.id} is no household task.", kind="contract")
    return task.seed, str(size), task.split, str(kind), index


def export_games(folder: Path, *, split: str, size: str, games: int, seed: int = 0) -> list[Path]:
    """Write games in the ALFWORLD_DATA layout, for any ALFWorld engine; return the game files.

    Raises:
        ConfigError: there is no such split or size.
    """
    taskset = HouseholdTaskset(size=size, games=games, seed=seed)
    written = []
    for number, task in enumerate(taskset.tasks(split)):
        made = _made(task_key(task))
        target = folder / "json_2.1.1" / split / made.name / f"trial_H{seed:05d}_{number:06d}"
        target.mkdir(parents=True, exist_ok=True)
        (target / "game.tw-pddl").write_text(json.dumps(made.data), encoding="utf-8")
        (target / "traj_data.json").write_text(json.dumps(_traj_data(made)), encoding="utf-8")
        written.append(target / "game.tw-pddl")
    return written


def _traj_data(made: Made) -> dict[str, Any]:
    return {
        "task_id": made.signature[:16],
        "task_type": made.plot.kind,
        "pddl_params": {
            "object_target": made.plot.target,
            "parent_target": made.plot.goal,
            "toggle_target": made.plot.lamp,
            "mrecep_target": "",
            "object_sliced": False,
        },
        "scene": {"floor_plan": f"{made.plot.layout.room}-{made.plot.layout.number}"},
    }


@functools.lru_cache(maxsize=512)
def _made(key: tuple[int, str, str, str, int]) -> Made:
    """Make a game, or return it as made before; games are immutable."""
    seed, size, split, kind, index = key
    return make_game(seed=seed, size=cast(Size, size), split=cast(Split, split), kind=cast(TaskType, kind), index=index)
