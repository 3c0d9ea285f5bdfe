"""`lamarck compare`: runs against each other on the same tasks."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, cast

import typer
from rich.markup import escape
from rich.table import Table

from ..errors import ConfigError
from ..evals.figures.compare import MAX_INFRASTRUCTURE, By, Comparison, Pair, compare
from ..evals.figures.differences import differences
from ..evals.figures.intervals import RESAMPLES, Interval
from ..evals.figures.played import Played, different, same_tasks
from ..rundir import RunDirectory
from . import options as o
from .tables import console, print_json

Alpha = Annotated[float, typer.Option(min=0.0001, max=0.5, help="Level of the tests, for all pairs together.")]
Resamples = Annotated[int, typer.Option("--samples", min=100, help="Bootstrap samples and drawn signs.")]
Draw = Annotated[int, typer.Option("--seed", help="Seed of the resampling.")]
Most = Annotated[float, typer.Option(min=0.0, max=1.0, help="Share of samples without an outcome that is put up with.")]
NOTES = 12
"""Differences of two evaluations that are printed; JSON has them all."""


def compare_runs(
    runs: Annotated[list[Path], typer.Argument(help="Runs; the first is what the others are compared with.")],
    by: Annotated[str, typer.Option(help="success or score.")] = "success",
    all_pairs: Annotated[bool, typer.Option("--all-pairs", help="Compare all with all.")] = False,
    alpha: Alpha = 0.05,
    samples: Resamples = RESAMPLES,
    seed: Draw = 0,
    max_infrastructure: Most = MAX_INFRASTRUCTURE,
    as_json: o.Json = False,
) -> None:
    """Compare runs on the same tasks: difference with interval, test, Holm's correction, and a verdict in words."""
    if len(runs) < 2:
        raise ConfigError("a comparison needs at least two runs.", hint="lamarck compare RUN_A RUN_B")
    if by not in ("success", "score"):
        raise ConfigError(f"--by is success or score, not {by!r}.")
    directories = [RunDirectory(path) for path in runs]
    different(directories)
    played = [Played.read(directory) for directory in directories]
    for one, other in itertools.combinations(played, 2) if all_pairs else ((played[0], run) for run in played[1:]):
        same_tasks(one, other)
    names = _names(runs)
    comparison = compare(
        [run.side(name) for run, name in zip(played, names, strict=True)],
        by=cast(By, by),
        alpha=alpha,
        resamples=samples,
        seed=seed,
        all_pairs=all_pairs,
        max_infrastructure=max_infrastructure,
    )
    unlike = {name: _unlike(played[0], run) for run, name in zip(played[1:], names[1:], strict=True)}
    if as_json:
        evaluations = {
            name: run.evaluation.id if run.evaluation else None for run, name in zip(played, names, strict=True)
        }
        print_json({**comparison.as_dict(), "differences": unlike, "evaluations": evaluations})
    else:
        _print(played[0], comparison, unlike)


def _names(runs: Sequence[Path]) -> list[str]:
    """Return short names of runs, whole paths where those are not different."""
    short = [path.name or str(path) for path in runs]
    if len(set(short)) == len(short):
        return short
    long = [str(path) for path in runs]
    return long if len(set(long)) == len(long) else [f"{name} ({place})" for place, name in enumerate(long, 1)]


def _unlike(first: Played, other: Played) -> list[str]:
    if first.evaluation is None or other.evaluation is None:
        return ["one of the runs has no evaluation.json, so what else differs is not known"]
    return differences(first.evaluation, other.evaluation)


def _print(first: Played, comparison: Comparison, unlike: dict[str, list[str]]) -> None:
    out = console()
    task = first.config.taskset
    many = len(comparison.categories)
    out.print(_table(f"{task.name} {task.split}, by {comparison.by}: all tasks", comparison.pairs))
    if many:
        rows = [(name, pair) for name, pairs in comparison.categories.items() for pair in pairs]
        out.print(
            _table(f"by task type, adjusted together for {len(rows)}", [p for _, p in rows], [n for n, _ in rows])
        )
    for pair in comparison.pairs:
        out.print(pair.sentence(), style="bold", markup=False)
    for name, ids in comparison.left_out.items():
        shown = ", ".join(ids[:3]) + (", ..." if len(ids) > 3 else "")
        out.print(f"left out, since {name} has no outcome: {len(ids)} tasks ({shown})", markup=False)
    for name, lines in unlike.items():
        for line in lines[:NOTES]:
            out.print(f"{name} differs: {line}", style="dim", markup=False)
        if len(lines) > NOTES:
            out.print(f"{name} differs in {len(lines) - NOTES} more; --json has them all", style="dim", markup=False)


def _table(title: str, pairs: Sequence[Pair], rows: Sequence[str] = ()) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold")
    if rows:
        table.add_column("task type", no_wrap=True)
    for name in ("first", "second"):
        table.add_column(name)
    for name in ("tasks", "of first", "of second", "difference", "lost / won", "p", "Holm", "verdict"):
        table.add_column(name, justify="right", no_wrap=True)
    for place, pair in enumerate(pairs):
        figures = (f"{100 * pair.first_mean:.1f} %", f"{100 * pair.second_mean:.1f} %") if pair.tasks else ("-", "-")
        table.add_row(
            *([escape(rows[place])] if rows else []),
            escape(pair.first),
            escape(pair.second),
            str(pair.tasks),
            *figures,
            points(pair.difference),
            f"{pair.losses} / {pair.wins}",
            f"{pair.p:.3g}",
            f"{pair.adjusted:.3g}",
            pair.verdict,
        )
    return table


def points(one: Interval) -> str:
    """Return a difference of shares with its interval, in percentage points."""
    return "-" if math.isnan(one.value) else f"{100 * one.value:+.1f} [{100 * one.low:+.1f}, {100 * one.high:+.1f}]"
