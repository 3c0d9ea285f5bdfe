"""SVG as text: elements, axes and ticks. Colours are classes, so that the style sheet decides on light and dark."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from .texts import escaped

WIDTH = 560
"""Units of every plot; the page scales them, text included."""
CHAR = 8.0
"""Width of a character of text in a plot, roughly and as narrow screens show it."""


class Area(NamedTuple):
    """Where the data of a plot lies, in units."""

    left: float
    top: float
    right: float
    bottom: float


def node(name: str, *inside: str, **attributes: object) -> str:
    """Return an element; `inside` is markup already, attributes are escaped here, and None leaves one out.

    `_` in an attribute's name stands for `-`, and one at its end for nothing (`class_`).
    """
    parts = [name]
    for key, value in attributes.items():
        if value is not None:
            shown = f"{value:.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else escaped(value)
            parts.append(f'{key.rstrip("_").replace("_", "-")}="{shown}"')
    body = "".join(inside)
    return f"<{' '.join(parts)}>{body}</{name}>" if body else f"<{' '.join(parts)}/>"


def text(x: float, y: float, content: str, class_: str = "", anchor: str | None = None, title: str = "") -> str:
    """Return a line of text; `title` is shown when one points at it."""
    tip = node("title", escaped(title)) if title else ""
    return node("text", tip, escaped(content), x=x, y=y, class_=class_ or None, text_anchor=anchor)


def plot(ident: str, height: float, title: str, description: str, *inside: str) -> str:
    """Return a whole plot, with a title and a description for those who do not see it."""
    head = node("title", escaped(title), id=f"{ident}-t") + node("desc", escaped(description), id=f"{ident}-d")
    return node(
        "svg",
        head,
        *inside,
        id=ident,
        class_="plot",
        role="img",
        viewBox=f"0 0 {WIDTH} {math.ceil(height)}",
        aria_labelledby=f"{ident}-t {ident}-d",
    )


def shortened(label: str, width: float) -> str:
    """Return a label that fits into so many units."""
    most = max(3, int(width / CHAR))
    return label if len(label) <= most else label[: most - 1] + "…"


def ticks(low: float, high: float, count: int = 5) -> list[float]:
    """Return round numbers, 1, 2 or 5 times a power of ten apart, from the one at or below `low` to beyond `high`."""
    if not high > low:
        high = low + 1.0
    rough = (high - low) / max(1, count)
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1.0, 2.0, 5.0, 10.0) if power * factor >= rough * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [number * step for number in range(first, last + 1)]


def whole_ticks(low: float, high: float, count: int = 5) -> list[float]:
    """Return `ticks` that are whole numbers, for counts."""
    return ticks(low, high, count) if high - low >= count else [float(n) for n in range(int(low), int(high) + 2)]


def scale(domain: tuple[float, float], span: tuple[float, float]) -> Callable[[float], float]:
    """Return the linear map of `domain` to `span`."""
    width = (domain[1] - domain[0]) or 1.0
    return lambda value: span[0] + (value - domain[0]) / width * (span[1] - span[0])


def short(value: float) -> str:
    """Return a number as an axis shows it."""
    if abs(value) >= 10_000:
        return f"{value / 1000:g}k"
    return f"{round(value, 6):g}"


def axes(
    area: Area,
    x: tuple[Sequence[float], Callable[[float], float]],
    y: tuple[Sequence[float], Callable[[float], float]],
    *,
    names: tuple[str, str] = ("", ""),
    show: tuple[Callable[[float], str], Callable[[float], str]] = (short, short),
    grid: str = "y",
) -> str:
    """Return tick labels, names and grid lines of both axes; no ticks, no axis."""
    parts = []
    for tick in x[0]:
        at = x[1](tick)
        line = ("grid", area.top) if "x" in grid else ("tick", area.bottom - 0.01)
        parts.append(node("line", x1=at, x2=at, y1=line[1], y2=area.bottom + 4, class_=line[0]))
        parts.append(text(at, area.bottom + 18, show[0](tick), "axis", "middle"))
    for tick in y[0]:
        at = y[1](tick)
        parts.append(node("line", x1=area.left, x2=area.right, y1=at, y2=at, class_="grid"))
        parts.append(text(area.left - 7, at + 4, show[1](tick), "axis", "end"))
    if names[0]:
        parts.append(text((area.left + area.right) / 2, area.bottom + 36, names[0], "axis", "middle"))
    if names[1]:
        parts.append(text(0, area.top - 10, names[1], "axis"))
    return "".join(parts)


def path(points: Iterable[tuple[float, float]], class_: str, *, close: bool = False) -> str:
    """Return a line through these points, or the area inside it."""
    ends = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    return node("polygon" if close else "polyline", points=ends, class_=class_)


def percent(share: float) -> str:
    """Return a share as an axis shows it."""
    return f"{100 * share:g} %" if abs(share) < 1e-12 else f"{round(100 * share, 4):g} %"
