"""Replaying what is known to solve a task: whoever has walkthroughs, gold paths or answers checks a world with them."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Callable, Sequence
from typing import Any

from ...agent.actions import match_admissible
from ...core import Task
from ...errors import EnvironmentFailure
from ...seams import Environment
from ..alfworld_check import CheckReport

Progress = Callable[[int, int], None]
Solution = Callable[[Task], Sequence[str]]
"""From a task to the actions that solve it."""


def check_solutions(
    environment: Environment,
    tasks: Sequence[Task],
    solution: Solution,
    progress: Progress | None = None,
    *,
    listed: bool = True,
) -> dict[str, Any]:
    """Play the solution of each task in one environment, and close it; every one must end in success.

    Args:
        environment: plays all the tasks.
        tasks: what to solve.
        solution: asked after the task's reset.
        progress: told how many are done, of how many.
        listed: a solution with an action that is not admissible has failed.

    Returns:
        How many were played and `won`, how fast (episodes begun and steps taken per second), and what the `failures`
        were.

    Raises:
        SandboxError: what judges the answers failed; that says nothing about the tasks.
    """
    report = asyncio.run(_check(environment, tasks, solution, progress, listed))
    return {
        "split": tasks[0].split if tasks else "",
        "games": report.games,
        "won": report.won,
        "starts_per_s": round(report.starts_per_s, 1),
        "steps_per_s": round(report.steps_per_s, 1),
        "failures": report.failures,
    }


async def _check(
    environment: Environment, tasks: Sequence[Task], solution: Solution, progress: Progress | None, listed: bool
) -> CheckReport:
    report = CheckReport()
    try:
        for number, task in enumerate(tasks, 1):
            report.games += 1
            try:
                wrong = await _replay(environment, task, solution, report, listed)
            except EnvironmentFailure as error:
                wrong = str(error)
            if wrong:
                report.failures.append(f"{task.id}: {wrong}")
            else:
                report.won += 1
            if progress is not None:
                progress(number, len(tasks))
    finally:
        close = getattr(environment, "close", None)
        if close is not None:
            await _called(close)
    return report


async def _replay(environment: Environment, task: Task, solution: Solution, report: CheckReport, listed: bool) -> str:
    """Play one solution; return what went wrong, or nothing."""
    clock = time.perf_counter()
    _, info = await _called(environment.reset, seed=task.seed, task=task)
    report.start_seconds += time.perf_counter() - clock
    actions = solution(task)
    if not actions:
        return "it carries no solution"
    clock = time.perf_counter()
    try:
        for number, action in enumerate(actions, 1):
            offered = info.get("admissible_actions")
            if listed and offered is not None and match_admissible(action, offered) is None:
                return f"{action!r} of its solution is not admissible"
            _, _, terminated, truncated, info = await _called(environment.step, action)
            report.steps += 1
            if (terminated or truncated) and number < len(actions) and not info.get("success"):
                return f"it ended after {number} of {len(actions)} actions of its solution"
            if terminated or truncated:
                break
    finally:
        report.step_seconds += time.perf_counter() - clock
    return "" if info.get("success") else "its solution does not succeed"


async def _called(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    result = function(*args, **kwargs)
    return await result if inspect.isawaitable(result) else result
