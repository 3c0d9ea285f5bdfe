"""MBPP: short programming problems, judged by running the code against asserts in a sandbox.

Austin et al. 2021, "Program Synthesis with Large Language Models"; its splits go by the problem's number.
"""

from __future__ import annotations

import asyncio
import functools
import weakref
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from ...core import Origin, Task
from ...errors import ConfigError, EnvironmentFailure
from ...sandboxes.choose import NAMES, open_backend
from ...sandboxes.limits import Limits
from ...sandboxes.pool import Pool, PoolLimits
from ...sandboxes.result import ExecResult
from ...seams import Environment
from ..code_check import judge
from .mbpp_made import Problem, made
from .replay import Progress, check_solutions
from .rows import read_rows

FILES = {"sanitized": "sanitized-mbpp.json", "full": "mbpp.jsonl"}
RANGES = {"prompt": range(1, 11), "test": range(11, 511), "valid": range(511, 601), "train": range(601, 975)}
"""Numbers of the problems in each published split."""
MADE = ("train", "valid", "test")
CODE = "<code>"


class MbppTaskset:
    """Programming problems, each answered by one action: the code.

    Args:
        data: MBPP's folder, or one of its two files; problems are made if not given.
        variant: which file of the folder: `sanitized` (427 problems checked by hand) or `full` (974).
        shown: how many of a problem's asserts the agent sees; the publication shows three. All of them judge.
        challenge: let the harder asserts that some problems of `full` carry judge as well; they are never shown.
        count: problems per split, where they are made.
        backend: sandbox to judge in, see `lamarck sandbox`.
        allow_unsafe: must be True for the backend `unsafe-local`.
        timeout_s: longest run of an answer, in seconds.

    Raises:
        ConfigError: an option is none that there is.
    """

    name = "mbpp"

    def __init__(
        self,
        data: str | None = None,
        variant: str = "sanitized",
        shown: int = 3,
        challenge: bool = False,
        count: int = 40,
        backend: str = "auto",
        allow_unsafe: bool = False,
        timeout_s: float = 10.0,
    ) -> None:
        if variant not in FILES:
            raise ConfigError(f"mbpp has no variant {variant!r}; there are: {', '.join(FILES)}.")
        if backend not in NAMES:
            raise ConfigError(f"there is no sandbox backend {backend!r}; there are: {', '.join(NAMES)}.")
        if shown < 0 or count < 1 or timeout_s <= 0:
            raise ConfigError(
                f"mbpp needs shown >= 0, count >= 1 and timeout_s > 0, not {shown}, {count}, {timeout_s}."
            )
        self._file = _file(data, variant) if data is not None else None
        self._shown, self._challenge, self._count = shown, challenge, count
        self._sandboxes = Sandboxes(backend, allow_unsafe, timeout_s)

    def splits(self) -> list[str]:
        """Return the splits; in data they are the published ones."""
        if self._file is None:
            return list(MADE)
        return [split for split in RANGES if any(_number(p) in RANGES[split] for p in self._read)]

    def tasks(self, split: str, *, seed: int = 0, limit: int | None = None) -> list[Task]:
        """Return the problems of a split, in the order of their numbers.

        Raises:
            ConfigError: there is no such split, or the file is none of MBPP's.
        """
        return [self._task(problem, split) for problem in self._problems(split, seed, limit)]

    def environment(self) -> Environment:
        """Return an environment for every problem of this set."""
        # Its calls are coroutines, which the Protocol leaves open.
        return Programming(self._sandboxes)  # type: ignore[return-value]

    def walkthrough(self, task: Task) -> tuple[str, ...]:
        """Return the one action that solves a task: the problem's own solution.

        Raises:
            EnvironmentFailure: the task is not one of this set.
        """
        ident = task.id.removeprefix(f"{self.name}/")
        if self._file is not None:
            found = next((problem for problem in self._read if problem.ident == ident), None)
        else:
            parts = ident.split("/")
            numbers = parts[1:] if len(parts) == 3 and all(part.isdecimal() for part in parts[1:]) else []
            found = made(parts[0], int(numbers[0]), int(numbers[1])) if numbers else None
        if found is None:
            raise EnvironmentFailure(f"task {task.id} is no problem of this set.", kind="contract")
        return (found.code,)

    def check(
        self, split: str | None = None, limit: int | None = None, progress: Progress | None = None
    ) -> dict[str, Any]:
        """Hand in each problem's own solution: every one must pass.

        Raises:
            ConfigError: there is no such split.
            SandboxError: no sandbox works here.
        """
        return check_solutions(
            self.environment(), self.tasks(split or self.splits()[0], limit=limit), self.walkthrough, progress
        )

    def _problems(self, split: str, seed: int, limit: int | None) -> list[Problem]:
        if split not in self.splits():
            raise ConfigError(f"mbpp has no split {split!r}; there are: {', '.join(self.splits())}.")
        if self._file is not None:
            return [problem for problem in self._read if _number(problem) in RANGES[split]][:limit]
        return [made(split, seed, n) for n in range(self._count if limit is None else min(limit, self._count))]

    def _task(self, problem: Problem, split: str) -> Task:
        shown = "\n".join(problem.tests[: self._shown])
        goal = f"{problem.text}\n\nThe code is tried with asserts such as:\n{shown}" if shown else problem.text
        return Task(
            id=f"{self.name}/{problem.ident}",
            goal=goal,
            environment=self.name,
            split=split,
            category=problem.kind,
            truth={"setup": problem.setup, "tests": list(problem.tests)},
            origin=Origin(by=self.name),
        )

    @functools.cached_property
    def _read(self) -> list[Problem]:
        assert self._file is not None
        found = read_rows(self._file, "MBPP problems", lambda row: _problem(row, self._challenge))
        return sorted(found, key=_number)


