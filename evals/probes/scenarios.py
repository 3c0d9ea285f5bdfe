"""The small decisions as a taskset, so that a release plays them as it plays everything else."""

from __future__ import annotations

from typing import Any

from ...core import Task
from ...errors import ConfigError, EnvironmentFailure
from .scenes import PATHWAYS, Case, case

WORLD = "lamarck.evals.probes.scenarios:Scenarios"
ALL = "all"


class Scenarios:
    """Decisions; the splits are the pathways, and `all` of them.

    Args:
        count: how many there are of each pathway.
    """

    name = "scenarios"

    def __init__(self, count: int = 12) -> None:
        if count < 1:
            raise ConfigError(f"scenarios needs count >= 1, not {count}.")
        self._count = count

    def splits(self) -> list[str]:
        """Return the pathways, and all of them."""
        return [*PATHWAYS, ALL]

    def tasks(self, split: str, *, seed: int = 0, limit: int | None = None) -> list[Task]:
        """Return the decisions of a pathway, or of all in turn.

        Raises:
            ConfigError: there is no such pathway.
        """
        if split not in self.splits():
            raise ConfigError(f"scenarios has no split {split!r}; there are: {', '.join(self.splits())}.")
        pathways = PATHWAYS if split == ALL else (split,)
        found = [_task(split, pathway, number, seed) for pathway in pathways for number in range(self._count)]
        return found if limit is None else found[:limit]

    def environment(self) -> Decision:
        """Return a world that plays any of them."""
        return Decision()


def _task(split: str, pathway: str, number: int, seed: int) -> Task:
    one = case(pathway, number, seed)
    return Task(
        id=one.id,
        goal=one.goal,
        environment=Scenarios.name,
        options={"pathway": pathway, "number": number},
        seed=seed,
        split=split,
        category=one.kind,
    )


def case_of(task: Task) -> Case:
    """Return the decision that a task asks for.

    Raises:
        EnvironmentFailure: it is no task of this set.
    """
    pathway, number = task.options.get("pathway"), task.options.get("number")
    if pathway not in PATHWAYS or not isinstance(number, int):
        raise EnvironmentFailure(f"task {task.id} is no scenario.")
    return case(str(pathway), number, task.seed)


class Decision:
    """One decision. The first action that is offered ends it; no reward, so that nothing can be learned here."""

    concurrency = "inline"
    max_steps = 3

    def __init__(self) -> None:
        self._case: Case | None = None
        self._steps = 0

    def reset(self, *, seed: int | None = None, task: Task | None = None) -> tuple[str, dict[str, Any]]:
        """Show the situation."""
        if task is None:
            raise EnvironmentFailure("a scenario needs its task.")
        self._case, self._steps = case_of(task), 0
        return self._case.seen, {"admissible_actions": list(self._case.options)}

    def step(self, action: str) -> tuple[str, float, bool, bool, dict[str, Any]]:
        """Take the decision; it is judged elsewhere."""
        if self._case is None:
            raise EnvironmentFailure("a scenario was not reset.")
        self._steps += 1
        taken = action in self._case.options
        late = not taken and self._steps >= self.max_steps
        info = {"admissible_actions": list(self._case.options), "effective": taken}
        return ("That is settled." if taken else "That cannot be done here."), 0.0, taken, late, info
