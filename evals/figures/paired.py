"""Two evaluations of the same tasks, compared task by task, and what may be said of the difference."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist, fmean
from typing import Literal

from ..metrics import wilson
from .intervals import FEW, RESAMPLES, Interval, bootstrap, z_of

Word = Literal["better", "worse", "not told apart", "no verdict"]
POWER = 0.8
"""Chance to find a difference of the size seen, when the number of further tasks is worked out."""
EXACT_UP_TO = 12
"""Differing tasks up to which all signs are tried instead of drawn."""


@dataclass(frozen=True, slots=True)
class McNemar:
    """McNemar's test of paired yes-no outcomes, conditional on the discordant pairs."""

    only_first: int
    """Tasks that only the first solved."""
    only_second: int
    """Tasks that only the second solved."""
    exact: float
    """Two-sided exact p; conservative."""
    mid_p: float
    """Two-sided mid-p, which keeps its level and finds more (Fagerland, Lydersen and Laake 2013)."""


def mcnemar(only_first: int, only_second: int) -> McNemar:
    """Return McNemar's exact and mid-p test (McNemar 1947; mid-p as in Fagerland et al. 2013).

    Args:
        only_first: pairs in which only the first succeeded.
        only_second: pairs in which only the second did.
    """
    n, least = only_first + only_second, min(only_first, only_second)
    if not n:
        return McNemar(0, 0, 1.0, 1.0)
    tail = sum(math.comb(n, i) for i in range(least + 1)) / 2**n
    point = math.comb(n, least) / 2**n
    if only_first == only_second:
        return McNemar(only_first, only_second, 1.0, 1.0 - point / 2)
    return McNemar(only_first, only_second, min(1.0, 2 * tail), 2 * tail - point)


def sign_flip(differences: Sequence[float], *, resamples: int = RESAMPLES, seed: int = 0) -> float:
    """Return the two-sided p of a mean of 0 by turning the signs of whole tasks (Fisher 1935, randomisation test).

    With one yes-no outcome per task it is McNemar's exact test; it holds for scores and for several samples per task
    as well. All signs are tried for few differences, else drawn, and the drawn p counts what was seen as one more
    draw (Phipson and Smyth 2010), so it is never 0.

    Args:
        differences: second minus first, one mean per task.
        resamples: how many signs are drawn.
        seed: of the drawing.
    """
    moved = [abs(gap) for gap in differences if gap]
    # 1e-9: sums of the same numbers in another order are the same.
    seen = abs(math.fsum(differences)) - 1e-9 * max(1.0, math.fsum(moved))
    if len(moved) <= EXACT_UP_TO:
        sums = [abs(sum(signed)) for signed in itertools.product(*((gap, -gap) for gap in moved))]
        return sum(one >= seen for one in sums) / len(sums)
    draw, whole = random.Random(f"signs/{seed}"), sum(moved)
    coins, hits = bytes(i & 1 for i in range(256)), 0
    for _ in range(resamples):
        turned = sum(itertools.compress(moved, draw.randbytes(len(moved)).translate(coins)))
        hits += abs(whole - 2 * turned) >= seen
    return (hits + 1) / (resamples + 1)


def difference(
    differences: Sequence[float], *, level: float = 0.95, resamples: int = RESAMPLES, seed: int = 0
) -> Interval:
    """Return the paired bootstrap interval of the mean difference; tasks are drawn with all their samples.

    Where every task differs by the same, the bootstrap would have no width. Then the share of tasks that could
    differ otherwise is bounded by Wilson's interval of none out of n, and the mean by what such tasks could add.
    Where fewer than fifteen tasks differ at all, it would be too narrow: then it is Bonett and Price 2012 (Journal of
    Educational and Behavioral Statistics 37, 479-488), the normal interval with one task won and one lost added,
    which holds for any values in [-1, 1].

    Args:
        differences: second minus first, one mean per task. Beyond [-1, 1] it is always the bootstrap.
        level: coverage aimed at.
        resamples: how many bootstrap samples are drawn.
        seed: of the resampling.
    """
    n = len(differences)
    if not n or max(map(abs, differences)) > 1 + 1e-9:
        return bootstrap(differences, level=level, resamples=resamples, seed=seed)
    if min(differences) == max(differences):
        same = differences[0]
        reach = (1 + abs(same)) * wilson(0, n, z_of(level))[1]
        return Interval(same, max(-1.0, same - reach), min(1.0, same + reach), n, "wilson")
    if sum(gap != 0 for gap in differences) < FEW:
        return _bonett_price(differences, level)
    return bootstrap(differences, level=level, resamples=resamples, seed=seed)


def _bonett_price(differences: Sequence[float], level: float) -> Interval:
    n, seen = len(differences), fmean(differences)
    mean, square = sum(differences) / (n + 2), (sum(gap * gap for gap in differences) + 2) / (n + 2)
    reach = z_of(level) * math.sqrt((square - mean * mean) / (n + 2))
    low, high = min(seen, mean - reach), max(seen, mean + reach)
    return Interval(seen, max(-1.0, low), min(1.0, high), n, "bonett-price")


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p-values adjusted for their number, in the order given (Holm 1979, step-down, made monotone)."""
    order = sorted(range(len(p_values)), key=lambda i: p_values[i])
    adjusted, most = [0.0] * len(p_values), 0.0
    for rank, i in enumerate(order):
        most = max(most, min(1.0, p_values[i] * (len(p_values) - rank)))
        adjusted[i] = most
    return adjusted


def tasks_needed(differences: Sequence[float], *, alpha: float = 0.05, power: float = POWER) -> int | None:
    """Return how many tasks would be needed, were the difference as large as it seems; None where it is 0.

    Connor 1987 (Biometrics 43, 207-211; after Miettinen 1968) for paired proportions: with d the mean and q the mean
    square of the differences, n = ((z_alpha/2 sqrt(q) + z_power sqrt(q - d^2)) / d)^2. For yes-no outcomes q is the
    share of discordant pairs; for scores it is the same normal approximation. However clear the difference, a test by
    signs finds nothing before 2 / 2^m is at most alpha, so there are never fewer tasks than m of them that differ.

    Args:
        differences: second minus first, one mean per task.
        alpha: two-sided level of the test.
        power: chance to find the difference.
    """
    if not differences:
        return None
    mean, square = fmean(differences), fmean(gap * gap for gap in differences)
    if abs(mean) < 1e-12:
        return None
    reach = z_of(1 - alpha) * math.sqrt(square) + NormalDist().inv_cdf(power) * math.sqrt(max(0.0, square - mean**2))
    least = math.ceil(1 - math.log2(alpha)) * len(differences) / sum(gap != 0 for gap in differences)
    return math.ceil(max((reach / mean) ** 2, least))


def word(value: float, adjusted: float, alpha: float) -> Word:
    """Return what may be said of a difference."""
    if adjusted > alpha or not value:
        return "not told apart"
    return "better" if value > 0 else "worse"
