"""What an evolution may use up, over all its generations."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from ...agent.evolution.generation import Generation
from ...config_evolve import BudgetConfig

PLAYED = ("propose", "collect", "verify", "gate", "distil")
"""Phases that ask models. What is judged while a generation plays is in the tokens of `collect`; `verify` has those of
what is judged after it."""


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
        records = self._records()
        hours = sum(sum(one.seconds.values()) for one in records) / 3600
        used = (hours, sum(spent(one, "tokens") for one in records), sum(spent(one, "cost_usd") for one in records))
        return any(limit is not None and had >= limit for limit, had in zip(limits, used, strict=True))


def spent(record: Generation, name: str, phases: Iterable[str] = PLAYED) -> float:
    """Return what models have used up in a generation: `tokens` or `cost_usd`; what training reads is none of it."""
    values = [record.figures.get(phase, {}).get(name, 0) for phase in phases]
    return float(sum(value for value in values if isinstance(value, int | float)))
