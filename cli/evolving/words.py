"""What a generation came to, in words and as rows of a table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from ...agent.evolution.generation import OVERTAKEN, Generation

WIDEST = 1000
"""Columns of a terminal, more than any table needs."""


def said(now: Generation) -> str:
    """Return what became of a generation in a line."""
    parts = [f"generation {now.number}"]
    collected = now.played
    if collected.get("attempts"):
        how = next((name for name in ("solved", "accepted") if name in collected), None)
        told = f"{collected[how]} of {collected['attempts']} {how}" if how else f"{collected['attempts']} attempts"
        parts.append(f"{told} in training")
    if students := [student for phase in ("collect", "verify") for student in gains(now.figures.get(phase, {}))]:
        parts.append(f"students {' '.join(students)} points")
    if now.figures.get("distil"):
        parts.append(f"{items(now)} items")
    trained = now.figures.get("train", {})
    if "adapter" in trained:
        parts.append(f"trained on {trained['rows']} rows")
    gated: dict[str, Any] = now.figures.get("gate", {})
    if gated:
        sides = (gated["incumbent"], gated["candidate"])
        parts.append("held out " + " against ".join(rate(side) for side in reversed(sides)))
        parts.append(str(now.figures.get("settle", {}).get(OVERTAKEN) or gated["said"]).rstrip("."))
    elif now.decision is not None:
        parts.append(now.decision)
    return ", ".join(parts)


def gains(phase: dict[str, Any]) -> list[str]:
    """Return the progress of each student in points, as far as a phase has measured them."""
    sets = phase.get("students", {}).get("sets", [])
    return ["?" if one["progress"] is None else f"{100 * one['progress']:+.0f}" for one in sets]


def rate(side: dict[str, Any]) -> str:
    """Return a success rate with its interval."""
    low, high = side["interval"]
    return f"{side['solved']}/{side['games']} [{100 * low:.0f}, {100 * high:.0f}]"


def came_to(collected: dict[str, Any]) -> str:
    """Return what came of the attempts of a generation: how many were solved, or accepted where truth is withheld."""
    if not collected:
        return ""
    if "solved" in collected:
        return f"{collected['solved']}/{collected['attempts']}"
    accepted = collected.get("accepted", "?")  # until all that is compared has been judged
    return f"{accepted}/{collected['attempts']} accepted"


def items(now: Generation) -> str:
    """Return how many items a generation's memory recalls from, or nothing where it was not told."""
    held: dict[str, Any] = now.figures.get("distil", {})
    return str(held.get("candidate", 0) + held.get("active", 0)) if held else ""


def alarms(now: Generation) -> list[str]:
    """Return the alarms that rang with a generation, each as a sentence."""
    found: list[dict[str, Any]] = now.figures.get("settle", {}).get("alarms", [])  # type: ignore[assignment]
    return [f"alarm, {one['name']}: {one['sentence']}" for one in found]


def table(records: Sequence[Generation], *, narrow: bool = False) -> Table:
    """Return the generations as a table; `narrow` fits 80 columns and leaves out what `lamarck release ls` tells."""
    names = ("generation", "parent", "candidate", "played", "items", "adapter", "held out", "before", "decision", "s")
    kept = [name for name in names if not (narrow and name in ("parent", "adapter", "s"))]
    shown = Table(*kept)
    if narrow:
        shown = Table("gen", *kept[1:], box=SIMPLE_HEAD, padding=(0, 1, 0, 0), show_edge=False)
    for one in records:
        gated: dict[str, Any] = one.figures.get("gate", {})
        collected = one.played
        cells = (
            str(one.number),
            one.parent[:8],
            one.candidate[:8] if one.candidate is not None and one.candidate != one.parent else "",
            came_to(collected),
            items(one),
            str(one.figures.get("train", {}).get("adapter", ""))[:8],
            rate(gated["candidate"]) if gated else "",
            rate(gated["incumbent"]) if gated else "",
            one.decision or "goes on",
            f"{sum(one.seconds.values()):.0f}",
        )
        shown.add_row(*(cell for name, cell in zip(names, cells, strict=True) if name in kept))
    return shown


def fitting(records: Sequence[Generation], out: Console) -> Table:
    """Return that table, without some of its columns where the terminal is too narrow for all of them."""
    whole = table(records)
    needed = out.measure(whole, options=out.options.update(max_width=WIDEST)).maximum
    return whole if needed <= out.width else table(records, narrow=True)


def clock(seconds: float) -> str:
    """Return a duration in hours and minutes, or in seconds where it is short."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60:02d} min"
