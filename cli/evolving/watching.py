"""Watching an evolution: where it stands, in lines and in curves for TensorBoard."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from ...agent.evolution.generation import PHASES, Generation, Phase

DOING: dict[Phase, str] = {
    "propose": "choosing tasks",
    "collect": "playing",
    "credit": "crediting memory",
    "distil": "distilling",
    "train": "training",
    "build": "making a release",
    "gate": "playing held-out games for the gate",
    "settle": "settling",
}


class EvolutionWatch:
    """Tells of each phase in a line; writes a curve point per generation where TensorBoard is there.

    Args:
        generations: how many there are to be.
        logs: folder of the curves.
        quiet: tell nothing.
    """

    def __init__(self, generations: int, logs: Path, *, quiet: bool = False) -> None:
        self._console = Console(stderr=True, highlight=False, soft_wrap=True, quiet=quiet)
        self._generations, self._logs = generations, logs
        self._began = time.monotonic()
        self._ended = 0

    def __call__(self, now: Generation, begins: Phase | None) -> None:
        """Take note of a phase that begins, or (None) of one that has ended."""
        if begins is not None:
            self._console.print(f"generation {now.number} of {self._generations}: {DOING[begins]}", style="dim")
            return
        if now.ended:
            self._ended += 1
            self._console.print(said(now) + self._left(now.number), markup=False)
            alarms: list[dict[str, Any]] = now.figures.get("settle", {}).get("alarms", [])  # type: ignore[assignment]
            for alarm in alarms:
                self._console.print(f"alarm, {alarm['name']}: {alarm['sentence']}", style="red", markup=False)
            curve(now, self._logs)

    def _left(self, number: int) -> str:
        left = (self._generations - number) * (time.monotonic() - self._began) / self._ended
        return f", about {clock(left)} left" if left >= 1 else ""


def said(now: Generation) -> str:
    """Return what became of a generation in a line."""
    parts = [f"generation {now.number}"]
    collected = now.figures.get("collect", {})
    if collected.get("attempts"):
        parts.append(f"{collected['solved']} of {collected['attempts']} solved in training")
    distilled = now.figures.get("distil", {})
    if distilled:
        parts.append(f"{distilled.get('candidate', 0) + distilled.get('active', 0)} items")  # type: ignore[operator]
    trained = now.figures.get("train", {})
    if "adapter" in trained:
        parts.append(f"trained on {trained['rows']} rows")
    gated: dict[str, Any] = now.figures.get("gate", {})
    if gated:
        sides = (gated["incumbent"], gated["candidate"])
        parts.append("held out " + " against ".join(rate(side) for side in reversed(sides)))
        parts.append(str(gated["said"]).rstrip("."))
    elif now.decision is not None:
        parts.append(now.decision)
    return ", ".join(parts)


def rate(side: dict[str, Any]) -> str:
    """Return a success rate with its interval."""
    low, high = side["interval"]
    return f"{side['solved']}/{side['games']} [{100 * low:.0f}, {100 * high:.0f}]"


def table(records: Sequence[Generation]) -> Table:
    """Return the generations as a table."""
    shown = Table(
        "generation", "parent", "candidate", "played", "items", "adapter", "held out", "before", "decision", "s"
    )
    for one in records:
        gated: dict[str, Any] = one.figures.get("gate", {})
        collected, distilled = one.figures.get("collect", {}), one.figures.get("distil", {})
        shown.add_row(
            str(one.number),
            one.parent[:8],
            one.candidate[:8] if one.candidate is not None and one.candidate != one.parent else "",
            f"{collected['solved']}/{collected['attempts']}" if collected else "",
            str(distilled.get("candidate", 0) + distilled.get("active", 0)) if distilled else "",  # type: ignore[operator]
            str(one.figures.get("train", {}).get("adapter", ""))[:8],
            rate(gated["candidate"]) if gated else "",
            rate(gated["incumbent"]) if gated else "",
            one.decision or "goes on",
            f"{sum(one.seconds.values()):.0f}",
        )
    return shown


def curve(now: Generation, logs: Path) -> None:
    """Write the figures of a generation where TensorBoard finds them; nothing where it is not installed."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return
    logs.mkdir(parents=True, exist_ok=True)
    writer = SummaryWriter(str(logs))
    for phase in PHASES:
        for name, value in flat(now.figures.get(phase, {})).items():
            writer.add_scalar(f"{phase}/{name}", value, now.number)
    writer.close()


def flat(figures: dict[str, Any], prefix: str = "") -> dict[str, float]:
    """Return the numbers of a record by dotted names; a side of the gate as its success rate."""
    found: dict[str, float] = {}
    for name, value in figures.items():
        if isinstance(value, dict):
            found |= flat(value, f"{prefix}{name}/")
        elif isinstance(value, int | float):
            found[prefix + name] = float(value)
    if found.get(f"{prefix}games") and f"{prefix}solved" in found:
        found[f"{prefix}success"] = found[f"{prefix}solved"] / found[f"{prefix}games"]
    return found


def clock(seconds: float) -> str:
    """Return a duration in hours and minutes, or in seconds where it is short."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60:02d} min"
