"""Environments in child processes that are replaced after a number of episodes.

For engines that are not thread-safe, that leak, or that can take the process down with them.
"""

from __future__ import annotations

import asyncio
import multiprocessing
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from multiprocessing.connection import Connection
from typing import Any

from ..core import Task
from ..errors import EnvironmentFailure
from ..seams import Taskset
from .hosting import World, reset_keywords
from .observed import Observed, observed_at_reset, observed_at_step

MakeTaskset = Callable[[], Taskset]


def serve(pipe: Connection, make: MakeTaskset) -> None:
    """Answer calls in the child until the parent hangs up.

    Every answer is `(True, result)` or `(False, text, kind)`. What a guest raises is sent, not printed.
    """
    environment: Any = None
    with suppress(EOFError, KeyboardInterrupt, BrokenPipeError):
        while True:
            method, args, kwargs = pipe.recv()
            try:
                if environment is None:
                    environment = make().environment()
                if method == "close":
                    getattr(environment, "close", lambda: None)()
                    pipe.send((True, None))
                    return
                if method == "reset":
                    kwargs = reset_keywords(environment, **kwargs)
                pipe.send((True, getattr(environment, method)(*args, **kwargs)))
            except Exception as error:  # noqa: BLE001 - a guest's code may raise anything
                lines = str(error).strip().splitlines() or ["(no message)"]
                name = type(environment).__name__
                pipe.send(
                    (
                        False,
                        f"{name}.{method} raised {type(error).__name__}: {lines[0]}",
                        type(error).__name__,
                    )
                )


class ProcessWorld:
    """An environment in a child process of its own."""

    def __init__(self, make: MakeTaskset, timeout_s: float) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, child = context.Pipe()
        self._process = context.Process(target=serve, args=(child, make), daemon=True)
        self._process.start()
        child.close()
        self._timeout_s = timeout_s
        self.episodes = 0

    async def reset(self, task: Task, seed: int) -> Observed:
        self.episodes += 1
        return observed_at_reset(await self._call("reset", seed=seed, task=task))

    async def step(self, action: str) -> Observed:
        return observed_at_step(await self._call("step", action))

    async def snapshot(self) -> object:
        return await self._call("snapshot")

    async def restore(self, state: object) -> None:
        await self._call("restore", state)

    async def close(self) -> None:
        if self._process.is_alive():
            with suppress(EnvironmentFailure):
                await self._call("close", wait_s=5.0)
        self.kill()

    def kill(self) -> None:
        """End the child at once and wait for it."""
        if self._process.is_alive():
            self._process.kill()
        self._process.join()
        self._pipe.close()
        self._process.close()

    async def _call(self, method: str, *args: Any, wait_s: float | None = None, **kwargs: Any) -> Any:
        limit = wait_s if wait_s is not None else self._timeout_s
        try:
            self._pipe.send((method, args, kwargs))
            answered = await asyncio.to_thread(self._pipe.poll, limit)
            if not answered:
                raise EnvironmentFailure(
                    f"the environment process gave no answer to {method} within {limit:g} s.",
                    hint="Raise collect.environment_timeout_s if it is merely slow.",
                    kind="timeout",
                )
            answer = self._pipe.recv()
        except (EOFError, OSError) as error:
            await asyncio.to_thread(self._process.join, 1.0)
            raise EnvironmentFailure(
                f"the environment process died during {method} (exit code {self._process.exitcode}).",
                kind="died",
            ) from error
        if answer[0]:
            return answer[1]
        raise EnvironmentFailure(answer[1], kind=answer[2])


class ProcessPool:
    """Worlds in child processes, each replaced after `recycle_after` episodes or any failure."""

    def __init__(self, make: MakeTaskset, *, recycle_after: int, timeout_s: float) -> None:
        self._make = make
        self._recycle_after = recycle_after
        self._timeout_s = timeout_s
        self._idle: list[ProcessWorld] = []

    @asynccontextmanager
    async def lease(self) -> AsyncIterator[World]:
        world = self._idle.pop() if self._idle else ProcessWorld(self._make, self._timeout_s)
        try:
            yield world
        except BaseException:
            world.kill()
            raise
        if world.episodes >= self._recycle_after:
            await world.close()
        else:
            self._idle.append(world)

    async def close(self) -> None:
        while self._idle:
            await self._idle.pop().close()
