"""Naming tasks by what is in them: the same name on every machine, another one when a data file changes."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, cast, runtime_checkable

from pydantic import JsonValue

from ...core import Task, content_id
from ...errors import ConfigError, EnvironmentFailure
from ...seams import Taskset

DATA_OPTIONS = frozenset({"data", "file", "files", "folder", "path", "documents"})
"""Options of tasksets that say where something is, whatever is there."""


@runtime_checkable
class HasFingerprint(Protocol):
    """A taskset that knows best what its tasks depend on."""

    def fingerprint(self) -> str:
        """Return a name of all data its tasks depend on, which does not depend on where they are."""
        ...


def is_place(key: str, value: JsonValue) -> bool:
    """Say whether an option of a taskset says where something is, and not what it is."""
    if not isinstance(value, str):
        return False
    if key in DATA_OPTIONS or "://" in value:
        return True
    looks = "/" in value or "\\" in value or bool(Path(value).suffix)
    return looks and Path(value).expanduser().exists()


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


def said(task: Task) -> dict[str, Any]:
    """Return what a task says, without where it is."""
    plain = task.model_dump(mode="json")
    plain["options"] = {key: value for key, value in task.options.items() if not _elsewhere(key, value)}
    return plain


def _elsewhere(key: str, value: JsonValue) -> bool:
    """Say whether an option of a task says where something is on this machine.

    A relative path names what lies in the data, whether or not one happens to stand in that folder.
    """
    named = isinstance(value, str) and (key in DATA_OPTIONS or Path(value).expanduser().is_absolute() or "://" in value)
    return named and is_place(key, value)


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
