"""The arithmetic of worth: values, their uncertainty, running means, and how two scores become one. Pure functions."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from typing import NamedTuple

CLIP = 3.0
"""Z-scores are cut here, as MemRL does: one outlier shall not decide alone."""


def moved(q: float, target: float, alpha: float) -> float:
    """Return Q + alpha * (target - Q): the update of MemRL (arXiv 2601.03192), a constant-step mean.

    Its error decays by (1 - alpha) an update and its variance tends to alpha / (2 - alpha) times that of the target.
    """
    return q + alpha * (target - q)


def spread(variance: float, delta: float, alpha: float) -> float:
    """Return the exponentially weighted variance after a deviation of `delta` from the mean before it.

    V <- (1 - alpha) * (V + alpha * delta^2), the incremental form of Finch (2009), "Incremental calculation of
    weighted mean and variance".
    """
    return (1.0 - alpha) * (variance + alpha * delta * delta)


def uncertainty(variance: float, count: int, alpha: float) -> float:
    """Return the standard deviation of a constant-step mean after `count` updates.

    sqrt(V * max(alpha / (2 - alpha), 1 / (count + 1))): like that of a plain mean at first, then the level below
    which a constant step never comes. The form is Lamarck's own; the limit is that of `moved`.
    """
    return math.sqrt(max(variance, 0.0) * max(alpha / (2.0 - alpha), 1.0 / (count + 1)))


def variance_of(uncertain: float, count: int, alpha: float) -> float:
    """Return the variance from which `uncertainty` makes this deviation."""
    return uncertain * uncertain / max(alpha / (2.0 - alpha), 1.0 / (count + 1))


def laplace(successes: int, uses: int) -> float:
    """Return (successes + 1) / (uses + 2): the rule of succession, EvolveR's score of a principle (2510.16079)."""
    return (successes + 1) / (uses + 2)


def effect(with_sum: float, with_count: int, without_sum: float, without_count: int, *, prior: float) -> float:
    """Return what an item adds to the reward: mean with it minus mean without it.

    Both means are drawn towards 0 difference by `prior` imagined episodes on each side that got the mean of all.
    An unbiased comparison, since lots decide which episodes go without, if the episodes with it are those that lack
    nothing else either. Lamarck's own; 2606.08755 compares matched rollout groups in the same spirit.
    """
    count = with_count + without_count
    if not count:
        return 0.0
    pooled = prior * (with_sum + without_sum) / count
    with_mean = (with_sum + pooled) / (with_count + prior) if with_count + prior else 0.0
    without_mean = (without_sum + pooled) / (without_count + prior) if without_count + prior else 0.0
    return with_mean - without_mean


class Running(NamedTuple):
    """Size, mean and population variance of a stream."""

    size: int = 0
    mean: float = 0.0
    variance: float = 0.0

    @property
    def deviation(self) -> float:
        """Population standard deviation."""
        return math.sqrt(max(self.variance, 0.0))

    def add(self, values: Sequence[float]) -> Running:
        """Return the statistics with more values."""
        if not values:
            return self
        mean = math.fsum(values) / len(values)
        variance = math.fsum((value - mean) ** 2 for value in values) / len(values)
        return self.merge(Running(len(values), mean, variance))

    def merge(self, other: Running) -> Running:
        """Return the statistics of both streams together (Chan, Golub and LeVeque, 1979)."""
        count = self.size + other.size
        if not count:
            return self
        delta = other.mean - self.mean
        mean = self.mean + delta * other.size / count
        squares = self.variance * self.size + other.variance * other.size
        squares += delta * delta * self.size * other.size / count
        return Running(count, mean, squares / count)


def z_scores(values: Sequence[float], mean: float, deviation: float, *, floor: float) -> list[float]:
    """Return (value - mean) / deviation, clipped to +-3.

    Args:
        values: what is scored.
        mean: subtracted from each.
        deviation: divides each, but not below `floor`: else a pool of all but equal values is blown up to +-3.
        floor: smallest deviation that still means something.
    """
    scale = max(deviation, floor)
    return [max(-CLIP, min(CLIP, (value - mean) / scale)) for value in values]


def mixed(similarity: Sequence[float], worth: Sequence[float], weight: float) -> list[float]:
    """Return (1 - weight) * z(similarity) + weight * z(Q) for z-scores that are given (MemRL, phase B)."""
    return [(1.0 - weight) * s + weight * q for s, q in zip(similarity, worth, strict=True)]


def upper_bound(q: float, uncertain: float, width: float) -> float:
    """Return Q + width * uncertainty: optimism in the face of uncertainty (UCB)."""
    return q + width * uncertain


def thompson(q: float, uncertain: float, generator: random.Random) -> float:
    """Return a draw from a normal distribution around Q: Thompson sampling with a Gaussian posterior."""
    return generator.gauss(q, uncertain)
