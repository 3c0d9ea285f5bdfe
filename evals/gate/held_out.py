"""Names of tasks by what is in them, so that no task is held out that was learned from."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from ...core import Task
from ...rundir import RunDirectory
from ...seams import Taskset
from ...store import Store
from ...task_contents import names_of
from ..figures.contamination import store_of
from ..figures.contents import copies, task_names
from ..figures.evaluation import FILE, Evaluation


def names(tasks: Iterable[Task], evaluation: Evaluation | None = None) -> dict[str, tuple[str, ...]]:
    """Return the names that tasks have by their contents, the one they go by first.

    A task has up to four: with the contents of its file (`Evaluation.tasks`), by all it says, by what it says without
    what it is called, and by its file without where that lies (`Evaluation.files`), so that the same game under another
    id, and a copy of it in another folder, is found. That by what it says is left out where nothing but the id tells
    tasks apart.

    Args:
        tasks: as they were played.
        evaluation: of that run, if it has one.
    """
    held, files = (evaluation.tasks, evaluation.files) if evaluation is not None else ({}, {})
    return {task.id: _each(held.get(task.id), *names_of(task), files.get(task.id)) for task in tasks}


def names_in(taskset: Taskset, tasks: Sequence[Task]) -> dict[str, tuple[str, ...]]:
    """Return the names of tasks that were not played yet, as `names` does.

    Raises:
        ConfigError: a file cannot be read, or two tasks have one id.
    """
    held, files = task_names(taskset, tasks), copies(taskset, tasks)
    return {task.id: _each(held[task.id], *names_of(task), files.get(task.id)) for task in tasks}


def seen_in(paths: Iterable[Path]) -> dict[str, str]:
    """Return the names of all tasks in runs, memories and stores, and where each was found first.

    A memory that keeps no tasks has none; name the runs that it learned from.

    Raises:
        ConfigError: there is no store.
        StoreError: it cannot be read.
    """
    found: dict[str, str] = {}
    for path in paths:
        with Store.open(store_of(path), create=False) as store:
            known = store.tasks()
        file = RunDirectory(path).path / FILE
        evaluation = Evaluation.read(file) if file.exists() else None
        for own in names(known, evaluation).values():
            for name in own:
                found.setdefault(name, str(path))
    return found


def _each(*found: str | None) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for name in found if name is not None))
