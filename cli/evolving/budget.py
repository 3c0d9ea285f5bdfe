"""What an evolution may use up, over all its generations, and what a phase of one generation may."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from ...agent.events import Event
from ...agent.evolution.generation import Figures, Generation
from ...config_evolve import BudgetConfig, PhaseBudget, TimeBudget
from ...core import Trajectory, Usage

PLAYED = ("propose", "collect", "verify", "gate", "distil")
"""Phases that ask models. What is judged while a generation plays is in the tokens of `collect`; `verify` has those of
what is judged after it."""


class Budget:
    """Says when enough has been spent; looked at between generations, and when an evolution is gone on with.

    Args:
        config: the limits.
        records: gives the generations there are.
        unended: the seconds of a phase of a generation that has not ended, and is in no record.
    """

    def __init__(
        self,
        config: BudgetConfig,
        records: Callable[[], Sequence[Generation]],
        unended: Callable[[Generation], float] = lambda one: 0.0,
    ) -> None:
        self._config, self._records, self._unended = config, records, unended

    def spent(self) -> bool:
        """Say whether a limit has been reached."""
        limits = (self._config.max_hours, self._config.max_tokens, self._config.max_cost_usd)
        records = self._records()
        hours = sum(sum(one.seconds.values()) + self._unended(one) for one in records) / 3600
        used = (hours, sum(spent(one, "tokens") for one in records), sum(spent(one, "cost_usd") for one in records))
        return any(limit is not None and had >= limit for limit, had in zip(limits, used, strict=True))


def spent(record: Generation, name: str, phases: Iterable[str] = PLAYED) -> float:
    """Return what models have used up in a generation: `tokens` or `cost_usd`; what training reads is none of it."""
    values = [record.figures.get(phase, {}).get(name, 0) for phase in phases]
    return float(sum(value for value in values if isinstance(value, int | float)))


@dataclass(frozen=True)
class Allowance:
    """What a phase may use up in a generation.

    Args:
        config: the limits.
        seconds: says how long it has taken so far.
    """

    config: PhaseBudget | TimeBudget = field(default_factory=PhaseBudget)
    seconds: Callable[[], float] = lambda: 0.0

    @property
    def limited(self) -> bool:
        """Whether there is any limit."""
        return any(limit is not None for limit in self.config.model_dump().values())

    def without(self, seconds: float) -> Allowance:
        """Return the same where so many of the seconds do not count."""
        return Allowance(self.config, lambda: self.seconds() - seconds)

    def reached(self, tokens: float = 0, cost_usd: float = 0.0) -> str:
        """Return the name of the limit that is reached, by what was used and by the clock; else nothing."""
        had = {"max_tokens": tokens, "max_cost_usd": cost_usd, "max_hours": self.seconds() / 3600}
        limits = {name: getattr(self.config, name, None) for name in had}
        return next((name for name, limit in limits.items() if limit is not None and had[name] >= limit), "")


def left(out: Mapping[str, int]) -> Figures:
    """Return how much a phase has left out by which limit, for its figures; nothing where it has done all."""
    return {"budget": {limit: count for limit, count in out.items() if count}} if any(out.values()) else {}


class Meter:
    """Counts what the episodes of a run take, and says when no further one is to be begun.

    One that has begun comes to its end; where none has ended yet, there is not enough whatever the limit.

    Args:
        allowed: the limits.
        before: attempts that earlier processes have played for the run.
    """

    def __init__(self, allowed: Allowance, before: Iterable[Trajectory] = ()) -> None:
        self._allowed, self._ended, self._used = allowed, False, Usage()
        for one in before:
            self._count(one)

    def heard(self, event: Event) -> None:
        """Take note of an event of the run."""
        if event.trajectory is not None:
            self._count(event.trajectory)

    def reached(self) -> str:
        """Return the name of the limit that is reached, else nothing."""
        return self._allowed.reached(self._used.tokens, self._used.cost_usd) if self._ended else ""

    def enough(self) -> bool:
        """Say whether a limit is reached."""
        return bool(self.reached())

    def _count(self, attempt: Trajectory) -> None:
        self._ended, self._used = True, self._used + attempt.usage
