"""`lamarck show`: browse a run and read one trajectory."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ..core import Step, Trajectory
from ..errors import ConfigError
from ..rundir import RunDirectory
from ..store import Store
from . import options as o
from .tables import console, print_json


def show(
    run: Annotated[Path, typer.Argument(help="Run directory.")],
    which: Annotated[str | None, typer.Argument(help="Trajectory id (its beginning is enough) or a task id.")] = None,
    solved: Annotated[bool | None, typer.Option("--solved/--unsolved", help="Only these.")] = None,
    failed: Annotated[bool, typer.Option("--failed", help="Only what infrastructure killed.")] = False,
    category: Annotated[str | None, typer.Option(help="Only this task type.")] = None,
    limit: Annotated[int, typer.Option(help="Rows to list.")] = 50,
    prompts: Annotated[bool, typer.Option("--prompts", help="With the full prompt of every step.")] = False,
    as_json: o.Json = False,
) -> None:
    """List the episodes of a run, or read one of them step by step."""
    directory = RunDirectory(run)
    config = directory.load_config()
    with Store.open(directory.store_url(config), create=False) as store:
        headers = list(store.headers(run_id=directory.run_id))
        if which is not None:
            chosen = _find(headers, which, run)
            trajectory = store.trajectory(chosen.id)
            if as_json:
                print_json(trajectory.model_dump(mode="json"))
            else:
                _read(console(), trajectory, prompts)
            return
    rows = [
        header
        for header in headers
        if (solved is None or header.success is solved)
        and (not failed or header.failure is not None)
        and (category is None or header.task.category == category)
    ]
    if as_json:
        print_json([header.model_dump(mode="json", exclude={"steps"}) for header in rows[:limit]])
        return
    _list(rows, limit, run)


def _find(headers: list[Trajectory], which: str, run: Path) -> Trajectory:
    found = [header for header in headers if header.id.startswith(which)]
    found = found or [header for header in headers if header.task.id == which]
    if not found:
        raise ConfigError(f"run {run} has no trajectory or task {which!r}.", hint=f"`lamarck show {run}` lists them.")
    if len({header.task.id for header in found}) > 1:
        raise ConfigError(f"{which!r} fits {len(found)} trajectories of run {run}; give more of the id.")
    return found[-1]


def _list(rows: list[Trajectory], limit: int, run: Path) -> None:
    table = Table(caption=f"{len(rows)} episodes" + (f", {limit} shown" if len(rows) > limit else ""))
    for name in ("id", "type", "outcome", "score", "s", "goal"):
        table.add_column(name, no_wrap=name != "goal")
    for row in rows[:limit]:
        table.add_row(
            row.id[:8],
            escape(row.task.category) + (f" #{row.sample}" if row.sample else ""),
            outcome(row),
            "-" if row.score is None else f"{row.score:.2f}",
            f"{row.seconds:.1f}",
            escape(row.task.goal),
        )
    out = console()
    out.print(table)
    if rows:
        out.print(f"Read one with: lamarck show {run} {rows[0].id[:8]}", style="dim", markup=False)


def outcome(trajectory: Trajectory) -> str:
    """Return the outcome of an attempt in a few words."""
    if trajectory.failure is not None:
        return f"{trajectory.failure.boundary} failure"
    if trajectory.success is None:
        return trajectory.stop
    return "solved" if trajectory.success else f"not solved ({trajectory.stop})"


def _read(out: Console, trajectory: Trajectory, prompts: bool) -> None:
    out.print(f"{trajectory.task.id}  sample {trajectory.sample}  attempt {trajectory.attempt}", style="bold")
    out.print(f"goal: {trajectory.task.goal}", markup=False)
    out.print(f"outcome: {outcome(trajectory)}, {len(trajectory.steps)} steps", markup=False)
    policies = " ".join(dict.fromkeys(step.policy_version for step in trajectory.steps if step.policy_version))
    names = f"id {trajectory.id}  release {trajectory.release_id or '-'}  policy {policies or '-'}"
    out.print(names, style="dim", markup=False)
    for step in trajectory.steps:
        _read_step(out, step, prompts)
    out.print()
    out.print(trajectory.final_observation, style="cyan", markup=False)
    if reflection := trajectory.meta.get("reflection"):
        out.print(f"reflection: {reflection}", style="magenta", markup=False)
    if trajectory.failure is not None:
        out.print(f"{trajectory.failure.boundary} failure: {trajectory.failure.message}", style="red", markup=False)


def _read_step(out: Console, step: Step, prompts: bool) -> None:
    out.print()
    if prompts:
        for message in step.messages:
            out.print(f"[{message.role}] {message.content}", style="dim", markup=False)
    else:
        out.print(step.observation, style="cyan", markup=False)
    if step.completion and step.completion != step.action:
        out.print(step.completion, style="dim", markup=False)
    marks: list[str] = [] if step.validity == "valid" else [step.validity]
    marks += [f"reward {step.reward:g}"] if step.reward else []
    marks += [f"tools {len(step.tool_calls)}"] if step.tool_calls else []
    out.print(f"{step.index + 1:>3} > {step.action or '(no action)'}  {'  '.join(marks)}", style="bold", markup=False)
