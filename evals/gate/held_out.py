"""Names of tasks by what is in them, so that no task is held out that was learned from."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from ...core import Task, content_id
from ...rundir import RunDirectory
from ...seams import Taskset
from ...store import Store
from ..figures.contamination import store_of
from ..figures.contents import said, task_names
from ..figures.evaluation import FILE, Evaluation

OWN = ("id", "split", "origin", "category")
"""Fields of a task that say what it is called, and not what it is."""


def names(tasks: Iterable[Task], evaluation: Evaluation | None = None) -> dict[str, tuple[str, ...]]:
    """Return the names that tasks have by their contents, the one they go by first.

    A task has up to three: with the contents of its file (`Evaluation.tasks`), by all it says, and by what it says
    without what it is called, so that the same game under another id is found. The last one is left out where nothing
    but the id tells tasks apart.

    Args:
        tasks: as they were played.
        evaluation: of that run, if it has one.
    """
    held = evaluation.tasks if evaluation is not None else {}
    found = {}
    for task in tasks:
        own = [content_id(said(task))[:16], bare(task)]
        found[task.id] = tuple(dict.fromkeys(name for name in (held.get(task.id), *own) if name is not None))
    return found


def names_in(taskset: Taskset, tasks: Sequence[Task]) -> dict[str, tuple[str, ...]]:
    """Return the names of tasks that were not played yet, as `names` does.

    Raises:
        ConfigError: a file cannot be read, or two tasks have one id.
    """
    held, own = task_names(taskset, tasks), names(tasks)
    return {ident: tuple(dict.fromkeys((held[ident], *own[ident]))) for ident in own}


def bare(task: Task) -> str | None:
    """Return the name of a task without what it is called, or None where nothing but that tells it from others."""
    if not (task.options or task.seed or task.truth is not None):
        return None
    return content_id({key: value for key, value in said(task).items() if key not in OWN})[:16]


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
