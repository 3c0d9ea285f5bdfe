"""The section of a report that says how often what was solved."""

from __future__ import annotations

from collections.abc import Sequence

from ..figures.curves import Point
from ..figures.summary import Figures
from . import plots
from .data import Page
from .markup import COLOURS, TOTAL, figure, heads, legend, mark, named, table
from .plots import Bar, Line
from .texts import escaped
from .words import count, interval, number_of, share


def results(page: Page) -> str:
    """Return success per category: a plot, and the figures in a table."""
    names = sorted({name for run in page.runs for name in run.categories})
    found = []
    shown = [*names, TOTAL] if len(names) > 1 else names
    for name in shown:
        for number, run in enumerate(page.runs):
            part = run.total if name == TOTAL else run.categories.get(name)
            if part is not None:
                gap = part.success
                tip = f"{name}, {run.label}: {interval(gap.value, gap.low, gap.high)} of {gap.n} tasks"
                found.append(Bar(name, number % COLOURS, gap.value, gap.low, gap.high, tip))
    said = "; ".join(bar.tip for bar in found)
    drawn = plots.bars("p-success", "Success by category", said, found, total=TOTAL)
    plot = figure("Success by category", "with 95 % intervals", drawn, legend(page))
    return f'<div class="grid">{plot}{_curve(page)}</div>{_table(page, names)}{several(page)}'


def _curve(page: Page) -> str:
    found, words = [], []
    for number, run in enumerate(page.runs):
        points = _thinned(run.curve.points)
        line_of = [(float(p.episode), p.value) for p in points]
        band = [(float(p.episode), p.low, p.high) for p in points]
        found.append(Line(number % COLOURS, line_of, band))
        ends = f"best {share(run.curve.best)}, last {share(run.curve.last)}"
        words.append(f"{ends}, area {number_of(run.curve.area, 3)}")
    title = f"mean success of the latest {page.runs[0].curve.window} episodes, in the order they began"
    drawn = plots.lines(
        "p-curve", "Learning curve", "; ".join(named(page, words)), found, names=("episode", ""), share=True
    )
    return figure("Learning curve", title, drawn, legend(page, words))


def _thinned(points: Sequence[Point], most: int = 400) -> list[Point]:
    """Return so many of the points that a screen can show, the last among them."""
    every = max(1, -(-len(points) // most))
    return [point for n, point in enumerate(points) if n % every == 0 or n == len(points) - 1]


def _table(page: Page, names: Sequence[str]) -> str:
    many = len(page.runs) > 1
    tokens = any(run.total.tokens.total for run in page.runs)
    rows = []
    for name in [*names, TOTAL]:
        parts = [(run, run.total if name == TOTAL else run.categories.get(name)) for run in page.runs]
        there = [(number, run, part) for number, (run, part) in enumerate(parts) if part is not None]
        for place, (number, run, part) in enumerate(there):
            head = f'<th scope="rowgroup" rowspan="{len(there)}">{escaped(name)}</th>' if not place else ""
            if many:
                head += f'<th scope="row">{mark(number)}{escaped(run.label)}</th>'
            rows.append((name == TOTAL, head, _cells(part, tokens)))
    columns = ["category", *(["run"] if many else []), "tasks", "episodes", "success", "95 % interval", "score"]
    columns += ["steps", *(["tokens"] if tokens else []), "invalid", "infrastructure"]
    return table(heads(columns), rows)


def _cells(part: Figures, tokens: bool) -> list[str]:
    invalid = sum(part.invalid.share(kind) for kind in ("unparseable", "not_admissible", "no_effect"))
    return [
        f"{part.tasks:,}",
        f"{part.infrastructure.finished:,}",
        share(part.success.value),
        f"{100 * part.success.low:.1f} to {100 * part.success.high:.1f}" if part.success.n else "-",
        number_of(part.score.value, 2),
        number_of(part.steps.mean),
        *([count(part.tokens.mean)] if tokens else []),
        share(invalid),
        f"{part.infrastructure.failed_attempts:,}",
    ]


def several(page: Page) -> str:
    """Return what several samples and repeated attempts add: mean@k, pass@k, majority@k, first, last and best."""
    many, rows, tries = len(page.runs) > 1, [], []
    for number, run in enumerate(page.runs):
        side = f'<th scope="row">{mark(number)}{escaped(run.label)}</th>' if many else ""
        for one in run.total.at_k if any(one.k > 1 for one in run.total.at_k) else ():
            cells = [interval(part.value, part.low, part.high) for part in (one.mean, one.passed, one.majority)]
            best = f"{number_of(one.best.value, 2)} [{one.best.low:.2f}, {one.best.high:.2f}]"
            rows.append((False, f'{side}<th scope="row">{one.k}</th>', [f"{one.tasks:,}", *cells, best]))
        if run.total.repairs:
            shown = (run.total.first_success, run.total.success, run.total.best_success)
            cells = [interval(part.value, part.low, part.high) for part in shown]
            tries.append((False, side or "<th></th>", [*cells, f"{run.total.repairs:,}"]))
    first = ["run"] if many else []
    columns = [*first, "k", "tasks", "mean@k", "pass@k", "majority@k", "best score of k"]
    made = table(heads(columns), rows) if rows else ""
    columns = [*(first or [""]), "first attempt", "last attempt", "best attempt (a bound)", "repairs"]
    made += table(heads(columns), tries) if tries else ""
    said = "".join(f"<p>{escaped(run.label)}: {escaped(run.picked)}</p>" for run in page.runs if run.picked)
    return made + said
