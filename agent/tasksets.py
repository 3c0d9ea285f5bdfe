"""Finding a taskset by name, entry point or `module:Class`, and a pool of worlds for it."""

from __future__ import annotations

import functools
import importlib
import importlib.metadata
import inspect
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ..core import Task
from ..errors import ConfigError
from ..seams import Environment, Taskset
from .hosting import LocalPool, WorldPool, declared_concurrency
from .processes import ProcessPool

GROUP = "lamarck.tasksets"


class EnvironmentTaskset:
    """Tasks for a bare environment class: one per seed, `episodes` of them, in the one split `all`.

    Args:
        name: what the user called it; also the beginning of the task ids.
        make: the environment class.
        options: `episodes` (default 10) and the keywords of the class.
    """

    def __init__(self, name: str, make: Callable[..., Any], options: Mapping[str, Any]) -> None:
        self.name = name
        self._make = make
        keywords = dict(options)
        self._episodes = int(keywords.pop("episodes", 10))
        self._keywords = keywords

    def splits(self) -> list[str]:
        """Return the one split there is."""
        return ["all"]

    def tasks(self, split: str, *, seed: int = 0, limit: int | None = None) -> list[Task]:
        """Return one task per seed, from `seed` on; the goal is the class's `goal`, if it has one."""
        goal = str(getattr(self._make, "goal", ""))
        count = self._episodes if limit is None else min(limit, self._episodes)
        return [
            Task(id=f"{self.name}/{n}", goal=goal, environment=self.name, seed=n, split=split)
            for n in range(seed, seed + count)
        ]

    def environment(self) -> Environment:
        """Return a new object of the class.

        Raises:
            ConfigError: the class does not take the options.
        """
        try:
            return self._make(**self._keywords)  # type: ignore[no-any-return]
        except TypeError as error:
            raise ConfigError(f"environment {self.name}: {error}.") from error


def taskset_names() -> list[str]:
    """Return the names of all registered tasksets."""
    return sorted({point.name for point in importlib.metadata.entry_points(group=GROUP)})


def load_taskset(name: str, options: Mapping[str, Any] | None = None) -> Taskset:
    """Make the taskset called `name` (a registered one, or `module:Class`) with `options` as keywords.

    Raises:
        ConfigError: there is none of that name, it does not import, or it does not take these options.
    """
    factory = _module_object(name) if ":" in name else _registered(name)
    if hasattr(factory, "reset") and hasattr(factory, "step") and not hasattr(factory, "tasks"):
        return EnvironmentTaskset(name, factory, dict(options or {}))
    try:
        inspect.signature(factory).bind(**dict(options or {}))
    except TypeError as error:
        raise ConfigError(f"taskset {name}: {error}.", hint=_signature_hint(factory)) from None
    taskset = factory(**dict(options or {}))
    missing = [part for part in ("splits", "tasks", "environment") if not hasattr(taskset, part)]
    if missing:
        raise ConfigError(
            f"taskset {name} has no {' and no '.join(missing)}.",
            hint="A taskset has splits(), tasks(split) and environment(); see the README.",
        )
    return taskset  # type: ignore[no-any-return]


def open_pool(taskset: Taskset, *, make: Callable[[], Taskset] | None, size: int, timeout_s: float) -> WorldPool:
    """Return a pool of worlds that is run the way the taskset's environment declares.

    Args:
        taskset: whose environments are wanted.
        make: makes the same taskset again in a child process; needed for `process` environments only.
        size: episodes at once.
        timeout_s: longest wait for one environment call, in seconds.

    Raises:
        ConfigError: the environment wants processes and `make` is None.
    """
    probe = taskset.environment()
    concurrency = declared_concurrency(probe)
    close = getattr(probe, "close", None)
    if close is not None and not inspect.iscoroutinefunction(close):
        close()
    if concurrency != "process":
        return LocalPool(taskset, concurrency, size=size, timeout_s=timeout_s)
    if make is None:
        raise ConfigError(
            f"taskset {taskset.name} runs in processes and must be given by name.",
            hint="Use a registered name or module:Class instead of an object.",
        )
    recycle_after = int(getattr(probe, "recycle_after", 50))
    return ProcessPool(make, recycle_after=recycle_after, timeout_s=timeout_s)


def maker(name: str, options: Mapping[str, Any]) -> Callable[[], Taskset]:
    """Return a picklable function that makes the taskset `name` anew, for child processes."""
    return functools.partial(load_taskset, name, dict(options))


def _registered(name: str) -> Callable[..., Any]:
    for point in importlib.metadata.entry_points(group=GROUP):
        if point.name == name:
            try:
                return point.load()  # type: ignore[no-any-return]
            except (ImportError, AttributeError) as error:
                raise ConfigError(f"taskset {name} does not load: {error}.") from error
    raise ConfigError(
        f"there is no taskset {name!r}; there are: {', '.join(taskset_names())}.",
        hint="A class of your own is named as module:Class.",
    )


def _module_object(name: str) -> Callable[..., Any]:
    module_name, _, attribute = name.partition(":")
    here = str(Path.cwd())
    if here not in sys.path:
        # A console script does not look in the working folder, where a user's module usually is.
        sys.path.insert(0, here)
    try:
        return getattr(importlib.import_module(module_name), attribute)  # type: ignore[no-any-return]
    except ImportError as error:
        raise ConfigError(f"taskset {name}: cannot import {module_name}: {error}.") from error
    except AttributeError as error:
        raise ConfigError(f"taskset {name}: {module_name} has no {attribute}.") from error


def _signature_hint(factory: Callable[..., Any]) -> str:
    return f"It takes: {', '.join(inspect.signature(factory).parameters) or 'no options'}."
