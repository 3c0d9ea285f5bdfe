"""Forgetting: what to retire, and why. Nothing is deleted."""

from __future__ import annotations

from typing import NamedTuple

from ..config_memory import ForgetConfig
from .ledger import Ledger
from .lineage import Lineage
from .reading import Light, Reading

DAY = 86_400.0


class Retired(NamedTuple):
    """An item that was retired."""

    id: str
    reason: str


def forget(
    reading: Reading, ledger: Ledger, config: ForgetConfig, lineage: Lineage, now: float, *, dry: bool = False
) -> list[Retired]:
    """Retire items and return which, with reasons.

    Args:
        reading: the memory's tables.
        ledger: where it is written.
        config: floor, idle time and size.
        lineage: what is visible.
        now: Unix time.
        dry: only say what would be retired.
    """
    lights = [light for light in reading.lights(lineage) if light.state.status != "retired"]
    gone = [Retired(light.id, reason) for light in lights if (reason := _reason(light, config, now))]
    if config.max_items is not None:
        left = {light.id for light in lights} - {item.id for item in gone}
        rest = sorted((light for light in lights if light.id in left), key=_worth)
        excess = len(rest) - config.max_items
        gone += [Retired(light.id, f"over {config.max_items} items") for light in rest[: max(0, excess)]]
    if not dry:
        for reason in dict.fromkeys(item.reason for item in gone):
            ledger.set_status([item.id for item in gone if item.reason == reason], "retired", reason)
    return gone


def _reason(light: Light, config: ForgetConfig, now: float) -> str:
    state = light.state
    if state.rewards >= config.min_uses and state.laplace < config.floor:
        return f"success share {state.laplace:.2f} under {config.floor:g}"
    idle = (now - max(light.created_at, state.used_at or 0.0)) / DAY
    if config.max_idle_days is not None and idle > config.max_idle_days:
        return f"idle for more than {config.max_idle_days:g} days"
    return ""


def _worth(light: Light) -> tuple[float, float, float]:
    """Order items for the size cap: least value first, then least used lately."""
    return light.state.q_value, light.state.laplace, max(light.created_at, light.state.used_at or 0.0)
