"""Claims that must be shown: that a mean difference is above a bound, at a level, at any look."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from statistics import fmean

from pydantic import JsonValue

from ...config_gate import GateConfig
from .evidence import Gaps, rounds
from .wealth import further_tasks, interval, log_wealth

LEVEL = 0.95
"""Of the intervals that are shown."""


@dataclass(frozen=True, slots=True)
class Claim:
    """What the evidence says on "the mean difference is above a bound"."""

    bound: float
    alpha: float
    tasks: int
    samples: int
    """Pairs that the last round counts."""
    rounds: int
    value: float
    low: float
    high: float
    """Interval of the mean, valid at every look."""
    log_e: float
    """Natural logarithm of the e-value against "it is at most the bound"."""
    further_seen: int | None
    """Further tasks, were the difference as it seems; None where it never would be shown."""
    further_least: int | None
    """Further tasks, were it the smallest that matters."""

    @property
    def shown(self) -> bool:
        """Whether the evidence has reached 1 / alpha."""
        return self.log_e >= -math.log(self.alpha)

    def further(self, least: float) -> int | None:
        """Return the further tasks at the difference seen, or at the least that matters where that is larger."""
        return self.further_seen if self.value >= least else self.further_least

    def figures(self) -> dict[str, JsonValue]:
        """Return it as JSON-serialisable values; evidence beyond what a float holds is cut."""
        return {
            "difference": _rounded(self.value),
            "low": _rounded(self.low),
            "high": _rounded(self.high),
            "bound": self.bound,
            "tasks": self.tasks,
            "samples": self.samples,
            "rounds": self.rounds,
            "e": _rounded(math.exp(min(self.log_e, 700.0))),
            "e_needed": _rounded(1 / self.alpha),
            "further_tasks_at_seen": self.further_seen,
            "further_tasks_at_least": self.further_least,
        }


def latest(gaps: Gaps, config: GateConfig) -> list[float]:
    """Return the mean difference of each task in the last round there is."""
    return rounds(gaps, config.samples, config.rounds, config.max_missing)[-1] if gaps else []


def claim(gaps: Gaps, config: GateConfig, alpha: float, *, bound: float, least: float) -> Claim:
    """Weigh the evidence that a mean difference is above a bound.

    With several rounds the e-value is the mean of the e-values of all rounds, those to come counting 0. For a fixed
    plan of rounds it is a supermartingale in the tasks and so valid at every look, however tasks and rounds follow
    each other; `interval` shares its level among the rounds.

    Args:
        gaps: differences in [-1, 1].
        config: samples, rounds, what may be missing, and power.
        alpha: level of the test.
        bound: in (-1, 1).
        least: mean for which further tasks are worked out beside the one seen.
    """
    found = rounds(gaps, config.samples, config.rounds, config.max_missing) if gaps else []
    values = found[-1] if found else []
    each = [log_wealth(one, bound) - math.log(config.rounds) for one in found]
    log_e = max(each, default=-math.inf)
    if each:
        log_e += math.log(sum(math.exp(one - log_e) for one in each))
    low, high = interval(values, 1 - (1 - LEVEL) / config.rounds)
    limit = config.samples * 2 ** (max(1, len(found)) - 1)
    made = Claim(
        bound=bound,
        alpha=alpha,
        tasks=len(values),
        samples=sum(sample < limit for task in gaps.values() for sample in task),
        rounds=len(found),
        value=fmean(values) if values else math.nan,
        low=low,
        high=high,
        log_e=log_e,
        further_seen=None,
        further_least=None,
    )
    if made.shown:
        return made
    level = alpha / config.rounds
    return replace(
        made,
        further_seen=further_tasks(values, level, bound=bound, power=config.power),
        further_least=further_tasks(values, level, bound=bound, mean=least, power=config.power),
    )


def against(gaps: Gaps, config: GateConfig, bound: float) -> float:
    """Return the logarithm of the e-value against "the mean is at least this bound", in the rounds there are."""
    found = rounds(gaps, config.samples, config.rounds, config.max_missing) if gaps else []
    each = [log_wealth([-value for value in values], -bound) for values in found]
    return max(each, default=-math.inf) - (math.log(config.rounds) if each else 0.0)


def _rounded(value: float) -> float | None:
    return float(f"{value:.6g}") if math.isfinite(value) else None
