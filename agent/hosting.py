"""Where environments run: on the event loop, in threads, in recycled processes, or as coroutines.

An environment says how it may be called (`seams.Concurrency`); everything above this file just awaits.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Protocol, cast

from ..core import Task
from ..errors import EnvironmentFailure, LamarckError
from ..seams import Concurrency, Snapshots, Taskset
from .observed import Observed, observed_at_reset, observed_at_step


class World(Protocol):
    """One environment as the episode graph sees it."""

    async def reset(self, task: Task, seed: int) -> Observed: ...

    async def step(self, action: str) -> Observed: ...

    async def snapshot(self) -> object: ...

    async def restore(self, state: object) -> None: ...

    async def close(self) -> None: ...


class WorldPool(Protocol):
    """Hands out worlds that can play the tasks of one taskset."""

    def lease(self) -> AbstractAsyncContextManager[World]:
        """Return a world for the time of one episode; a world that failed is not handed out again."""
        ...

    async def close(self) -> None: ...


class LocalWorld:
    """An environment object in this process, called the way it declared.

    Args:
        environment: the object; anything with `reset` and `step`.
        executor: where to call it, or None to call it on the event loop.
        timeout_s: longest wait for one call, in seconds; not enforced on the event loop.
    """

    def __init__(self, environment: Any, executor: Executor | None, timeout_s: float) -> None:
        self.environment = environment
        self._executor = executor
        self._timeout_s = timeout_s

    async def reset(self, task: Task, seed: int) -> Observed:
        keywords = reset_keywords(self.environment, task, seed)
        return observed_at_reset(await self._call("reset", self.environment.reset, **keywords))

    async def step(self, action: str) -> Observed:
        return observed_at_step(await self._call("step", self.environment.step, action))

    async def snapshot(self) -> object:
        return await self._call("snapshot", self._snapshots().snapshot)

    async def restore(self, state: object) -> None:
        await self._call("restore", self._snapshots().restore, state)

    async def close(self) -> None:
        close = getattr(self.environment, "close", None)
        if close is not None:
            await self._call("close", close)

    def _snapshots(self) -> Snapshots:
        if not isinstance(self.environment, Snapshots):
            name = type(self.environment).__name__
            raise EnvironmentFailure(f"environment {name} has no snapshot and restore.", kind="unsupported")
        return self.environment

    async def _call(self, what: str, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        name = f"{type(self.environment).__name__}.{what}"
        try:
            if self._executor is None:
                result = function(*args, **kwargs)
                if asyncio.iscoroutine(result):
                    return await asyncio.wait_for(result, self._timeout_s)
                return result
            loop = asyncio.get_running_loop()
            call = loop.run_in_executor(self._executor, lambda: function(*args, **kwargs))
            return await asyncio.wait_for(call, self._timeout_s)
        except LamarckError:
            raise
        except TimeoutError as error:
            raise EnvironmentFailure(
                f"{name} gave no answer within {self._timeout_s:g} s.",
                hint="Raise collect.environment_timeout_s if it is merely slow.",
                kind="timeout",
            ) from error
        except Exception as error:
            # A guest's code may raise anything; it ends this one attempt.
            raise EnvironmentFailure(
                f"{name} raised {type(error).__name__}: {_first_line(error)}", kind=type(error).__name__
            ) from error


class LocalPool:
    """Worlds in this process. Objects are kept and used again for the next episode."""

    def __init__(self, taskset: Taskset, concurrency: Concurrency, *, size: int, timeout_s: float) -> None:
        self._taskset = taskset
        self._timeout_s = timeout_s
        self._idle: list[LocalWorld] = []
        self._all: list[LocalWorld] = []
        workers = {"thread": size, "serial": 1}.get(concurrency, 0)
        self._executor = ThreadPoolExecutor(workers, "lamarck-environment") if workers else None

    @asynccontextmanager
    async def lease(self) -> AsyncIterator[World]:
        world = self._idle.pop() if self._idle else await self._make()
        try:
            yield world
        except BaseException:
            # Whatever state the failed or cancelled episode left, nobody else shall play in it. It is not closed
            # either: it may still hang in the very call that failed.
            self._all.remove(world)
            raise
        self._idle.append(world)

    async def close(self) -> None:
        for world in self._all:
            try:
                await world.close()
            except EnvironmentFailure:
                # The results are stored already; a guest that cannot close must not lose them.
                continue
        self._all.clear()
        if self._executor is not None:
            self._executor.shutdown(wait=False, cancel_futures=True)

    async def _make(self) -> LocalWorld:
        make = LocalWorld(self._taskset, self._executor, self._timeout_s)
        environment = await make._call("environment", self._taskset.environment)
        world = LocalWorld(environment, self._executor, self._timeout_s)
        self._all.append(world)
        return world


def declared_concurrency(environment: object) -> Concurrency:
    """Return how an environment may be called; `serial` when it does not say.

    Raises:
        EnvironmentFailure: it says something unknown.
    """
    declared = getattr(environment, "concurrency", None)
    if declared is None:
        step = getattr(environment, "step", None)
        return "async" if asyncio.iscoroutinefunction(step) else "serial"
    if declared not in ("inline", "thread", "serial", "process", "async"):
        raise EnvironmentFailure(
            f"environment {type(environment).__name__} declares concurrency {declared!r}; "
            "there are inline, thread, serial, process and async.",
            kind="contract",
        )
    return cast(Concurrency, declared)


def reset_keywords(environment: Any, task: Task, seed: int) -> dict[str, Any]:
    """Return those of `seed`, `task` and `options` that the environment's `reset` takes."""
    offered = {"seed": seed, "task": task, "options": dict(task.options)}
    parameters = inspect.signature(environment.reset).parameters.values()
    if any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters):
        return {"seed": seed, "task": task}
    return {p.name: offered[p.name] for p in parameters if p.name in offered}


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else "(no message)"
