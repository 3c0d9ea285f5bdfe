"""`lamarck propose`: what would be played next, and why."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from ..agent.proposers.proposer import Proposal, State
from ..config import TasksetConfig
from ..config_propose import ProposeConfig
from ..config_tree import parse_assignment
from ..core import Task, Trajectory
from ..errors import ConfigError
from ..rundir import RunDirectory
from ..store import Store
from ..whole import write_whole
from . import options as o
from .tables import console, print_json

SHOWN = 30
"""Tasks that are printed; the rest is counted."""


class Request(ProposeConfig):
    """What one call of the command is made of: the proposer, and the tasks it may look at."""

    taskset: TasksetConfig = TasksetConfig()
    """Where given tasks and held-out ones come from."""


def propose(
    by: Annotated[
        str | None, typer.Option("--by", "-b", help="A proposer; `--by list` names them. Or module:Class.")
    ] = None,
    history: Annotated[
        list[Path] | None, typer.Option("--history", help="A run it is told of, the oldest first. Repeatable.")
    ] = None,
    count: Annotated[int | None, typer.Option("--tasks", "-n", help="How many tasks.")] = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Write the tasks there, as JSON lines.")] = None,
    state: Annotated[
        Path | None, typer.Option("--state", help="Go on from this file where it is there; it is written back.")
    ] = None,
    taskset: o.TasksetName = None,
    split: o.Split = None,
    model: Annotated[
        str | None, typer.Option("--model", "-m", help="Model that writes self-made tasks; without one the seed does.")
    ] = None,
    seed: o.Seed = None,
    config: o.ConfigFile = None,
    settings: o.Set = None,
    as_json: o.Json = False,
) -> None:
    """Show which tasks a proposer would have played next, and what it refused and why.

    Of given tasks: uniform, bandit, regret, band, learnability. Self-made and checked: household, code, documents
    (-s options.folder=FOLDER) and relabelled (of what the runs in --history reached). Play what --out has written with
    --taskset lamarck.evals.proposed.taskset:ProposedTaskset --data FILE.
    """
    from ..evals.proposed.table import PROPOSERS

    if by == "list":
        from ..agent.proposers.finding import proposer_names

        names = proposer_names(PROPOSERS)
        print_json(names) if as_json else console().print("\n".join(names), markup=False)
        return
    named = {"by": by, "tasks": count, "taskset.name": taskset, "taskset.split": split, "model": model, "seed": seed}
    overrides: dict[str, Any] = dict(parse_assignment(text) for text in settings or [])
    overrides |= {key: value for key, value in named.items() if value is not None}
    request = Request.load(config, overrides)
    start = read_state(state)
    rounds = [_trajectories(run) for run in history or []]
    proposal, earned = asyncio.run(_proposed(request, rounds, start))
    if out is not None:
        from ..evals.proposed.taskset import write_tasks

        write_tasks(out, list(proposal.tasks))
    if state is not None:
        write_state(state, proposal.state)
    if as_json:
        print_json(_plain(request, proposal, earned))
    else:
        _show(request, proposal, earned, out)


def read_state(file: Path | None) -> State:
    """Return the state in a file, or an empty one where there is none.

    Raises:
        ConfigError: it is no JSON object.
    """
    if file is None or not file.exists():
        return {}
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"cannot read the proposer's state {file}: {error}.") from error
    if not isinstance(found, dict):
        raise ConfigError(f"the proposer's state {file} is no JSON object.")
    return found


def write_state(file: Path, state: State) -> None:
    """Write a state, whole or not at all."""
    write_whole(file, json.dumps(state))


async def _proposed(
    request: Request, rounds: list[list[Trajectory]], state: State
) -> tuple[Proposal, dict[str, float]]:
    """Tell the proposer of each round, and ask it."""
    from ..agent.proposers.outcomes import category_rates, outcomes_of
    from ..agent.proposers.rewards import earned
    from ..evals.proposed.table import SELF_MADE
    from .wire_propose import proposing

    given, held_out = _tasks(request, given=request.by not in SELF_MADE)
    played = (one for found in rounds for one in found)
    async with proposing(request, tasks=given, held_out=held_out, trajectories=played) as proposer:
        got: dict[str, float] = {}
        before: dict[str, float] | None = None
        for found in rounds:
            outcomes = outcomes_of(found, before)
            before = {**(before or {}), **category_rates(outcomes)}
            got |= earned(outcomes, request.reward)
            state = proposer.feedback(outcomes, state)
        return await proposer.propose(request.tasks, state), got


def _tasks(request: Request, *, given: bool) -> tuple[tuple[Task, ...], tuple[Task, ...]]:
    """Return the tasks to choose from, none for who makes its own, and those that are held out.

    Who makes code or questions has nothing to do with a taskset, unless one is named.
    """
    from ..agent.tasksets import load_taskset
    from .wire import select
    from .wire_propose import in_splits

    if request.by in ("code", "documents") and request.taskset == TasksetConfig():
        return (), ()
    taskset = load_taskset(request.taskset.name, request.taskset.options)
    held_out = in_splits(taskset, request, request.taskset)
    return tuple(select(taskset, request.taskset)) if given else (), tuple(held_out)


def _trajectories(run: Path) -> list[Trajectory]:
    directory = RunDirectory(run)
    with Store.open(directory.store_url(directory.load_config()), create=False) as store:
        return list(store.trajectories(run_id=directory.run_id))


def _plain(request: Request, proposal: Proposal, earned: dict[str, float]) -> dict[str, Any]:
    return {
        "by": request.by,
        "tasks": [task.model_dump(mode="json") for task in proposal.tasks],
        "refused": [refusal.model_dump(mode="json") for refusal in proposal.refused],
        "figures": proposal.figures,
        "reward": request.reward,
        "earned": earned,
        "state": proposal.state,
    }


def _show(request: Request, proposal: Proposal, earned: dict[str, float], out: Path | None) -> None:
    """Print the tasks, what was refused, and what the tasks of the history have earned."""
    table = Table(
        "category", "goal", "task", title=f"{len(proposal.tasks)} tasks by {request.by}", title_justify="left"
    )
    for task in proposal.tasks[:SHOWN]:
        goal = " ".join(task.goal.split())
        table.add_row(escape(task.category), escape(goal if len(goal) <= 90 else goal[:87] + "..."), escape(task.id))
    to = console()
    to.print(table)
    if len(proposal.tasks) > SHOWN:
        to.print(f"and {len(proposal.tasks) - SHOWN} more")
    for key, value in proposal.figures.items():
        to.print(f"{key}: {json.dumps(value)}", markup=False)
    if earned:
        mean = sum(earned.values()) / len(earned)
        to.print(
            f"reward {request.reward} of the {len(earned)} tasks in the history: {mean:.3f} on average", markup=False
        )
    if out is not None:
        to.print(f"written to {out}", markup=False)