class Sandboxes:
    """Sandboxes shared by the environments of a taskset, open for as long as any of them is in use.

    Args:
        backend: by name.
        allow_unsafe: see `open_backend`.
        timeout_s: longest run of one call, in seconds.
    """

    def __init__(self, backend: str, allow_unsafe: bool, timeout_s: float) -> None:
        self._backend, self._allow_unsafe = backend, allow_unsafe
        self._limits = Limits(wall_s=timeout_s)
        # Weak: who fails is dropped without being closed, and must not hold the sandboxes open.
        self._users: weakref.WeakSet[Programming] = weakref.WeakSet()
        self._opening = asyncio.Lock()
        self._stack = AsyncExitStack()
        self._pool: Pool | None = None

    async def enter(self, user: Programming) -> Pool:
        """Return the pool, opened for the first who comes.

        Raises:
            SandboxError: no sandbox works here.
        """
        if self._pool is None and not self._opening.locked():
            # A lock belongs to the event loop it was first waited for in; the pool may be opened again in another.
            self._opening = asyncio.Lock()
        async with self._opening:
            if self._pool is None:
                backend = await open_backend(self._backend, allow_unsafe=self._allow_unsafe)
                self._stack.push_async_callback(backend.close)
                pool = Pool(backend, limits=self._limits, size=PoolLimits(warm=1, patience_s=300.0))
                self._pool = await self._stack.enter_async_context(pool)
            self._users.add(user)
            return self._pool

    async def leave(self, user: Programming) -> None:
        """Close the pool behind the last who goes."""
        async with self._opening:
            self._users.discard(user)
            if not self._users and self._pool is not None:
                self._pool = None
                await self._stack.aclose()


class Programming:
    """One problem, one answer; it succeeds when all asserts hold.

    Args:
        sandboxes: where answers are run.
    """

    concurrency = "async"
    max_steps = 1

    def __init__(self, sandboxes: Sandboxes) -> None:
        self._sandboxes = sandboxes
        self._truth: dict[str, Any] | None = None

    async def reset(self, *, seed: int | None = None, task: Task | None = None) -> tuple[str, dict[str, Any]]:
        """Show the problem.

        Raises:
            EnvironmentFailure: there is no task, or it has no asserts.
            SandboxError: no sandbox works here, so that no answer could be judged.
        """
        if task is None or not isinstance(task.truth, dict) or not task.truth.get("tests"):
            raise EnvironmentFailure("a programming problem needs a task with asserts.", kind="task")
        await self._sandboxes.enter(self)
        self._truth = task.truth
        return f"{task.goal}\n\nGive the whole Python code, and nothing else.", {"admissible_actions": [CODE]}

    async def step(self, action: str) -> tuple[str, float, bool, bool, dict[str, Any]]:
        """Run the code and then the asserts; the asserts are not shown.

        Raises:
            SandboxError: the sandbox failed, which says nothing about the code.
        """
        if self._truth is None:
            raise EnvironmentFailure("step without an episode under way: reset first.", kind="order")
        truth, pool = self._truth, await self._sandboxes.enter(self)
        async with pool.lease() as lease:
            judged = await judge(lease.sandbox, action, [truth["setup"], *truth["tests"]])
        self._truth = None
        told = {"success": judged.passed, "score": float(judged.passed), "status": judged.result.status}
        text = "All asserts hold." if judged.passed else _said(judged.result)
        return text, float(judged.passed), True, False, told

    async def close(self) -> None:
        """Let go of the sandboxes."""
        await self._sandboxes.leave(self)


def _said(result: ExecResult) -> str:
    if result.error is not None:
        return f"Not all asserts hold: {result.error.type} {result.error.message}"[:300].strip()
    return f"Not all asserts hold: {'the code ended the interpreter' if result.ok else result.status}."


def _file(data: str, variant: str) -> Path:
    path = Path(data).expanduser()
    file = path / FILES[variant] if path.is_dir() else path
    if not file.is_file():
        raise ConfigError(f"there are no MBPP problems in {file}.", hint="Pass MBPP's folder, or one of its files.")
    return file


def _number(problem: Problem) -> int:
    return int(problem.ident.rpartition("/")[2])


def _problem(row: dict[str, Any], challenge: bool) -> Problem:
    """Return a row of either file; what the one imports and the other sets up is run before the tests."""
    tests = [*row["test_list"], *(row.get("challenge_test_list", ()) if challenge else ())]
    return Problem(
        ident=f"{'sanitized' if 'prompt' in row else 'full'}/{int(row['task_id'])}",
        kind="program",
        text=str(row["prompt"] if "prompt" in row else row["text"]),
        code=str(row["code"]),
        tests=tuple(map(str, tests)),
        setup="\n".join([row.get("test_setup_code", ""), *row.get("test_imports", ())]).strip(),
    )
