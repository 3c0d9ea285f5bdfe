"""`lamarck forgetting`: what became of each environment while later ones were learned."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from ..errors import ConfigError
from ..evals.figures.compare import MAX_INFRASTRUCTURE, Pair, adjusted, compare
from ..evals.figures.forgetting import Forgetting, Kept, forgetting
from ..evals.figures.intervals import RESAMPLES
from ..evals.figures.played import Played, same_tasks
from ..rundir import RunDirectory
from . import options as o
from .compare import Alpha, Draw, Most, Resamples, points
from .tables import console, print_json


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
    for kept, first, last in _ends(found, matrix):
        sides = [first.side(str(kept.learned)), last.side(stages[-1])]
        [changes[kept.environment]] = compare(
            sides, alpha=alpha, resamples=samples, seed=seed, max_infrastructure=max_infrastructure
        ).pairs
    # One question asked of several environments: they are a family.
    changes = dict(zip(changes, adjusted(list(changes.values()), alpha), strict=True))
    if as_json:
        print_json({**found.as_dict(), "changes": {name: pair.as_dict() for name, pair in changes.items()}})
    else:
        _print_matrix(found, changes)


def _ends(found: Forgetting, matrix: Mapping[tuple[str, str], Played]) -> Iterator[tuple[Kept, Played, Played]]:
    """Yield each environment with its runs right after it was learned and at the end, where these are two."""
    for kept in found.kept:
        first, last = (matrix.get((stage or "", kept.environment)) for stage in (kept.learned, found.stages[-1]))
        if first is not None and last is not None and first is not last:
            yield kept, first, last


def _cell(text: str) -> tuple[str, str, Played]:
    left, equals, path = text.partition("=")
    stage, _, environment = left.partition(":")
    if not equals or not stage or not path:
        raise ConfigError(f"{text!r} is not of the form STAGE=RUN or STAGE:ENVIRONMENT=RUN.")
    run = Played.read(RunDirectory(path))
    return stage, environment or f"{run.config.taskset.name}/{run.config.taskset.split}", run


def _print_matrix(found: Forgetting, changes: dict[str, Pair]) -> None:
    out = console()
    table = Table(title="success in %", title_justify="left", title_style="bold")
    table.add_column("after stage")
    for name in found.environments:
        table.add_column(escape(name), justify="right")
    for stage, row in zip(found.stages, found.matrix, strict=True):
        table.add_row(escape(stage), *("-" if value is None else f"{100 * value:.1f}" for value in row))
    out.print(table)
    for kept in found.kept:
        pair = changes.get(kept.environment)
        if pair is not None:
            said = (
                f"{pair.verdict}, p {pair.adjusted:.3g} after Holm" if not pair.reason else f"no verdict: {pair.reason}"
            )
            line = f"{kept.environment}: {points(pair.difference)} points since it was learned in {kept.learned}"
            out.print(f"{line} ({said})", markup=False)
    out.print(
        f"mean after {found.stages[-1]} {_share(found.average)}, backward transfer "
        f"{_change(found.backward_transfer)}, forgetting {_change(found.forgetting)}",
        markup=False,
    )


def _change(value: float) -> str:
    return "-" if math.isnan(value) else f"{100 * value:+.1f} points"


def _share(value: float) -> str:
    return "-" if math.isnan(value) else f"{100 * value:.1f} %"
