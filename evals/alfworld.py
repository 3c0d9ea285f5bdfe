"""ALFWorld: any folder in the `ALFWORLD_DATA` layout as a taskset."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any, Literal

from ..core import Origin, Task
from ..errors import ConfigError, EnvironmentFailure
from ..seams import Environment
from .alfworld_game import CATEGORIES, Game, load_game
from .alfworld_play import MAX_STEPS, GameEnvironment
from .alfworld_stock import StockEnvironment, require_stock
from .alfworld_wording import task_sentence

FILE = "game.tw-pddl"
FOLDER = "json_2.1.1"


class AlfworldTaskset:
    """The games of an ALFWorld data folder.

    Args:
        data: the folder that holds `json_2.1.1`, or that folder itself; `$ALFWORLD_DATA` if not given.
        engine: `own` plays in this process; `stock` plays in the original engine (extra `alfworld`).
        types: task types to keep, all of them if not given.
        max_steps: steps after which an episode is truncated.

    Raises:
        ConfigError: there is no such folder, a type is unknown, or the stock engine is not installed.
    """

    name = "alfworld"

    def __init__(
        self,
        data: str | None = None,
        engine: Literal["own", "stock"] = "own",
        types: Sequence[str] | None = None,
        max_steps: int = MAX_STEPS,
    ) -> None:
        if engine not in ("own", "stock"):
            raise ConfigError(f"alfworld has no engine {engine!r}; there are own and stock.")
        if engine == "stock":
            require_stock()
        unknown = sorted(set(types or ()) - set(CATEGORIES))
        if unknown:
            raise ConfigError(f"alfworld has no task type {unknown[0]!r}; there are: {', '.join(CATEGORIES)}.")
        self._engine = engine
        self._types = frozenset(types or CATEGORIES)
        self._max_steps = max_steps
        self._given = data

    @property
    def root(self) -> Path:
        """The folder that holds the splits.

        Raises:
            ConfigError: it is not there.
        """
        given = self._given or os.environ.get("ALFWORLD_DATA")
        if not given:
            raise ConfigError(
                "no ALFWorld data folder was given.",
                hint="Set ALFWORLD_DATA or pass --data DIR; `--taskset household` needs no data.",
            )
        folder = Path(given).expanduser()
        root = folder / FOLDER if (folder / FOLDER).is_dir() else folder
        if not root.is_dir():
            raise ConfigError(f"there is no ALFWorld data folder {folder}.", hint="Set ALFWORLD_DATA or pass --data.")
        return root

    def splits(self) -> list[str]:
        """Return the splits in the data folder."""
        return sorted(entry.name for entry in self.root.iterdir() if entry.is_dir())

    def tasks(self, split: str, *, seed: int = 0, limit: int | None = None) -> list[Task]:
        """Return the games of a split, by turns of each task type, so that any first `limit` are a fair sample.

        The seed does not matter: games hold no chance, and their order is that of their ids.

        Raises:
            ConfigError: there is no such split, or it holds no game of these types.
        """
        folder = self.root / split
        if not split or not folder.is_dir():
            raise ConfigError(
                f"ALFWorld data {self.root} has no split {split!r}; there are: {', '.join(self.splits())}."
            )
        by_type: dict[str, list[Path]] = {}
        for file in sorted(folder.glob(f"*/*/{FILE}")):
            category = _category(file)
            if category in self._types:
                by_type.setdefault(category, []).append(file)
        files = _by_turns(by_type[category] for category in sorted(by_type))
        if not files:
            raise ConfigError(f"ALFWorld split {folder} holds no {FILE} of the task types asked for.")
        return [self._task(file, split) for file in files[:limit]]

    def environment(self) -> Environment:
        """Return an environment that plays every game of this folder."""
        if self._engine == "stock":
            return StockEnvironment(self.path, self._max_steps)
        return GameEnvironment(self.game, self._max_steps)

    def path(self, task: Task) -> Path:
        """Return the game file of a task.

        Raises:
            EnvironmentFailure: the task names no file inside the data folder.
        """
        relative = task.options.get("game")
        # By name, not by where links lead: a split is often a link to another disk.
        root = Path(os.path.normpath(self.root))
        path = Path(os.path.normpath(root / str(relative)))
        if not isinstance(relative, str) or not path.is_relative_to(root):
            raise EnvironmentFailure(f"task {task.id} names no game inside the data folder.", kind="contract")
        return path

    def game(self, task: Task) -> Game:
        """Return the game of a task."""
        return load_game(self.path(task))

    def _task(self, file: Path, split: str) -> Task:
        relative = file.relative_to(self.root)
        ident = "/".join(relative.parts[:-1])
        try:
            grammar = str(json.loads(file.read_bytes())["grammar"])
            goal, wording = task_sentence(grammar)
        except (ValueError, KeyError, TypeError):
            # A broken file is met when it is played, as a failure of that one episode.
            goal, wording = "", ""
        options: dict[str, Any] = {"game": relative.as_posix(), "grammar": wording}
        return Task(
            id=f"{self.name}/{ident}",
            goal=goal,
            environment=self.name,
            options=options,
            split=split,
            category=_category(file),
            origin=Origin(by=self.name),
        )


def _category(file: Path) -> str:
    name = file.parent.parent.name
    return next((category for category in CATEGORIES if name.startswith(category)), "")


def _by_turns(groups: Iterable[list[Path]]) -> list[Path]:
    return [file for turn in zip_longest(*groups) for file in turn if file is not None]
