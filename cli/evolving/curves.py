"""The curves of an evolution for TensorBoard: every figure that a generation's record holds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ...agent.evolution.generation import Generation


def curve(now: Generation, logs: Path) -> None:
    """Write the figures of a generation where TensorBoard finds them; nothing where it is not installed."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return
    logs.mkdir(parents=True, exist_ok=True)
    writer = SummaryWriter(str(logs))
    for name, value in scalars(now).items():
        writer.add_scalar(name, value, now.number)
    writer.close()


def scalars(now: Generation) -> dict[str, float]:
    """Return the numbers of a record by name: `phase/figure`, `seconds/phase`, whether it was promoted, alarms."""
    found = {f"{phase}/{name}": value for phase, part in now.figures.items() for name, value in flat(part).items()}
    found |= {f"seconds/{phase}": seconds for phase, seconds in now.seconds.items()}
    alarms = now.figures.get("settle", {}).get("alarms")
    if isinstance(alarms, list):
        found["settle/alarms"] = float(len(alarms))
    if now.decision is not None:
        found["settle/promoted"] = float(now.decision == "promote")
    return found


def flat(figures: dict[str, Any], prefix: str = "") -> dict[str, float]:
    """Return the numbers of a record by path; a side of the gate as its success rate, an interval as its ends."""
    found: dict[str, float] = {}
    for name, value in figures.items():
        if isinstance(value, dict):
            found |= flat(value, f"{prefix}{name}/")
        elif isinstance(value, int | float):
            found[prefix + name] = float(value)
        elif name == "interval" and isinstance(value, list | tuple) and len(value) == 2:
            found[f"{prefix}success_low"], found[f"{prefix}success_high"] = map(float, value)
    if found.get(f"{prefix}games") and f"{prefix}solved" in found:
        found[f"{prefix}success"] = found[f"{prefix}solved"] / found[f"{prefix}games"]
    return found
