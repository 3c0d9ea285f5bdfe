"""How an evolution looks on a terminal while it goes on: one panel that stays where it is."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.panel import Panel
from rich.progress import Progress
from rich.progress_bar import ProgressBar
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from ...agent.evolution.generation import Generation, Phase
from .standing import Standing
from .words import alarms, came_to, clock, items, rate

DOING: dict[Phase, str] = {
    "propose": "choosing tasks",
    "collect": "playing",
    "verify": "verifying",
    "credit": "crediting memory",
    "distil": "distilling",
    "train": "training",
    "build": "making a release",
    "gate": "playing held-out games for the gate",
    "settle": "settling",
}
MARKS = {"past": ("✓", "green"), "on": ("▸", "bold cyan"), "skipped": ("-", "dim"), "to come": ("·", "dim")}
DECIDED = {"promote": "green", "refuse": "red", "not_yet": "yellow"}
ROWS = 12
"""Generations shown at most."""
FRAME = 4
"""Lines of the panel's edges and of the heads of its table, and one to spare."""
CATEGORIES = 6
"""Categories of the curriculum that are named."""
ALARMS = 2
"""Alarms shown, the newest."""
BLOCKS = "▁▂▃▄▅▆▇█"


class Drawn:
    """A standing as rich draws it; as high as the terminal has room for.

    Args:
        standing: what to draw.
        spinner: turns while a phase goes on; kept by the caller, so that it turns evenly.
    """

    def __init__(self, standing: Standing, spinner: Spinner) -> None:
        self._standing, self._spinner = standing, spinner

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Render the panel; its texts wrap, also on a console that leaves lines as long as they are."""
        one = self._standing
        # Texts wrap, whatever the console does with the lines that are printed above.
        options = options.update(no_wrap=False, overflow="fold", highlight=False)
        told = [f"generation {r.number}: {sentence}" for r in one.records for sentence in alarms(r)][-ALARMS:]
        above: list[RenderableType] = [*_going(one, self._spinner), _marks(one), Text()]
        below: list[RenderableType] = [_figures(one), *(Text(sentence, style="red") for sentence in told)]
        others = len(console.render_lines(Group(*above, *below), options.update(width=options.max_width - 4)))
        room = max(1, min(ROWS, console.size.height - FRAME - others))
        title, left = f"generation {one.number} of {one.generations}", one.seconds_left
        if left is not None and not one.stopped and left >= 1:
            title += f", about {clock(left)} left"
        parts = Group(*above, _generations(one, room), *below)
        yield from console.render(Panel(parts, title=Text(title), title_align="left", border_style="dim"), options)


def _going(one: Standing, spinner: Spinner) -> Iterator[RenderableType]:
    """Yield the phase that goes on, and each of its bars with its figures."""
    grid = Table.grid(padding=(0, 1), expand=True)
    grid.add_column(no_wrap=True)
    grid.add_column(ratio=1, no_wrap=True, overflow="ellipsis")
    grid.add_column(justify="right", no_wrap=True)
    what = DOING.get(one.phase, one.phase) if one.phase is not None else "between two phases"
    if one.stopped:
        grid.add_row("■", Text(f"stopped while {what}" if one.phase is not None else "ended"), clock(one.elapsed))
        yield grid
        return
    grid.add_row(spinner, Text(what, style="bold"), clock(one.elapsed))
    yield grid
    for bar in one.bars:
        yield from _bar(bar)


def _bar(bar: Progress) -> Iterator[RenderableType]:
    for task in bar.tasks:
        row = Table.grid(padding=(0, 1), expand=True)
        row.add_column(no_wrap=True, overflow="ellipsis", ratio=2)
        row.add_column(ratio=1)
        row.add_column(justify="right", no_wrap=True)
        of = f"{task.completed:.0f}/{task.total:.0f}" if task.total is not None else ""
        rest = f", {clock(task.time_remaining)} left" if task.time_remaining and task.total is not None else ""
        row.add_row(
            Text("  " + task.description),
            ProgressBar(total=task.total, completed=task.completed, pulse=task.total is None),
            Text(of + rest),
        )
        yield row
        if figures := str(task.fields.get("figures", "")):
            yield Text("  " + figures, style="dim", no_wrap=True, overflow="ellipsis")


def _marks(one: Standing) -> Text:
    line = Text()
    for phase, state in one.marks():
        sign, style = MARKS[state]
        line.append(f"{sign}{phase} ", style)
    return line


def _generations(one: Standing, room: int) -> Table:
    """Return the latest generations, the one that goes on among them."""
    shown = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="dim")
    shown.add_column("gen", no_wrap=True, justify="right", min_width=len(str(one.number)))
    for name in ("in training", "held out, in force", "candidate", "items", "decision"):
        shown.add_column(name, no_wrap=True, justify="right" if name == "items" else "left")
    for record in one.records[-room:]:
        shown.add_row(*_row(record))
    if not one.records:
        shown.add_row("-", *[""] * 5)
    return shown


def _row(record: Generation) -> list[RenderableType]:
    gated: dict[str, Any] = record.figures.get("gate", {})
    played: dict[str, Any] = record.played
    train = came_to(played)
    if played.get("interval") and played["attempts"] and "solved" in played:
        train = rate({**played, "games": played["attempts"]})
    decision = record.decision or ""
    return [
        str(record.number),
        train,
        rate(gated["incumbent"]) if gated else "",
        rate(gated["candidate"]) if gated else "",
        items(record),
        Text(decision.replace("_", " "), style=DECIDED.get(decision, "")),
    ]


def _figures(one: Standing) -> Table:
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column()
    held = one.held_out()
    if held:
        ends = " → ".join(f"{100 * value:.0f} %" for value in (held[:1] if len(held) == 1 else (held[0], held[-1])))
        grid.add_row("in force", Text(f"{sparkline(held)} {ends} of held-out games"))
    grid.add_row("memory", Text(_memory(one)))
    grid.add_row("tasks", Text(_curriculum(one), overflow="ellipsis", no_wrap=True))
    judged = one.latest("verify")
    if judged.get("accuracy") is not None:
        weight = f", its word weighs {judged['weight']:.2f}" if judged.get("weight") is not None else ""
        grid.add_row("verifier", Text(f"right {100 * judged['accuracy']:.0f} % of the time{weight}"))
    used = f"{one.tokens:,} tokens, {clock(one.seconds)}"
    grid.add_row("used", Text(used + (f", {one.cost_usd:.4f} USD" if one.cost_usd else "")))
    return grid


def _memory(one: Standing) -> str:
    held = one.latest("distil")
    if not held:
        return "-"
    counts = ", ".join(f"{held[name]} {name}" for name in ("candidate", "active", "retired") if name in held)
    if held.get("q_mean") is None:
        return f"{counts}; no value known yet"
    return f"{counts}; value {held['q_mean']:+.2f} on average, spread {held['q_spread']:.2f}"


def _curriculum(one: Standing) -> str:
    asked = one.latest("propose")
    if not asked:
        return "-"
    categories = asked.get("categories")
    if not isinstance(categories, dict):
        return f"{asked.get('tasks', 0)}" + (f" of {categories} categories" if categories is not None else "")
    most = sorted(categories.items(), key=lambda pair: (-pair[1], pair[0]))
    named = ", ".join(f"{name} {count}" for name, count in most[:CATEGORIES])
    return named + (f", and {len(most) - CATEGORIES} more categories" if len(most) > CATEGORIES else "")


def sparkline(values: list[float], most: int = 24) -> str:
    """Return shares in [0, 1] as blocks, the latest so many."""
    return "".join(BLOCKS[min(7, max(0, int(value * 8)))] for value in values[-most:])
