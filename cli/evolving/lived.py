"""What an evolution has lived through, for those who ask whether a release says more than it can know."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path

from ...core import Step, Task
from ...evals.probes.spelled import texts_in
from ...rundir import RunDirectory
from ...store import Store
from .collecting import COLLECT
from .home import Home

TELLING = re.compile(r"truth|answer|solution|plan|expert|expected|target|label|gold|secret|walkthrough", re.IGNORECASE)
"""Keys of an environment's info that may tell an answer."""


class Lived:
    """The attempts that anything can have been learned from, in the stores of runs.

    Args:
        runs: folders of the runs.
        held_out: gives the tasks that nothing was to be learned from.
    """

    def __init__(self, runs: Sequence[Path], held_out: Callable[[], Sequence[Task]] = tuple) -> None:
        self._runs = [RunDirectory(path) for path in runs]
        self._held_out = held_out
        self._texts: dict[str, str] = {}

    @property
    def attempts(self) -> frozenset[str]:
        """Ids of all attempts."""
        return frozenset(self._places)

    def hidden(self) -> Mapping[str, str]:
        """Return ground truths, and what environments told beside their text under keys that sound like an answer."""
        found: dict[str, str] = {}
        for _, text, where in self._told:
            found.setdefault(text, where)
        return found

    def answers(self) -> Sequence[tuple[str, str, str]]:
        """Return the same texts behind the goal of the task that they are of: goal, hidden text, where it is from."""
        return self._told

    @cached_property
    def _told(self) -> list[tuple[str, str, str]]:
        found: dict[tuple[str, str], str] = {}

        def add(task: Task, value: object, where: str) -> None:
            for text in texts_in(value):  # type: ignore[arg-type]  # what is stored is JSON
                found.setdefault((task.goal, text), where)

        for task in self._held_out():
            add(task, task.truth, f"held-out task {task.id}")
        for directory in self._runs:
            with _opened(directory) as store:
                for task in store.tasks():
                    add(task, task.truth, f"task {task.id}")
                for header in store.headers(run_id=directory.run_id):
                    for step in store.steps_of(header.id, brief=True):
                        for key, value in step.info.items():
                            if TELLING.search(key):
                                add(header.task, value, f"{key} of task {header.task.id}")
        return [(goal, text, where) for (goal, text), where in found.items()]

    def seen(self, attempt: str) -> str:
        """Return all text that the agent saw and wrote in an attempt."""
        if attempt not in self._texts:
            directory = self._places.get(attempt)
            if directory is None:
                return ""
            with _opened(directory) as store:
                one = store.trajectory(attempt)
            parts = [one.task.goal, one.final_observation, *(text for step in one.steps for text in _shown(step))]
            self._texts[attempt] = "\n".join(parts)
        return self._texts[attempt]

    @cached_property
    def _places(self) -> dict[str, RunDirectory]:
        found: dict[str, RunDirectory] = {}
        for directory in self._runs:
            with _opened(directory) as store:
                found |= {header.id: directory for header in store.headers(run_id=directory.run_id)}
        return found


def runs_of(home: Home) -> dict[int, Path]:
    """Return the runs that anything can have been learned from, by generation.

    Nothing was made of a generation that still plays; a kill may have come before its run had a store.

    Raises:
        ConfigError: a record of a generation is damaged.
    """
    found = {one.number: home.generation(one.number) / COLLECT for one in home.kept() if COLLECT in one.figures}
    return {number: run for number, run in found.items() if RunDirectory(run).exists()}


def _shown(step: Step) -> list[str]:
    calls = [text for call in step.tool_calls for text in (call.result, call.error) if text]
    return [step.observation, *(step.admissible or ()), step.completion, step.action or "", *calls]


def _opened(directory: RunDirectory) -> Store:
    return Store.open(directory.store_url(directory.load_config()), create=False)
