"""Proposed tasks as a taskset: read from the file that was written, and played by whatever world each belongs to."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pydantic import JsonValue, ValidationError

from ...agent.hosting import declared_concurrency
from ...agent.tasksets import load_taskset
from ...config import TasksetConfig
from ...core import Task
from ...errors import ConfigError, EnvironmentFailure
from ...seams import Environment, Taskset
from ...whole import read_records, write_whole
from ..alfworld_game import Game
from ..alfworld_play import MAX_STEPS, GameEnvironment
from ..questions import Answering
from ..worlds.mbpp import Sandboxes
from .code_tasks import TIMEOUT_S, CodeAnswering
from .known import plot_of_task
from .plots import game_of


class ProposedTaskset:
    """Tasks that a proposer has made or chosen.

    Args:
        data: file of JSON lines with tasks, as `lamarck propose --out` writes it.
        options: taskset -> its options, for tasks that a curriculum chose from other tasksets.
        max_steps: steps after which a household episode is truncated.
        backend: sandbox to judge code in.
        allow_unsafe: must be True for the backend `unsafe-local`.
        timeout_s: longest run of an answer, in seconds.
    """

    name = "proposed"

    def __init__(
        self,
        data: str,
        options: Mapping[str, Mapping[str, JsonValue]] | None = None,
        max_steps: int = MAX_STEPS,
        backend: str = "auto",
        allow_unsafe: bool = False,
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        self._data = Path(data)
        self._options = {name: dict(found) for name, found in (options or {}).items()}
        self._max_steps = max_steps
        self._sandboxes = Sandboxes(backend, allow_unsafe, 4 * timeout_s)
        self._timeout_s = timeout_s
        self._others: dict[str, Taskset] = {}

    def splits(self) -> list[str]:
        """Return the splits of the tasks in the file."""
        return sorted({task.split for task in self._read})

    def tasks(self, split: str, *, seed: int = 0, limit: int | None = None) -> list[Task]:
        """Return the tasks of a split, in the order of the file.

        Raises:
            ConfigError: there is no such split, or the file is none of tasks.
        """
        if split not in self.splits():
            raise ConfigError(f"{self._data} has no split {split!r}; there are: {', '.join(self.splits())}.")
        return [task for task in self._read if task.split == split][:limit]

    def environment(self) -> Environment:
        """Return an environment for every task of the file."""
        # Its calls are coroutines, which the Protocol leaves open.
        return Elsewhere(self._world, self._max_steps)  # type: ignore[return-value]

    def game(self, task: Task) -> Game:
        """Return the game of a household task.

        Raises:
            EnvironmentFailure: it is none.
        """
        return game_of(plot_of_task(task))

    def _world(self, task: Task) -> Any:
        """Return the environment that plays a task."""
        world = task.options.get("world")
        if task.environment != self.name:
            return self._elsewhere(task.environment)
        if world == "household":
            return GameEnvironment(self.game, self._max_steps)
        if world == "code":
            return CodeAnswering(self._sandboxes, self._timeout_s)
        if world == "questions":
            return Answering(1e-6)
        raise EnvironmentFailure(f"task {task.id} names no world: {world!r}.", kind="contract")

    def _elsewhere(self, name: str) -> Any:
        """Return an environment of another taskset, if it may be called from an event loop."""
        if name not in self._others:
            self._others[name] = load_taskset(name, self._options.get(name))
        world = self._others[name].environment()
        if declared_concurrency(world) not in ("inline", "async"):
            raise EnvironmentFailure(
                f"tasks of {name} cannot be played from a file: its worlds need threads or processes.",
                hint=f"Play them by their ids, with --taskset {name}.",
                kind="contract",
            )
        return world

    @functools.cached_property
    def _read(self) -> list[Task]:
        return read_tasks(self._data)


class Elsewhere:
    """Plays each task in the world it belongs to.

    Args:
        world: from a task to an environment.
        max_steps: of the longest of them.
    """

    concurrency = "async"

    def __init__(self, world: Callable[[Task], Any], max_steps: int) -> None:
        self._world, self.max_steps = world, max_steps
        self._open: Any = None

    async def reset(self, *, seed: int | None = None, task: Task | None = None) -> tuple[str, dict[str, Any]]:
        """Open the task's world and start the episode there.

        Raises:
            EnvironmentFailure: there is no task, or no world for it.
        """
        if task is None:
            raise EnvironmentFailure("proposed tasks are played by task.", kind="contract")
        await self.close()
        self._open = self._world(task)
        found: tuple[str, dict[str, Any]] = await _called(self._open.reset, seed=seed, task=task)
        return found

    async def step(self, action: str) -> tuple[str, float, bool, bool, dict[str, Any]]:
        """Hand the action on.

        Raises:
            EnvironmentFailure: the episode has not begun.
        """
        if self._open is None:
            raise EnvironmentFailure("the environment was not reset.", kind="contract")
        found: tuple[str, float, bool, bool, dict[str, Any]] = await _called(self._open.step, action)
        return found

    async def close(self) -> None:
        """Close the world that is open."""
        world, self._open = self._open, None
        if (close := getattr(world, "close", None)) is not None:
            await _called(close)


def config_for(file: Path, given: TasksetConfig, split: str = "train") -> TasksetConfig:
    """Return the taskset of a run that plays a file of proposed tasks, given ones of another taskset among them."""
    options: dict[str, JsonValue] = {"data": str(file), "options": {given.name: dict(given.options)}}
    return TasksetConfig(name=f"{__name__}:{ProposedTaskset.__name__}", split=split, options=options)


def read_tasks(path: Path) -> list[Task]:
    """Return the tasks of a file of JSON lines.

    Raises:
        ConfigError: it cannot be read, or a line is no task.
    """
    try:
        lines = read_records(path)
    except (OSError, UnicodeDecodeError) as error:
        hint = "`lamarck propose --out` writes them."
        raise ConfigError(f"cannot read proposed tasks {path}: {error}.", hint=hint) from error
    tasks, seen = list[Task](), set[str]()
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            task = Task.model_validate_json(line)
        except ValidationError as error:
            raise ConfigError(f"{path}, line {number}: no task ({error.error_count()} fields are wrong).") from None
        if task.id in seen:
            raise ConfigError(f"{path}, line {number}: a second task {task.id}.")
        seen.add(task.id)
        tasks.append(task)
    return tasks


def write_tasks(path: Path, tasks: list[Task]) -> int:
    """Write tasks as JSON lines, each once; return how many. The file is there whole or not at all."""
    once = {task.id: task for task in tasks}
    write_whole(path, "".join(f"{task.model_dump_json()}\n" for task in once.values()))
    return len(once)


async def _called(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    result = function(*args, **kwargs)
    return await result if inspect.isawaitable(result) else result
