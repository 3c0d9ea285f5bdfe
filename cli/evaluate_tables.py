"""Tables and lines of figures: intervals, samples, effort, invalid actions, learning curves."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

from rich.markup import escape
from rich.table import Table

from ..evals.figures.at_k import AtK
from ..evals.figures.curves import Curve
from ..evals.figures.intervals import Interval
from ..evals.figures.pick import PickedFigures
from ..evals.figures.summary import Figures, Spread

METHODS = {"wilson": "Wilson", "bca": "bootstrap over tasks", "percentile": "bootstrap over tasks"}


def percent(one: Interval) -> str:
    """Return a share with its interval, such as `40.0 % [24.6, 57.7]`."""
    if math.isnan(one.value):
        return "-"
    return f"{100 * one.value:.1f} % [{100 * one.low:.1f}, {100 * one.high:.1f}]"


def decimal(one: Interval) -> str:
    """Return a score with its interval, such as `0.40 [0.25, 0.58]`."""
    return "-" if math.isnan(one.value) else f"{one.value:.2f} [{one.low:.2f}, {one.high:.2f}]"


def amount(value: float, digits: int = 0) -> str:
    """Return a number with commas, or a dash for not-a-number."""
    return "-" if math.isnan(value) else f"{value:,.{digits}f}"


def success_table(title: str, rows: Mapping[str, Figures]) -> Table:
    """Return the evaluation table: one row per category, the last one for all."""
    table = Table(title=title, title_justify="left", title_style="bold")
    used = {METHODS.get(one.success.method, "") for one in rows.values()} - {""}
    how = used.pop() if len(used) == 1 else "intervals" if used else "Wilson"
    table.add_column("task type", no_wrap=True)
    for name in ("games", "no outcome", f"success [95 % {how}]", "score [95 %]", "steps (median)", "invalid"):
        table.add_column(name, justify="right", no_wrap=True)
    for name, one in rows.items():
        lost, wrong = one.infrastructure, one.invalid
        bad = wrong.unparseable + wrong.not_admissible + wrong.no_effect
        table.add_row(
            escape(name),
            str(lost.finished),
            str(lost.lost + lost.unfinished) if lost.lost + lost.unfinished else "-",
            percent(one.success),
            decimal(one.score),
            f"{amount(one.steps.mean, 1)} ({amount(one.steps.median)})",
            f"{100 * bad / wrong.steps:.1f} %" if wrong.steps else "-",
            style="bold" if name == "all" else "",
        )
    return table


def at_k_table(rows: Sequence[AtK]) -> Table:
    """Return what k samples per task are worth."""
    table = Table(title="k samples per task, expected over all choices of k", title_justify="left")
    for name in ("k", "tasks", "mean@k", "pass@k", "majority@k", "best score@k"):
        table.add_column(name, justify="right", no_wrap=True)
    for row in rows:
        figures = (percent(row.mean), percent(row.passed), percent(row.majority), decimal(row.best))
        table.add_row(str(row.k), str(row.tasks), *figures)
    return table


def invalid_table(rows: Mapping[str, Figures]) -> Table:
    """Return the taxonomy of actions that led nowhere, in shares of all steps."""
    table = Table(title="actions that led nowhere, in % of all steps", title_justify="left")
    table.add_column("task type", no_wrap=True)
    for name in (
        "unparseable",
        "not admissible",
        "no effect",
        "repeated",
        "episodes with any",
        "tool errors / refused",
    ):
        table.add_column(name, justify="right", no_wrap=True)
    for name, row in rows.items():
        one = row.invalid
        kinds = ("unparseable", "not_admissible", "no_effect", "repeated")
        calls = f"{one.tool_errors} / {one.tool_refused} of {one.tool_calls}" if one.tool_calls else "-"
        shares = [f"{100 * one.share(kind):.1f}" for kind in kinds]
        style = "bold" if name == "all" else ""
        table.add_row(escape(name), *shares, f"{one.affected} of {one.episodes}", calls, style=style)
    return table


def effort(figures: Figures) -> list[str]:
    """Return what one sample took, as a line: medians, and where 80 % of the samples lie."""
    if not figures.steps.n:
        return []
    parts = [
        f"{_spread(figures.steps)} steps",
        f"{_spread(figures.tokens)} tokens",
        f"{_spread(figures.seconds, 2)} s",
    ]
    if figures.cost_usd.total:
        parts.append(f"{_spread(figures.cost_usd, 5)} USD")
    return ["per sample, median [10 %, 90 %]: " + ", ".join(parts)]


def attempts(figures: Figures) -> Iterable[str]:
    """Yield lines on repaired and lost attempts, where there are any."""
    if figures.repairs:
        yield (
            f"{figures.repairs} repairs; success at the first attempt {percent(figures.first_success)}, at the last "
            f"{percent(figures.success)} (this counts), at the best {percent(figures.best_success)} (needs the truth)"
        )
    lost = figures.infrastructure
    if lost.failed_attempts or lost.unfinished:
        where = ", ".join(f"{name} {n}" for name, n in sorted(lost.boundaries.items()))
        yield (
            f"infrastructure: {lost.failed_attempts} of {lost.attempts} attempts failed ({where or 'none'}); "
            f"{lost.lost} samples lost, {lost.unfinished} not finished, of {lost.planned} ({100 * lost.share:.1f} %)"
        )


def picked(one: PickedFigures | None) -> list[str]:
    """Return the figures of the picked samples, where some are picked."""
    if one is None:
        return []
    by = ", ".join(f"{name} {n}" for name, n in sorted(one.by.items()))
    return [f"one sample of each task picked by {one.rule} ({by}): {percent(one.success)}, score {decimal(one.score)}"]


def curve_line(curve: Curve) -> str:
    """Return a learning curve in one line."""
    reached = [f"{100 * one.level:g} % after {one.episodes} episodes" for one in curve.thresholds if not one.censored]
    missed = [f"{100 * one.level:g} % not within {one.episodes}" for one in curve.thresholds if one.censored]
    return (
        f"learning curve over {len(curve.points)} episodes (mean of {curve.window}): area {curve.area:.3f}, "
        f"best {curve.best:.2f}, last {curve.last:.2f}; {', '.join(reached + missed[:1])}"
    )


def _spread(one: Spread, digits: int = 0) -> str:
    return f"{amount(one.median, digits)} [{amount(one.q10, digits)}, {amount(one.q90, digits)}]"
