"""The plots of a report. Each takes plain numbers and returns one SVG element."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from . import svg
from .svg import Area, node
from .texts import escaped

ROW = 17.0
"""Height of a bar, in units."""
WIDEST = 72.0
"""Width at which bars of a histogram stop to grow, where there are few of them."""
NAME = 19.0
"""Height of the name of a group above its bars; all heights leave room for the larger text of narrow screens."""
TEXT_BASE = 4.5
"""From the middle of a line of text to its base line."""


@dataclass(frozen=True, slots=True)
class Bar:
    """One value with its interval."""

    group: str
    """What it stands beside: a category."""
    series: int
    """Which colour: the number of the run."""
    value: float
    low: float
    high: float
    tip: str
    """What is shown when one points at it."""


@dataclass(frozen=True, slots=True)
class Line:
    """One curve, with a band where there is one."""

    series: int
    points: Sequence[tuple[float, float]]
    band: Sequence[tuple[float, float, float]] = ()
    """(x, low, high)"""
    dots: bool = False
    """Whether each point is marked, as where there are few."""


def bars(ident: str, title: str, description: str, found: Sequence[Bar], *, total: str = "") -> str:
    """Draw horizontal bars for shares in [0, 1], by group, each with its interval and its value.

    Args:
        ident: id of the element.
        title: what it shows.
        description: the same in words and figures.
        found: bars, in order; those of a group together.
        total: the group that is the sum of the others, set apart.
    """
    area = Area(1, 2, svg.WIDTH - 74, 2)
    x = svg.scale((0, 1), (area.left, area.right))
    marks, at, group = list[str](), area.top, None
    for bar in found:
        if bar.group != group:
            group = bar.group
            at, drawn = _name(group, at, apart=group == total and bool(marks))
            marks.append(drawn)
        marks.append(_bar(bar, x, at, "bar total" if group == total else "bar"))
        at += ROW
    area = area._replace(bottom=at + 4)
    behind = svg.axes(area, ((0, 0.25, 0.5, 0.75, 1), x), ((), x), show=(svg.percent, svg.short), grid="x")
    return svg.plot(ident, area.bottom + 24, title, description, behind, *marks)


def _name(group: str, at: float, *, apart: bool) -> tuple[float, str]:
    """Draw the name of a group from `at` on, below a rule where it stands apart; return where its bars begin."""
    rule = ""
    if apart:
        at += 8
        rule = node("line", x1=0, x2=svg.WIDTH, y1=at, y2=at, class_="rule")
    at += NAME + 3
    return at, rule + svg.text(0, at - 5, svg.shortened(group, svg.WIDTH), "label", title=group)


def _bar(bar: Bar, x: Callable[[float], float], top: float, class_: str) -> str:
    middle, known = top + ROW / 2, math.isfinite(bar.value)
    value = bar.value if known else 0.0
    parts = [node("title", escaped(bar.tip))]
    parts.append(
        node(
            "rect",
            x=x(0),
            y=top + 1.5,
            width=max(1.0, x(value) - x(0)),
            height=ROW - 3,
            class_=f"{class_} s{bar.series}",
            data_group=bar.group,
        )
    )
    if known:
        parts.append(node("line", x1=x(bar.low), x2=x(bar.high), y1=middle, y2=middle, class_="whisker"))
        for end in (bar.low, bar.high):
            parts.append(node("line", x1=x(end), x2=x(end), y1=middle - 3, y2=middle + 3, class_="whisker"))
    parts.append(svg.text(svg.WIDTH, middle + TEXT_BASE, f"{100 * value:.1f} %" if known else "-", "value", "end"))
    return node("g", *parts)


def forest(ident: str, title: str, description: str, found: Sequence[Bar], *, total: str = "") -> str:
    """Draw differences with their intervals around 0; values are shares, shown in percentage points."""
    ends = [end for bar in found for end in (bar.low, bar.high) if math.isfinite(end)]
    reach = min(1.0, max((abs(end) for end in ends), default=0.1) or 0.1)
    steps = svg.ticks(-reach, reach, 6)
    area = Area(12, 2, svg.WIDTH - 74, 2)
    x = svg.scale((steps[0], steps[-1]), (area.left, area.right))
    marks, at = list[str](), area.top
    for bar in found:
        at, drawn = _name(bar.group, at, apart=bar.group == total and bool(marks))
        middle, heavy = at + ROW / 2 - 2, 5.0 if bar.group == total else 4.0
        parts = [node("title", escaped(bar.tip)), drawn]
        if math.isfinite(bar.value):
            parts.append(
                node("line", x1=x(bar.low), x2=x(bar.high), y1=middle, y2=middle, class_=f"span l{bar.series}")
            )
            parts.append(node("circle", cx=x(bar.value), cy=middle, r=heavy, class_=f"dot s{bar.series}"))
            shown = f"{100 * bar.value:+.1f}".replace("-", "−")
            parts.append(svg.text(svg.WIDTH, middle + TEXT_BASE, shown, "value", "end"))
        marks.append(node("g", *parts))
        at += ROW
    area = area._replace(bottom=at + 4)
    behind = svg.axes(area, (steps, x), ((), x), show=(_points, svg.short), grid="x", names=("percentage points", ""))
    zero = node("line", x1=x(0), x2=x(0), y1=area.top, y2=area.bottom, class_="zero")
    return svg.plot(ident, area.bottom + 44, title, description, behind, zero, *marks)


def _points(share: float) -> str:
    return f"{round(100 * share, 4):+g}".replace("-", "−") if abs(share) > 1e-12 else "0"


def lines(
    ident: str, title: str, description: str, found: Sequence[Line], *, names: tuple[str, str], share: bool = False
) -> str:
    """Draw curves over whole numbers from 1; `share` fixes the other axis to [0, 1] and shows it in percent."""
    area = Area(46, 26, svg.WIDTH - 8, 236)
    xs = [x for line in found for x, _ in line.points]
    ys = [y for line in found for _, y in line.points] + [
        end for line in found for _, *ends in line.band for end in ends
    ]
    low, high = (0.0, 1.0) if share else (min(0.0, *ys, 0.0), max(0.0, *ys, 0.0))
    x_ticks = svg.whole_ticks(0, max(xs, default=1), 6)
    y_ticks = svg.ticks(low, high, 4)
    x_map = svg.scale((x_ticks[0], x_ticks[-1]), (area.left, area.right))
    y_map = svg.scale((y_ticks[0], y_ticks[-1]), (area.bottom, area.top))
    show = svg.percent if share else svg.short
    marks = [svg.axes(area, (x_ticks, x_map), (y_ticks, y_map), names=names, show=(svg.short, show))]
    for line in found:
        if line.band:
            upper = [(x_map(x), y_map(high)) for x, _, high in line.band]
            lower = [(x_map(x), y_map(low)) for x, low, _ in reversed(line.band)]
            marks.append(svg.path(upper + lower, f"band s{line.series}", close=True))
    for line in found:
        marks.append(svg.path([(x_map(x), y_map(y)) for x, y in line.points], f"curve l{line.series}"))
        if line.dots:
            marks += [node("circle", cx=x_map(x), cy=y_map(y), r=2.5, class_=f"s{line.series}") for x, y in line.points]
    return svg.plot(ident, area.bottom + 44, title, description, *marks)


def histogram(
    ident: str,
    title: str,
    description: str,
    found: Mapping[int, Sequence[float]],
    *,
    names: tuple[str, str],
    classes: Sequence[str],
    stacked: bool,
) -> str:
    """Draw how values are spread.

    Args:
        ident: id of the element.
        title: what it shows.
        description: the same in words.
        found: values by series.
        names: of both axes.
        classes: class of each series.
        stacked: put counts upon each other; else show each series' own shares side by side.
    """
    everything = [value for values in found.values() for value in values]
    edges = bins(everything)
    counts = {series: _counted(values, edges) for series, values in found.items() if values}
    sizes = {series: 1 if stacked else len(found[series]) for series in counts}
    heights = [[counts[series][n] / sizes[series] for series in counts] for n in range(len(edges) - 1)]
    top = max((sum(column) if stacked else max(column, default=0.0) for column in heights), default=1.0)
    area = Area(46, 26, svg.WIDTH - 8, 196)
    y_ticks = svg.whole_ticks(0, top, 4) if stacked else svg.ticks(0, top, 4)
    x = svg.scale((edges[0], edges[-1]), (area.left, area.right))
    y = svg.scale((y_ticks[0], y_ticks[-1]), (area.bottom, area.top))
    # A bin of one number has its tick in its middle, wider ones at their beginning.
    middle = 0.5 if edges[1] - edges[0] == 1 else 0.0
    x_ticks = [t + middle for t in svg.whole_ticks(edges[0], edges[-1], 6) if edges[0] <= t < edges[-1]]
    show = svg.short if stacked else svg.percent
    marks = [
        svg.axes(area, (x_ticks, x), (y_ticks, y), names=names, show=(lambda tick: svg.short(tick - middle), show))
    ]
    for n, column in enumerate(heights):
        width, base = min(WIDEST, x(edges[n + 1]) - x(edges[n]) - 1.5), 0.0
        left = (x(edges[n]) + x(edges[n + 1]) - width) / 2
        each = width if stacked else width / max(1, len(column))
        for place, (series, height) in enumerate(zip(counts, column, strict=True)):
            if height:
                tip = f"{_binned(edges[n], edges[1] - edges[0])}: {counts[series][n]} episodes"
                at = left if stacked else left + place * each
                box = {"x": at, "y": y(base + height), "width": max(0.5, each), "height": y(base) - y(base + height)}
                marks.append(node("rect", node("title", tip), **box, class_=f"bin {classes[series]}"))
            base += height if stacked else 0.0
    return svg.plot(ident, area.bottom + 44, title, description, *marks)


def bins(values: Iterable[float], most: int = 24) -> list[float]:
    """Return the edges of bins of one round, whole width over whole numbers; the upper edge is not in a bin."""
    found = list(values)
    low, high = math.floor(min(found, default=0.0)), math.floor(max(found, default=0.0)) + 1
    width = max(1, math.ceil(svg.ticks(0, high - low, most)[1]))
    first = low // width * width
    return [float(first + n * width) for n in range(-(-(high - first) // width) + 1)]


def _binned(edge: float, width: float) -> str:
    return svg.short(edge) if width == 1 else f"{svg.short(edge)} to {svg.short(edge + width - 1)}"


def _counted(values: Iterable[float], edges: Sequence[float]) -> list[int]:
    counts, width = [0] * (len(edges) - 1), edges[1] - edges[0]
    for value in values:
        counts[min(len(counts) - 1, max(0, int((value - edges[0]) / width + 1e-9)))] += 1
    return counts
