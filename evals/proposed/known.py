"""What the tasks of our own worlds say, however they came to be: made by number, described, or relabelled."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

from ...agent.proposers.likeness import Said, plainly
from ...agent.proposers.proposer import Materials
from ...core import Task
from ...errors import EnvironmentFailure
from ..household import task_key
from ..household_generate import plot_of_game
from ..household_problem import Plot
from .plots import plot_of, said_of


def plot_of_task(task: Task) -> Plot:
    """Return the plot of a household task.

    Raises:
        EnvironmentFailure: it is none.
    """
    if task.environment == "proposed" and task.options.get("world") == "household":
        return plot_of(task.options.get("plot"))
    if task.environment != "household":
        raise EnvironmentFailure(f"task {task.id} is no household task.", kind="contract")
    seed, size, split, kind, index = cast(Any, task_key(task))
    # It bears what the game is known by, so the game need not be proven again.
    known = str(task.options.get("game", ""))
    return plot_of_game(seed=seed, size=size, split=split, kind=kind, index=index, known=known)


def knowing(materials: Materials) -> Materials:
    """Return materials with which held-out tasks of our own worlds are known again, where nothing else was said."""
    return replace(materials, said=said) if materials.said is plainly else materials


def said(task: Task) -> Said:
    """Return what a task says, so that it is known again under another name.

    Household games by what is in them, code tasks by their program, questions by their words; others by goal, options
    and answer.
    """
    world = task.options.get("world")
    if task.environment == "household" or (task.environment == "proposed" and world == "household"):
        return said_of(plot_of_task(task))
    if task.environment == "proposed" and world == "code":
        from .code_tasks import said_of_code

        return said_of_code(task.truth)
    if task.environment in ("questions", "proposed"):
        return Said(task.goal)
    return plainly(task)
