"""`lamarck compare` and `lamarck forgetting`: runs against each other on the same tasks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, cast

import typer
from rich.table import Table

from ..errors import ConfigError
from ..evals.figures.compare import MAX_INFRASTRUCTURE, By, Comparison, Pair, compare
from ..evals.figures.evaluation import differences
from ..evals.figures.forgetting import Forgetting, forgetting
from ..evals.figures.intervals import RESAMPLES, Interval
from ..evals.figures.played import Played, same_tasks
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
    played = [Played.read(RunDirectory(path)) for path in runs]
    for other in played[1:]:
        same_tasks(played[0], other)
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


def forget(
    cells: Annotated[list[str], typer.Argument(help="STAGE=RUN or STAGE:ENVIRONMENT=RUN, stages in order.")],
    alpha: Alpha = 0.05,
    samples: Resamples = RESAMPLES,
    seed: Draw = 0,
    max_infrastructure: Most = MAX_INFRASTRUCTURE,
    as_json: o.Json = False,
) -> None:
    """Say what became of each environment while later ones were learned.

    The i-th stage is the one that learned the i-th environment, both in the order in which they are first named.
    An environment that is not named is called by the run's taskset. For example, after learning `kitchen` and then
    `shop`: lamarck forgetting one:kitchen=a1 one:shop=b1 two:kitchen=a2 two:shop=b2
    """
    matrix: dict[tuple[str, str], Played] = {}
    for cell in cells:
        stage, environment, run = _cell(cell)
        if (stage, environment) in matrix:
            raise ConfigError(f"two runs are given for stage {stage} and environment {environment}.")
        matrix[stage, environment] = run
        same_tasks(next(one for (_, name), one in matrix.items() if name == environment), run)
    stages = list(dict.fromkeys(stage for stage, _ in matrix))
    environments = list(dict.fromkeys(environment for _, environment in matrix))
    values = {key: run.figures(resamples=100).success.value for key, run in matrix.items()}
    found = forgetting(stages, environments, {key: value for key, value in values.items() if not math.isnan(value)})
    changes = {}
    for kept in found.kept:
        first, last = matrix.get((kept.learned or "", kept.environment)), matrix.get((stages[-1], kept.environment))
        if first is not None and last is not None and first is not last:
            sides = [first.side(str(kept.learned)), last.side(stages[-1])]
            [changes[kept.environment]] = compare(
                sides, alpha=alpha, resamples=samples, seed=seed, max_infrastructure=max_infrastructure
            ).pairs
    if as_json:
        print_json({**found.as_dict(), "changes": {name: pair.as_dict() for name, pair in changes.items()}})
    else:
        _print_matrix(found, changes)


def _cell(text: str) -> tuple[str, str, Played]:
    left, equals, path = text.partition("=")
    stage, _, environment = left.partition(":")
    if not equals or not stage or not path:
        raise ConfigError(f"{text!r} is not of the form STAGE=RUN or STAGE:ENVIRONMENT=RUN.")
    run = Played.read(RunDirectory(path))
    return stage, environment or f"{run.config.taskset.name}/{run.config.taskset.split}", run


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
            *([rows[place]] if rows else []),
            pair.first,
            pair.second,
            str(pair.tasks),
            *figures,
            _points(pair.difference),
            f"{pair.losses} / {pair.wins}",
            f"{pair.p:.3g}",
            f"{pair.adjusted:.3g}",
            pair.verdict,
        )
    return table


def _points(one: Interval) -> str:
    return "-" if math.isnan(one.value) else f"{100 * one.value:+.1f} [{100 * one.low:+.1f}, {100 * one.high:+.1f}]"


def _print_matrix(found: Forgetting, changes: dict[str, Pair]) -> None:
    out = console()
    table = Table(title="success in %", title_justify="left", title_style="bold")
    table.add_column("after stage")
    for name in found.environments:
        table.add_column(name, justify="right")
    for stage, row in zip(found.stages, found.matrix, strict=True):
        table.add_row(stage, *("-" if value is None else f"{100 * value:.1f}" for value in row))
    out.print(table)
    for kept in found.kept:
        pair = changes.get(kept.environment)
        if pair is not None:
            said = f"{pair.verdict}, p {pair.p:.3g}" if not pair.reason else f"no verdict: {pair.reason}"
            line = f"{kept.environment}: {_points(pair.difference)} points since it was learned in {kept.learned}"
            out.print(f"{line} ({said})", markup=False)
    out.print(
        f"mean after {found.stages[-1]} {_percent(found.average)}, backward transfer "
        f"{_percent(found.backward_transfer)}, forgetting {_percent(found.forgetting)}",
        markup=False,
    )


def _percent(value: float) -> str:
    return "-" if math.isnan(value) else f"{100 * value:+.1f} points"
