"""Which part a model played in an attempt: it solved a task, made one up, or judged an attempt of another."""

from __future__ import annotations

from .core import Trajectory

SOLVER, PROPOSER, VERIFIER = "solver", "proposer", "verifier"
PREFIXES = (f"{PROPOSER}/", f"{VERIFIER}/")
"""How the task ids of attempts begin in which nothing was solved. What is called so by chance is known by `role_of`."""
LONGEST = max(map(len, PREFIXES))


def role_of(trajectory: Trajectory) -> str:
    """Return the part that was played, with the steps or without: `meta["role"]`, solver where there is none."""
    found = trajectory.meta.get("role")
    return found if found in (PROPOSER, VERIFIER) and trajectory.task.id.startswith(PREFIXES) else SOLVER


def about(task_id: str) -> str:
    """Return the task that a judgement is about; any other task is about itself."""
    return task_id.removeprefix(f"{VERIFIER}/")
