"""The plots that only an evolution has: the tree of its releases, its curriculum, and time by phase."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from . import svg
from .evolution_data import Node
from .markup import COLOURS
from .svg import Area, node
from .texts import escaped

LANES = 12
"""Branches that are drawn beside each other; more of them share the last."""
LANE = 22.0
"""Units from one branch to the next."""
COLUMNS = 50
"""Generations, or groups of them, that stand beside each other."""
ROWS = 14
"""Categories that have a row of their own."""
CLASSES = {"promote": "o-solved", "refuse": "o-infrastructure", "not_yet": "o-unknown"}
"""Decision to the class of its colour; others are grey."""
SAID = {"promote": "promoted", "refuse": "refused", "not_yet": "not yet", None: "not judged"}


def tree(ident: str, title: str, description: str, nodes: Sequence[Node]) -> str:
    """Draw releases by generation: what led to the one in force in a line, what was tried beside it below."""
    lanes = lanes_of(nodes)
    last = max((one.generation for one in nodes), default=0)
    area = Area(12, 16, svg.WIDTH - 12, 16 + LANE * (max(lanes.values(), default=0) + 1))
    ticks = [tick for tick in svg.whole_ticks(0, max(1, last), 8) if tick <= max(1, last)]
    x = svg.scale((0, max(1, last)), (area.left, area.right))
    at = {one.id: (x(one.generation), area.top + LANE * lanes[one.id]) for one in nodes}
    main = _main(nodes)
    marks = [svg.axes(area, (ticks, x), ((), x), names=("generation", ""))]
    for one in nodes:
        if one.parent in at:
            (x1, y1), (x2, y2) = at[one.parent], at[one.id]
            kind = "edge main" if one.id in main else "edge"
            marks.append(node("line", x1=x1, y1=y1, x2=x2, y2=y2, class_=kind))
    size = 4.5 if last <= 60 else 3.0
    for one in nodes:
        cx, cy = at[one.id]
        tip = node("title", escaped(_tip(one)))
        kind = "o-solved" if one.was_head else CLASSES.get(one.decision or "", "o-failed")
        marks.append(node("circle", tip, cx=cx, cy=cy, r=size, class_=kind))
        if one.head:
            marks.append(node("circle", cx=cx, cy=cy, r=size + 3, class_="ring"))
    return svg.plot(ident, area.bottom + 44, title, description, *marks)


def lanes_of(nodes: Sequence[Node]) -> dict[str, int]:
    """Return in which lane each release stands: 0 for what led to the one in force, others where there is room."""
    main = _main(nodes)
    chains: dict[str, list[Node]] = {}
    first: dict[str, str] = {}
    for one in sorted(nodes, key=lambda n: (n.generation, n.id)):
        if one.id in main:
            continue
        # A release goes on in its parent's lane if it is the first that was grown from it.
        start = first.get(one.parent or "", one.id)
        if start != one.id and chains[start][-1].id != one.parent:
            start = one.id
        first[one.id] = start
        chains.setdefault(start, []).append(one)
    lanes, ends = dict.fromkeys(main, 0), list[int]()
    for chain in chains.values():
        free = next((n for n, end in enumerate(ends) if end < chain[0].generation), len(ends))
        if free >= LANES - 1:
            free = LANES - 2
        ends += [-1] * (free + 1 - len(ends))
        ends[free] = max(ends[free], chain[-1].generation)
        lanes |= {one.id: free + 1 for one in chain}
    return lanes


def _main(nodes: Sequence[Node]) -> set[str]:
    known = {one.id: one for one in nodes}
    at = next((one for one in nodes if one.head), nodes[0] if nodes else None)
    found: set[str] = set()
    while at is not None and at.id not in found:
        found.add(at.id)
        at = known.get(at.parent or "")
    return found


def _tip(one: Node) -> str:
    state = "in force" if one.head else "was in force" if one.was_head else SAID.get(one.decision, "not judged")
    changed = ", ".join(one.changed)
    return f"{one.id[:12]}, generation {one.generation}: {state}" + (f"; changes {changed}" if changed else "")


def grouped(count: int, most: int = COLUMNS) -> list[range]:
    """Return places 0 to count - 1 in at most so many groups of neighbours."""
    size = max(1, -(-count // most))
    return [range(start, min(count, start + size)) for start in range(0, count, size)]


def grid(ident: str, title: str, description: str, numbers: Sequence[int], asked: Sequence[Mapping[str, int]]) -> str:
    """Draw which categories were asked for: a row for each, a column for each generation or group of neighbours.

    Args:
        ident: id of the element.
        title: what it shows.
        description: the same in words.
        numbers: of the generations.
        asked: tasks by category, of each of them.
    """
    total: dict[str, int] = {}
    for one in asked:
        for name, count in one.items():
            total[name] = total.get(name, 0) + count
    names = sorted(total, key=lambda name: (-total[name], name))
    named, others = (names, set[str]()) if len(names) <= ROWS else (names[: ROWS - 1], set(names[ROWS - 1 :]))
    rows = [*((name, {name}) for name in named), *([(f"{len(others)} others", others)] if others else [])]
    groups = grouped(len(asked))
    left, row = 190.0, 20.0
    width = min(40.0, (svg.WIDTH - left) / max(1, len(groups)))
    marks = []
    for place, (name, inside) in enumerate(rows):
        top = 4 + place * row
        marks.append(svg.text(left - 8, top + 14, svg.shortened(name, left - 8), "axis", "end", title=name))
        for column, group in enumerate(groups):
            here = sum(asked[n].get(one, 0) for n in group for one in inside)
            of = sum(sum(asked[n].values()) for n in group)
            if here:
                when = svg.short(numbers[group[0]])
                when += f" to {svg.short(numbers[group[-1]])}" if len(group) > 1 else ""
                tip = node("title", escaped(f"{name}, generation {when}: {here} of {of} tasks"))
                box = {"x": left + column * width, "y": top, "width": max(1.0, width - 1), "height": row - 2}
                marks.append(node("rect", tip, **box, class_="s0", fill_opacity=0.12 + 0.88 * here / of))
    bottom = 4 + len(rows) * row
    every = max(1, -(-len(groups) // 8))
    for column, group in enumerate(groups):
        if column % every == 0:
            at = left + (column + 0.5) * width
            marks.append(svg.text(at, bottom + 16, svg.short(numbers[group[0]]), "axis", "middle"))
    marks.append(svg.text((left + svg.WIDTH) / 2, bottom + 34, "generation", "axis", "middle"))
    return svg.plot(ident, bottom + 42, title, description, *marks)


def stacks(
    ident: str,
    title: str,
    description: str,
    numbers: Sequence[int],
    found: Sequence[tuple[str, Sequence[float]]],
    *,
    unit: str,
) -> str:
    """Draw parts of a whole upon each other, a column for each generation; of groups of neighbours, their mean.

    Args:
        ident: id of the element.
        title: what it shows.
        description: the same in words.
        numbers: of the generations.
        found: name and values of each part, one for each generation.
        unit: name of the other axis.
    """
    groups = grouped(len(numbers))
    means = [[sum(values[n] for n in group) / len(group) for group in groups] for _, values in found]
    area = Area(46, 26, svg.WIDTH - 8, 236)
    highest = max((sum(column) for column in zip(*means, strict=True)), default=1.0)
    y_ticks = svg.ticks(0, highest, 4)
    y = svg.scale((y_ticks[0], y_ticks[-1]), (area.bottom, area.top))
    width = min(60.0, (area.right - area.left) / max(1, len(groups)))
    every = max(1, -(-len(groups) // 8))
    middles = [area.left + (column + 0.5) * width for column in range(len(groups))]
    marks = [svg.axes(area, ((), y), (y_ticks, y), names=("generation", unit))]
    for column, group in enumerate(groups):
        base = 0.0
        for series, (name, _) in enumerate(found):
            value = means[series][column]
            if value:
                tip = node("title", escaped(f"generation {numbers[group[0]]}, {name}: {value:,.1f} {unit}"))
                box = {"x": middles[column] - width / 2, "y": y(base + value), "width": max(1.0, width - 1.5)}
                marks.append(node("rect", tip, **box, height=y(base) - y(base + value), class_=f"s{series % COLOURS}"))
            base += value
        if column % every == 0:
            marks.append(svg.text(middles[column], area.bottom + 18, svg.short(numbers[group[0]]), "axis", "middle"))
    return svg.plot(ident, area.bottom + 44, title, description, *marks)
