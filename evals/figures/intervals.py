"""Intervals for means over tasks. Tasks are what is drawn; samples of one task belong together.

Plain Python with its own generator, so that a seed gives the same interval on every machine, with numpy or without.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from statistics import NormalDist, fmean
from typing import Literal

from ..metrics import wilson

Method = Literal["bca", "percentile"]
RESAMPLES = 10_000
FEW = 15
"""Tasks below which a bootstrap of values in [0, 1] is too narrow to be given; of differences, tasks that differ."""


@dataclass(frozen=True, slots=True)
class Interval:
    """A figure with the interval it lies in."""

    value: float
    low: float
    high: float
    n: int
    """How many tasks it rests on."""
    method: Literal["bca", "percentile", "wilson", "bonett-price", "none"] = "none"

    def as_dict(self) -> dict[str, object]:
        """Return it as JSON-serialisable values; not-a-number becomes null when it is printed."""
        return asdict(self)


def z_of(level: float) -> float:
    """Return the normal quantile of a two-sided interval, 1.96 for 0.95."""
    return NormalDist().inv_cdf(0.5 + level / 2)


def quantile(ordered: Sequence[float], share: float) -> float:
    """Return a quantile of sorted values, by linear interpolation (Hyndman and Fan 1996, definition 7).

    Args:
        ordered: the values, smallest first; NaN for none.
        share: in [0, 1].
    """
    if not ordered:
        return math.nan
    place = share * (len(ordered) - 1)
    below = min(int(place), len(ordered) - 1)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (place - below) * (ordered[above] - ordered[below])


def resampled_means(values: Sequence[float], resamples: int, seed: int) -> list[float]:
    """Return the means of bootstrap samples (Efron 1979), smallest first."""
    draw, n = random.Random(f"bootstrap/{seed}"), len(values)
    return sorted(sum(draw.choices(values, k=n)) / n for _ in range(resamples))


def bootstrap(
    values: Sequence[float],
    *,
    level: float = 0.95,
    resamples: int = RESAMPLES,
    seed: int = 0,
    method: Method = "bca",
) -> Interval:
    """Return the bootstrap interval of a mean.

    BCa is Efron 1987 (also Efron and Tibshirani 1993, eq. 14.9 to 14.15): percentiles corrected for bias, and for
    skewness by the jackknife. Values that do not vary have an interval of no width: they say nothing of what was
    not seen, see `share_interval`.

    Args:
        values: one per task.
        level: coverage aimed at.
        resamples: how many bootstrap samples are drawn.
        seed: of the resampling.
        method: `bca` or `percentile`.
    """
    n = len(values)
    if not n:
        return Interval(math.nan, math.nan, math.nan, 0)
    mean = fmean(values)
    if min(values) == max(values):
        return Interval(mean, mean, mean, n, method)
    means = resampled_means(values, resamples, seed)
    ends = ((1 - level) / 2, (1 + level) / 2)
    if method == "bca":
        ends = _corrected(means, values, mean, ends)
    return Interval(mean, quantile(means, ends[0]), quantile(means, ends[1]), n, method)


def clustered(
    groups: Sequence[Sequence[float]],
    *,
    level: float = 0.95,
    resamples: int = RESAMPLES,
    seed: int = 0,
    method: Method = "bca",
) -> Interval:
    """Return the interval of a mean over tasks with several samples each.

    Whole tasks are drawn, with all their samples (Davison and Hinkley 1997, section 3.8, strategy 1): what varies
    within a task is in its mean already. Every task weighs the same, however many samples it has.

    Args:
        groups: the values of each task; tasks without any are left out.
        level: coverage aimed at.
        resamples: how many bootstrap samples are drawn.
        seed: of the resampling.
        method: `bca` or `percentile`.
    """
    means = [fmean(group) for group in groups if group]
    return bootstrap(means, level=level, resamples=resamples, seed=seed, method=method)


def share_interval(
    groups: Sequence[Sequence[float]], *, level: float = 0.95, resamples: int = RESAMPLES, seed: int = 0
) -> Interval:
    """Return the interval of the mean of values in [0, 1], such as success or score.

    One outcome of 0 or 1 per task has the Wilson interval; everything else the clustered bootstrap. Where there are
    fewer than fifteen tasks, or all have the same mean, the bootstrap would be too narrow, and Wilson's interval over
    the tasks is given instead: no values in [0, 1] vary more than outcomes of 0 and 1 with the same mean.

    Args:
        groups: the values of each task; tasks without any are left out.
        level: coverage aimed at.
        resamples: how many bootstrap samples are drawn, where they are.
        seed: of the resampling.
    """
    groups = [group for group in groups if group]
    means = [fmean(group) for group in groups]
    if not means:
        return Interval(math.nan, 0.0, 1.0, 0)
    single = all(len(group) == 1 and group[0] in (0.0, 1.0) for group in groups)
    if single or len(means) < FEW or min(means) == max(means):
        low, high = wilson(sum(means), len(means), z_of(level))
        return Interval(fmean(means), low, high, len(means), "wilson")
    return bootstrap(means, level=level, resamples=resamples, seed=seed)


def credit_interval(
    groups: Sequence[Sequence[float]], *, level: float = 0.95, resamples: int = RESAMPLES, seed: int = 0
) -> Interval:
    """Return the interval of a mean score: `share_interval` for scores in [0, 1], `clustered` beyond."""
    inside = all(0.0 <= value <= 1.0 for group in groups for value in group)
    return (share_interval if inside else clustered)(groups, level=level, resamples=resamples, seed=seed)


def _corrected(
    means: Sequence[float], values: Sequence[float], mean: float, ends: tuple[float, float]
) -> tuple[float, float]:
    """Return the percentiles that BCa takes instead of `ends`."""
    normal = NormalDist()
    # The same mean, summed in another order, is a tie.
    close = 1e-9 * max(abs(means[0]), abs(means[-1]))
    below = sum(one < mean - close for one in means)
    ties = sum(abs(one - mean) <= close for one in means)
    share = (below + ties / 2) / len(means)
    if not 0 < share < 1:
        return ends
    bias = normal.inv_cdf(share)
    gaps = [value - mean for value in values]
    # The jackknife of a mean: leaving out value i moves it by (mean - value i) / (n - 1).
    skew = sum(gap**3 for gap in gaps) / (6 * sum(gap * gap for gap in gaps) ** 1.5)

    def moved(end: float) -> float:
        z = bias + normal.inv_cdf(end)
        return normal.cdf(bias + z / (1 - skew * z))

    return moved(ends[0]), moved(ends[1])
