"""Naming tasks by what is in them: the same name on every machine, another one when a data file changes."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Protocol, cast, runtime_checkable

from pydantic import JsonValue

from ...core import Task, content_id
from ...errors import ConfigError, EnvironmentFailure
from ...seams import Taskset
from ...task_contents import copied, is_place, said


@runtime_checkable
class HasFingerprint(Protocol):
    """A taskset that knows best what its tasks depend on."""

    def fingerprint(self) -> str:
        """Return a name of all data its tasks depend on, which does not depend on where they are."""
        ...


def task_names(taskset: Taskset, tasks: Sequence[Task]) -> dict[str, str]:
    """Return a short hash of the contents of each task: of all it says, and of its file where it has one.

    Raises:
        ConfigError: a file cannot be read, or two tasks have one id.
    """
    names: dict[str, str] = {}
    for task in tasks:
        if task.id in names:
            raise ConfigError(f"taskset {task.environment} gives two tasks the id {task.id!r}.")
        file = _file(taskset, task)
        names[task.id] = content_id(said(task), file_name(file) if file is not None else None)[:16]
    return names


def copies(taskset: Taskset, tasks: Sequence[Task]) -> dict[str, str]:
    """Return the names of tasks by what is in their files alone; none of tasks without a file.

    Raises:
        ConfigError: a file cannot be read.
    """
    files = ((task, _file(taskset, task)) for task in tasks)
    return {task.id: copied(task, file_name(file)) for task, file in files if file is not None}


def data_name(taskset: Taskset, options: Mapping[str, JsonValue]) -> str | None:
    """Return a hash of the data that a taskset reads and its tasks do not name one by one, or None without any.

    A taskset with `fingerprint` is asked; of a `data` option that is a file or a folder, everything in it counts.

    Raises:
        ConfigError: it cannot be read.
    """
    if isinstance(taskset, HasFingerprint):
        return taskset.fingerprint()
    if _path_of(taskset) is not None:
        return None
    places = [Path(str(value)).expanduser() for key, value in sorted(options.items()) if is_place(key, value)]
    names = [file_name(place) if place.is_file() else folder_name(place) for place in places if place.exists()]
    return content_id(names)[:16] if names else None


def file_name(path: Path) -> str:
    """Return the SHA-256 of a file.

    Raises:
        ConfigError: it cannot be read.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ConfigError(f"cannot read data file {path}: {error.strerror}.") from error


def folder_name(path: Path) -> str:
    """Return a hash of the names and contents of all files in a folder; hidden ones do not count."""
    return content_id([[file.relative_to(path).as_posix(), file_name(file)] for file in _files(path)])


def _files(path: Path) -> Iterator[Path]:
    for file in sorted(path.rglob("*")):
        if file.is_file() and not any(part.startswith(".") for part in file.relative_to(path).parts):
            yield file


def _path_of(taskset: Taskset) -> Callable[[Task], Path] | None:
    """Return the method `path(task)` of a taskset each of whose tasks is a file; None where there is none such."""
    method = getattr(taskset, "path", None)
    if not callable(method) or list(inspect.signature(method).parameters) != ["task"]:
        return None
    return cast(Callable[[Task], Path], method)


def _file(taskset: Taskset, task: Task) -> Path | None:
    path = _path_of(taskset)
    if path is None:
        return None
    try:
        return path(task)
    except EnvironmentFailure as error:
        raise ConfigError(f"task {task.id}: {error.message}") from error
