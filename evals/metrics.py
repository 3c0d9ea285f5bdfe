"""Figures over episodes, with the intervals they need to be believed."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from ..core import Trajectory, Usage, content_id

Z95 = 1.959963984540054
"""The 97.5 % quantile of the normal distribution."""


@dataclass(frozen=True)
class Rate:
    """A share of `n`, with its 95 % Wilson interval."""

    successes: int
    n: int

    @property
    def value(self) -> float:
        """The share itself; NaN for nothing out of nothing."""
        return self.successes / self.n if self.n else math.nan

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % interval as (low, high)."""
        return wilson(self.successes, self.n)


def wilson(successes: float, n: int, z: float = Z95) -> tuple[float, float]:
    """Return the Wilson score interval of a binomial proportion (Wilson 1927, without continuity correction).

    Args:
        successes: how many of them succeeded; may be broken, as a sum of means is.
        n: how many there were; for 0 the interval is (0, 1).
        z: normal quantile, 1.96 for 95 %.
    """
    if not n:
        return 0.0, 1.0
    p = successes / n
    centre = p + z * z / (2 * n)
    half = z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    scale = 1 + z * z / n
    return max(0.0, (centre - half) / scale), min(1.0, (centre + half) / scale)


@dataclass
class Tally:
    """What a set of episodes adds up to. Episodes that infrastructure killed are counted apart."""

    episodes: int = 0
    successes: int = 0
    unknown: int = 0
    """Episodes whose environment never said whether they succeeded."""
    failed: int = 0
    steps: int = 0
    tool_calls: int = 0
    tool_errors: int = 0
    """Tool calls that the model was told had failed."""
    tool_seconds: float = 0.0
    success_steps: int = 0
    score: float = 0.0
    seconds: float = 0.0
    usage: Usage = field(default_factory=Usage)
    validity: Counter[str] = field(default_factory=Counter)
    stops: Counter[str] = field(default_factory=Counter)
    grammars: Counter[str] = field(default_factory=Counter)

    def add(self, trajectory: Trajectory) -> None:
        """Count one trajectory."""
        self.usage = self.usage + trajectory.usage
        if trajectory.failure is not None:
            self.failed += 1
            return
        self.episodes += 1
        self.steps += len(trajectory.steps)
        self.seconds += trajectory.seconds
        self.stops[trajectory.stop] += 1
        self.validity.update(step.validity for step in trajectory.steps)
        for call in (call for step in trajectory.steps for call in step.tool_calls):
            self.tool_calls += 1
            self.tool_errors += call.error is not None
            self.tool_seconds += call.seconds
        if trajectory.success is None:
            self.unknown += 1
        elif trajectory.success:
            self.successes += 1
            self.success_steps += len(trajectory.steps)
        self.score += trajectory.score if trajectory.score is not None else float(bool(trajectory.success))
        grammar = trajectory.task.options.get("grammar")
        if trajectory.steps:
            grammar = trajectory.steps[0].info.get("grammar", grammar)
        if isinstance(grammar, str):
            self.grammars[grammar] += 1

    @property
    def success(self) -> Rate:
        """Success rate over the episodes whose outcome is known."""
        return Rate(self.successes, self.episodes - self.unknown)

    @property
    def mean_score(self) -> float:
        """Mean partial credit in [0, 1]; NaN without episodes."""
        return self.score / self.episodes if self.episodes else math.nan

    @property
    def mean_steps(self) -> float:
        """Mean steps per episode; NaN without episodes."""
        return self.steps / self.episodes if self.episodes else math.nan

    def invalid(self) -> dict[str, float]:
        """Return the share of all steps that fell into each kind of invalidity."""
        total = sum(self.validity.values())
        kinds = ("unparseable", "not_admissible", "no_effect")
        return {kind: self.validity[kind] / total if total else 0.0 for kind in kinds}

    def as_dict(self) -> dict[str, object]:
        """Return everything as JSON-serialisable values."""
        low, high = self.success.interval
        return {
            "episodes": self.episodes,
            "successes": self.successes,
            "success_rate": None if math.isnan(self.success.value) else self.success.value,
            "success_low": low,
            "success_high": high,
            "unknown": self.unknown,
            "infrastructure_failures": self.failed,
            "mean_score": None if math.isnan(self.mean_score) else self.mean_score,
            "mean_steps": None if math.isnan(self.mean_steps) else self.mean_steps,
            "steps": self.steps,
            "seconds": self.seconds,
            "usage": self.usage.model_dump(),
            "invalid": self.invalid(),
            "stops": dict(self.stops),
            "tool_calls": self.tool_calls,
            "tool_errors": self.tool_errors,
            "tool_seconds": self.tool_seconds,
            "grammars": dict(self.grammars),
        }


def tally(trajectories: Iterable[Trajectory]) -> tuple[Tally, dict[str, Tally]]:
    """Return the figures over all trajectories, and per category in alphabetical order."""
    total: Tally = Tally()
    parts: dict[str, Tally] = {}
    for trajectory in trajectories:
        total.add(trajectory)
        parts.setdefault(trajectory.task.category or "(none)", Tally()).add(trajectory)
    return total, dict(sorted(parts.items()))


def split_hash(task_ids: Sequence[str]) -> str:
    """Return 12 hex digits that name a set of tasks, whatever their order."""
    return content_id(sorted(task_ids))[:12]
