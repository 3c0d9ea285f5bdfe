"""Tasksets of probes: some kinds, as many tasks of each, all of them made from a kind, a number and a seed."""

from __future__ import annotations

from collections.abc import Sequence

from ...core import Task
from ...errors import ConfigError, EnvironmentFailure

SPLIT = "all"


class Kinds:
    """Tasks of some kinds; the one split is `all`. Who builds on it says their goal and the world that plays them.

    Args:
        each: tasks of a kind.
    """

    name: str
    unit: str
    """What ids begin with."""
    kinds: tuple[str, ...]

    def __init__(self, each: int) -> None:
        if each < 1:
            raise ConfigError(f"{self.name} needs each >= 1, not {each}.")
        self._each = each

    def goal(self, kind: str, number: int, seed: int) -> str:
        """Return what a task asks for."""
        raise NotImplementedError

    def splits(self) -> list[str]:
        """Return the one split there is."""
        return [SPLIT]

    def tasks(self, split: str, *, seed: int = 0, limit: int | None = None) -> list[Task]:
        """Return the tasks, kind by kind.

        Raises:
            ConfigError: there is no such split.
        """
        if split != SPLIT:
            raise ConfigError(f"{self.name} has no split {split!r}; there is: {SPLIT}.")
        found = [
            Task(
                id=f"{self.unit}/{seed}/{kind}/{number}",
                goal=self.goal(kind, number, seed),
                environment=self.name,
                options={"kind": kind, "number": number},
                seed=seed,
                split=split,
                category=kind,
            )
            for kind in self.kinds
            for number in range(self._each)
        ]
        return found if limit is None else found[:limit]


def placed(task: Task, kinds: Sequence[str], what: str) -> tuple[str, int, int]:
    """Return the kind, number and seed that a task was made from.

    Raises:
        EnvironmentFailure: it is not of these kinds; `what` says what it should have been.
    """
    kind, number = task.options.get("kind"), task.options.get("number")
    if kind not in kinds or not isinstance(number, int):
        raise EnvironmentFailure(f"task {task.id} is no {what}.")
    return str(kind), number, task.seed
