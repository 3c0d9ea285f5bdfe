"""Training again on what an older policy did: how stale, how far off, and how much it still counts."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from ..core import Trajectory
from ..errors import TrainingError
from .rows import Row


@dataclass(frozen=True)
class Distance:
    """How far the policy in training has moved from the one that sampled a row."""

    log_ratio: float
    """Sum of log pi(token) - log mu(token) over the sampled tokens, in nats."""
    tokens: int
    """How many those are."""
    worst: float
    """Largest absolute difference at one token, in nats."""

    @property
    def mean(self) -> float:
        """Mean log-ratio per token, whose exponential is GSPO's sequence ratio."""
        return self.log_ratio / self.tokens


def distance(row: Row, now: Sequence[float]) -> Distance:
    """Compare a row's stored log-probabilities with today's.

    Args:
        row: a row with behaviour log-probabilities.
        now: log-probability of each completion token under the policy in training: (N,).

    Raises:
        TrainingError: the row has none, or the lengths differ.
    """
    if not row.on_record or len(now) != len(row.logprobs):
        raise TrainingError(
            f"a row of trajectory {row.trajectory_id} has {len(row.logprobs)} stored log-probabilities, and "
            f"{len(now)} new ones were given."
        )
    gaps = [new - old for new, old, known in zip(now, row.logprobs, row.loss_mask, strict=True) if known]
    return Distance(math.fsum(gaps), len(gaps), max(map(abs, gaps), default=0.0))


def truncated_weight(row: Distance, most: float = 2.0) -> float:
    """Return min(exp(mean log-ratio), most): the truncated importance weight of a row, per token.

    Truncation bounds the variance at the price of some bias (Ionides 2008). The geometric mean over tokens stands for
    the product, whose variance grows with length.
    """
    return _truncated(row.mean, most)


def token_weights(row: Row, now: Sequence[float], most: float = 2.0) -> tuple[float, ...]:
    """Return min(pi / mu, most) of each token, 1 where it was read: (N,).

    Args:
        row: a row with behaviour log-probabilities (mu).
        now: log-probability of each completion token under the policy in training (pi): (N,).
        most: where the ratio is cut.
    """
    return tuple(
        _truncated(new - old, most) if known else 1.0
        for new, old, known in zip(now, row.logprobs, row.loss_mask, strict=True)
    )


def _truncated(log_ratio: float, most: float) -> float:
    # A server may report -9999 for what it holds impossible, and no float holds the exponential of that distance.
    return most if log_ratio >= math.log(most) else math.exp(log_ratio)


def effective_sample_size(weights: Sequence[float]) -> float:
    """Return (sum w)^2 / sum w^2 (Kong 1992): how many equally weighted rows these are worth; 0 for none."""
    squares = math.fsum(weight * weight for weight in weights)
    return math.fsum(weights) ** 2 / squares if squares else 0.0


def recent(row: Row, age: Mapping[str, int], limit: int | None) -> bool:
    """Say whether a row's policy version is at most `limit` versions old.

    Args:
        row: any row.
        age: policy version to how many versions ago it was current; 0 is today's.
        limit: the oldest that is still used; None takes all. A version that is not in `age` is too old.
    """
    return limit is None or age.get(row.policy_version, limit + 1) <= limit


def ages(
    trajectories: Iterable[Trajectory], now: str, parents: Mapping[str, str | None] | None = None
) -> dict[str, int]:
    """Return policy version -> how many versions ago it acted; `now` is 0.

    Versions follow one another in the order in which they first acted. Where the line of adapters is known, its
    members are counted along it instead, since a line may be left and taken up again.

    Args:
        trajectories: everything stored, in any order.
        now: version of the policy in training.
        parents: version -> the one it was trained from, or None for the first.
    """
    first: dict[str, float] = {}
    for trajectory in trajectories:
        for step in trajectory.steps:
            at = step.started_at or trajectory.started_at
            first[step.policy_version] = min(at, first.get(step.policy_version, at))
    # What trains now comes last, unless it acted before others that are stored: then those are as far off.
    order = sorted(first, key=lambda version: (first[version], version))
    order += [now] if now not in first else []
    here = order.index(now)
    found = {version: abs(here - place) for place, version in enumerate(order)}
    line: list[str] = []
    version: str | None = now
    while version is not None and version not in line:
        line.append(version)
        version = (parents or {}).get(version)
    return found | {version: age for age, version in enumerate(line)}
