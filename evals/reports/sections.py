"""The parts of a report above the trajectories, as HTML that needs no script."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from ..figures.invalid import KINDS
from . import plots
from .data import Page, RunPart, Versus
from .facts_list import facts_list
from .frame import section
from .markup import COLOURS, TOTAL, colour, figure, head, heads, keyed, legend, mark, named, table
from .plots import Bar, Line
from .results import results
from .texts import escaped
from .words import count, number_of, p_value, points, share

UNLIKE = 12
"""Lines of what else differs between two evaluations."""
OUTCOMES = {"solved": "solved", "failed": "not solved", "unknown": "unknown"}


class Part(NamedTuple):
    """One section."""

    ident: str
    name: str
    html: str


def sections(page: Page) -> list[Part]:
    """Return all sections in reading order; those with nothing to show are left out."""
    found = [
        Part("results", "Results", results(page)),
        Part("comparison", "Comparison", "".join(comparison(one, n + 1) for n, one in enumerate(page.versus))),
        Part("course", "Course", course(page)),
        Part("actions", "Actions", actions(page)),
        Part("facts", "How to believe and repeat it", facts(page)),
    ]
    return [part._replace(html=section(part.ident, part.name, part.html)) for part in found if part.html]


def lead(page: Page) -> str:
    """Return the figures that matter most, one row for each run, and the verdicts."""
    rows = "".join(_keys(run, number, len(page.runs) > 1) for number, run in enumerate(page.runs))
    verdicts = "".join(f'<p class="verdict">{escaped(one.sentence)}</p>' for one in page.versus)
    for run in page.runs:
        if run.warning:
            verdicts += f'<p class="verdict warn">{escaped(run.label)}: {escaped(run.warning)}</p>'
    return f'<div class="lead">{rows}</div>{verdicts}'


def _keys(run: RunPart, number: int, several: bool) -> str:
    total = run.total
    low, high = (f"{100 * end:.1f}" for end in (total.success.low, total.success.high))
    between = f"<small>[{low}, {high}]</small>" if math.isfinite(total.success.value) else ""
    found = total.infrastructure
    shown = [
        (f"{share(total.success.value)} {between}", "success, 95 % interval"),
        (f"{found.finished:,}", f"episodes on {total.tasks:,} tasks"),
        (number_of(total.score.value, 2), "mean score"),
        (number_of(total.steps.mean), "steps per episode"),
        (count(total.tokens.mean) if total.tokens.total else "-", "tokens per episode"),
        (number_of(total.cost_usd.total, 4) if total.cost_usd.total else "-", "USD"),
        (f"{found.failed_attempts:,}", "infrastructure failures"),
    ]
    name = f"<h3>{mark(number)}{escaped(run.label)}</h3>" if several else ""
    keys = "".join(f'<p class="key"><b>{value}</b><span>{said}</span></p>' for value, said in shown if value != "-")
    brief = " · ".join(escaped(text) for text in run.brief)
    return f'<div class="run">{name}{keys}<p class="brief">{brief}</p></div>'


def comparison(one: Versus, number: int) -> str:
    """Return the paired comparison of one run with the first."""
    found = [
        Bar(
            row.category,
            number % COLOURS,
            row.value,
            row.low,
            row.high,
            f"{row.category}: {points(row.value)} points [{points(row.low)}, {points(row.high)}] on {row.tasks} tasks",
        )
        for row in one.rows
    ]
    drawn = plots.forest(
        f"p-versus-{number}", f"{one.label} minus {one.base}", "; ".join(b.tip for b in found), found, total=TOTAL
    )
    plot = figure(f"{one.label} minus {one.base}", "success on the same tasks, with 95 % intervals", drawn)
    columns = ["category", "tasks", one.base, one.label, "difference", "better", "worse", "p", "p, Holm", "verdict"]
    rows = []
    for row in one.rows:
        cells = [str(row.tasks), share(row.first), share(row.second), points(row.value), str(row.wins), str(row.losses)]
        cells += [p_value(row.p), p_value(row.adjusted), row.verdict]
        rows.append((row.category == TOTAL, head(row.category), cells))
    said = [one.sentence, f"Test: {one.rows[-1].test} over pairs of the same task and sample.", *one.notes]
    words = "".join(f"<p>{escaped(text)}</p>" for text in said)
    if one.unlike:
        shown = "".join(f"<li>{escaped(line)}</li>" for line in one.unlike[:UNLIKE])
        more = f"<li>and {len(one.unlike) - UNLIKE} more</li>" if len(one.unlike) > UNLIKE else ""
        words += f'<p>What else differs:</p><ul class="notes">{shown}{more}</ul>'
    return f'<div class="grid">{plot}<div>{words}</div></div>{table(heads(columns), rows)}'


def course(page: Page) -> str:
    """Return how long episodes were, what they used, and when reward came."""
    drawn = [_lengths(page, "p-steps", "Steps per episode", "steps", 1)]
    if any(length.tokens for run in page.runs for length in run.lengths):
        drawn.append(_lengths(page, "p-tokens", "Tokens per episode", "tokens", 2))
    found = [
        Line(number % COLOURS, [(n + 1.0, value) for n, value in enumerate(run.returns)])
        for number, run in enumerate(page.runs)
    ]
    ends = named(page, [number_of(run.returns[-1], 3) if run.returns else "-" for run in page.runs])
    over = [f"{run.returns_of:,}" for run in page.runs]
    title = "mean return so far; what has ended keeps its return" + _sampled(page, over)
    plot = plots.lines("p-returns", "Reward over steps", "; ".join(ends), found, names=("step", ""))
    drawn.append(figure("Reward over steps", title, plot, legend(page)))
    return f'<div class="grid">{"".join(drawn)}</div>'


def _sampled(page: Page, over: Sequence[str]) -> str:
    some = any(run.returns_of < run.total.infrastructure.finished for run in page.runs)
    return f" (read from {' and '.join(over)} episodes, evenly spaced)" if some else ""


def _lengths(page: Page, ident: str, title: str, unit: str, column: int) -> str:
    if len(page.runs) == 1:
        lengths = page.runs[0].lengths
        values = {n: [float(one[column]) for one in lengths if one.outcome == key] for n, key in enumerate(OUTCOMES)}
        classes = [f"o-{key}" for key in OUTCOMES]
        keys = [(f"o-{key}", name) for n, (key, name) in enumerate(OUTCOMES.items()) if values[n]]
        names = (unit, "episodes")
    else:
        values = {n: [float(one[column]) for one in run.lengths] for n, run in enumerate(page.runs)}
        classes = [colour(n) for n in range(len(page.runs))]
        keys, names = [(colour(n), run.label) for n, run in enumerate(page.runs)], (unit, "share of episodes")
    spreads = [getattr(run.total, unit) for run in page.runs]
    words = [f"median {count(one.median)}, mean {count(one.mean)}, most {count(one.most)}" for one in spreads]
    said, single = "; ".join(named(page, words)), len(page.runs) == 1
    drawn = plots.histogram(ident, title, said, values, names=names, classes=classes, stacked=single)
    return figure(title, words[0] if single else "", drawn, keyed(keys))


def actions(page: Page) -> str:
    """Return what went wrong in single steps, and how episodes ended."""
    kinds = {
        "steps": "steps",
        "unparseable": "no action in the answer",
        "not_admissible": "not admissible",
        "no_effect": "no effect",
        "repeated": "repeated",
        "tool_calls": "tool calls",
        "tool_errors": "tool errors",
        "tool_refused": "tool calls refused",
    }
    tools = any(run.total.invalid.tool_calls for run in page.runs)
    rows = [
        (False, head(name), [_counted(run, kind) for run in page.runs])
        for kind, name in kinds.items()
        if tools or not kind.startswith("tool")
    ]
    stops = sorted({stop for run in page.runs for stop in run.total.stops})
    ends = [
        (False, head(stop.replace("_", " ")), [f"{run.total.stops.get(stop, 0):,}" for run in page.runs])
        for stop in stops
    ]
    sides = "".join(f'<th scope="col">{mark(n)}{escaped(run.label)}</th>' for n, run in enumerate(page.runs))
    left = "<h3>Invalid actions</h3>" + table(heads(["of all steps"]) + sides, rows)
    right = "<h3>How episodes ended</h3>" + table(heads(["ended by"]) + sides, ends)
    return f'<div class="grid"><div>{left}</div><div>{right}</div></div>'


def _counted(run: RunPart, kind: str) -> str:
    """Return a count, with its share of all steps where it is a kind of invalid step."""
    found = run.total.invalid
    count = f"{getattr(found, kind):,}"
    return f"{count} ({share(found.share(kind))})" if kind in KINDS else count


def facts(page: Page) -> str:
    """Return where the figures come from, what to know before believing them, and how to repeat them."""
    parts = []
    for number, run in enumerate(page.runs):
        name = f"<h3>{mark(number)}{escaped(run.label)}</h3>" if len(page.runs) > 1 else ""
        notes = "".join(f"<li>{escaped(note)}</li>" for note in run.notes)
        parts.append(f'<div>{name}{facts_list(run.facts)}<ul class="notes">{notes}</ul></div>')
    return f'<div class="facts">{"".join(parts)}</div>'
