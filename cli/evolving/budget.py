"""What an evolution may use up, over all its generations."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ...agent.evolution.generation import Generation
from ...config_evolve import BudgetConfig


class Budget:
    """Says when enough has been spent; looked at between generations.

    Args:
        config: the limits.
        records: gives the generations there are.
    """

    def __init__(self, config: BudgetConfig, records: Callable[[], Sequence[Generation]]) -> None:
        self._config, self._records = config, records

    def spent(self) -> bool:
        """Say whether a limit has been reached."""
        limits = (self._config.max_hours, self._config.max_tokens, self._config.max_cost_usd)
        used = (self._hours(), self._sum("tokens"), self._sum("cost_usd"))
        return any(limit is not None and had >= limit for limit, had in zip(limits, used, strict=True))

    def _hours(self) -> float:
        return sum(sum(one.seconds.values()) for one in self._records()) / 3600

    def _sum(self, name: str) -> float:
        total = 0.0
        for one in self._records():
            for phase in ("collect", "gate", "distil"):
                value = one.figures.get(phase, {}).get(name, 0)
                total += value if isinstance(value, int | float) else 0
        return total
