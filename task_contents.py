"""What tasks are called by what is in them. Who evaluates and who trains read this, and neither knows the other."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pydantic import JsonValue

from .core import Task, content_id
from .errors import ConfigError

DATA_OPTIONS = frozenset({"data", "file", "files", "folder", "path", "documents"})
"""Options of tasksets that say where something is, whatever is there."""
OWN = ("id", "split", "origin", "category")
"""Fields of a task that say what it is called, and not what it is."""
EVALUATION = "evaluation.json"
"""File beside a run that names its tasks."""


def is_place(key: str, value: JsonValue) -> bool:
    """Say whether an option of a taskset says where something is, and not what it is."""
    if not isinstance(value, str):
        return False
    if key in DATA_OPTIONS or "://" in value:
        return True
    return is_path(value) and Path(value).expanduser().exists()


def is_path(value: JsonValue) -> bool:
    """Say whether a value looks like a path, whether or not there is something."""
    return isinstance(value, str) and ("/" in value or "\\" in value or bool(Path(value).suffix))


def names_file(task: Task) -> bool:
    """Say whether a task is what is in a file, by an option that can be nothing else: a path with a suffix."""
    texts = (value for value in task.options.values() if isinstance(value, str))
    return any("/" in text and Path(text).suffix and not re.search(r"\s", text) for text in texts)


def said(task: Task) -> dict[str, Any]:
    """Return what a task says, without where it is."""
    plain = task.model_dump(mode="json")
    plain["options"] = {key: value for key, value in task.options.items() if not _elsewhere(key, value)}
    return plain


def bare(task: Task) -> str | None:
    """Return the name of a task without what it is called, or None where nothing but that tells it from others."""
    if not (task.options or task.seed or task.truth is not None):
        return None
    return content_id({key: value for key, value in said(task).items() if key not in OWN})[:16]


def copied(task: Task, file: str) -> str:
    """Return the name of a task by its file, wherever that lies and whatever it is called.

    A file may hold several tasks, so what the task says counts as well, but for all that looks like a path.

    Args:
        task: any.
        file: hash of what is in its file.
    """
    plain = {key: value for key, value in said(task).items() if key not in OWN}
    plain["options"] = {key: value for key, value in task.options.items() if not is_path(value)}
    return content_id(plain, file)[:16]


def names_of(task: Task) -> list[str]:
    """Return the names that a task has by itself, without its file: also that under which it stands where its truth is
    withheld."""
    blind = task.model_copy(update={"truth": None})
    found = (content_id(said(task))[:16], bare(task), content_id(said(blind))[:16])
    return [name for name in dict.fromkeys(found) if name is not None]


def files_beside(run: Path) -> dict[str, str]:
    """Return the names that the tasks of a run have by their files, by id; none where the run has told of none.

    Raises:
        ConfigError: what is there cannot be read.
    """
    file = run / EVALUATION
    try:
        plain = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    except (OSError, ValueError) as error:
        raise ConfigError(f"cannot read evaluation {file}: {error}.", hint="Play that run anew.") from error
    found = plain.get("files") if isinstance(plain, dict) else None
    return {str(key): str(value) for key, value in found.items()} if isinstance(found, dict) else {}


def all_names(tasks: Iterable[Task]) -> list[str]:
    """Return the names of tasks, each once, in order."""
    return sorted({name for task in tasks for name in names_of(task)})


def _elsewhere(key: str, value: JsonValue) -> bool:
    """Say whether an option of a task says where something is on this machine.

    A relative path names what lies in the data, whether or not one happens to stand in that folder.
    """
    named = isinstance(value, str) and (key in DATA_OPTIONS or Path(value).expanduser().is_absolute() or "://" in value)
    return named and is_place(key, value)
