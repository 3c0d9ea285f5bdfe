"""Putting a proposer together from its settings and what it may look at."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from pathlib import Path

from ..agent.llms import build_llm
from ..agent.proposers.finding import load_proposer
from ..agent.proposers.ledger import CountedLLM, Ledger, Unlimited
from ..agent.proposers.likeness import Said
from ..agent.proposers.proposer import Materials, Proposer
from ..config import ModelConfig, TasksetConfig
from ..config_propose import ProposeConfig
from ..core import Task, Trajectory
from ..evals.proposed.known import said as said_of_ours
from ..evals.proposed.table import PROPOSERS
from ..seams import Taskset


@asynccontextmanager
async def proposing(
    wanted: ProposeConfig,
    *,
    tasks: tuple[Task, ...],
    held_out: tuple[Task, ...],
    trajectories: Iterable[Trajectory] = (),
    said: Callable[[Task], Said] = said_of_ours,
    model: ModelConfig | None = None,
    ledger: Ledger | None = None,
) -> AsyncIterator[Proposer]:
    """Open the proposer that the settings name, with its model, and close both again.

    Args:
        wanted: the settings.
        tasks: those to choose from.
        held_out: those that are never proposed.
        trajectories: what was played, to relabel.
        said: what a task says, to know it again under another name.
        model: how the model that proposes is run, where its name does not say all.
        ledger: what was tried before, and whether that is enough; by default nothing, and never.

    Raises:
        LamarckError: the proposer is not known, or its model cannot be had.
    """
    llm = build_llm(model or ModelConfig(name=wanted.model)) if wanted.model is not None else None
    ledger = ledger or Unlimited()
    materials = Materials(
        tasks=tasks,
        held_out=held_out,
        said=said,
        trajectories=tuple(trajectories),
        llm=CountedLLM(llm, ledger.heard) if llm is not None else None,
        prompts=Path(wanted.prompts) if wanted.prompts else None,
        seed=wanted.seed,
        near=wanted.near,
        tries=wanted.tries,
        ledger=ledger,
    )
    try:
        proposer = load_proposer(wanted.by, materials, wanted.options, PROPOSERS)
        try:
            yield proposer
        finally:
            await proposer.close()
    finally:
        if llm is not None:
            await llm.close()


def in_splits(taskset: Taskset, wanted: ProposeConfig, given: TasksetConfig) -> list[Task]:
    """Return the tasks of the splits that `held_out` names, as far as there are such, and none is the given one."""
    there = [split for split in wanted.held_out if split in taskset.splits() and split != given.split]
    return [task for split in there for task in taskset.tasks(split, seed=given.seed)]
