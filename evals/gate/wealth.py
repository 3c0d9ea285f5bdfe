"""Evidence that a mean is above a bound, which may be looked at again and again while it grows."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import lru_cache
from statistics import NormalDist, fmean

GRID = 100
"""Bets that are mixed. Any number is valid; more of them find no more."""
HALVINGS = 16
"""Steps in which the end of an interval is found, to 2 / 2^16."""
MOST = 1_000_000
"""Tasks beyond which no number of further tasks is named."""


@lru_cache(maxsize=1)
def bets() -> tuple[float, ...]:
    """Return the shares that are staked: the middles of `GRID` equal parts of [0, 1]."""
    return tuple((place + 0.5) / GRID for place in range(GRID))


def factor(value: float, bound: float, bet: float) -> float:
    """Return by how much a stake grows on one value: 1 - u + u (1 + x) / (1 + bound).

    Never negative for x in [-1, 1], and at most 1 in expectation where the mean of x is at most the bound.
    """
    return 1 - bet + bet * (1 + value) / (1 + bound)


def log_wealth(values: Sequence[float], bound: float = 0.0) -> float:
    """Return the natural logarithm of the e-value against "the mean is at most this bound".

    Of values x in [-1, 1], one per task, it is the mean over u of the product of the factors 1 - u + u (1 + x) / (1 +
    bound): what one unit of money became that was bet on the mean being higher, in equal parts on each u. That is
    Cover's universal portfolio (1991) with a uniform prior, and betting on bounded means as in Waudby-Smith and Ramdas
    2024 (JRSS B 86, 1-27; 2010.09686). If the bound is right, its expectation is at most 1 after every task, however
    many there will be, so that it ever reaches 1 / alpha has probability at most alpha (Ville 1939): one may look
    after every task, stop, and go on.

    For yes-no outcomes of pairs and bound 0, x is 1 for a win, -1 for a loss and 0 else, and the product is (2p)^wins
    (2(1-p))^losses with p = (1 + u) / 2: the likelihood ratio of McNemar's discordant pairs against 1/2, mixed over
    p > 1/2. The order does not matter.

    Args:
        values: in [-1, 1], one per task; several samples of a task are one mean, since they are not independent.
        bound: in (-1, 1).

    Raises:
        ValueError: a value lies outside of [-1, 1].
    """
    if values and max(map(abs, values)) > 1 + 1e-9:
        raise ValueError(f"evidence is gathered of values in [-1, 1], not of {max(values, key=abs)}.")
    return log_wealth_of(Counter(values), bound)


def log_wealth_of(counts: Mapping[float, int], bound: float) -> float:
    """Return the same, of values that are counted: value to how often it was seen."""
    return _log_mean_exp(_logs(counts, bound))


def _logs(counts: Mapping[float, int], bound: float) -> list[float]:
    """Return the logarithm of the wealth of each bet."""
    # A product of powers: outcomes of yes and no have three different values, however many tasks there are.
    # `factor` is written out, since this is where the time goes.
    slopes = [bet / (1 + bound) for bet in bets()]
    logs, log = [0.0] * GRID, math.log
    for value, n in counts.items():
        gained = value - bound
        logs = [so_far + n * log(1 + slope * gained) for so_far, slope in zip(logs, slopes, strict=True)]
    return logs


def _log_mean_exp(logs: Sequence[float]) -> float:
    most = max(logs)
    return most + math.log(sum([math.exp(one - most) for one in logs]) / len(logs))


def interval(values: Sequence[float], level: float = 0.95) -> tuple[float, float]:
    """Return an interval of the mean that holds at every look at once (a confidence sequence).

    It is made of the bounds that `log_wealth` does not speak against, with half of what may be wrong on each side; so
    it lies above a bound at level 1 - 2 alpha exactly where the evidence against the bound has reached 1 / alpha. It
    is wider than an interval for a number of tasks fixed beforehand.

    Args:
        values: in [-1, 1], one per task.
        level: coverage aimed at.
    """
    if not values:
        return -1.0, 1.0
    needed = math.log(2 / (1 - level))
    low = _crossing(Counter(values), needed)
    high = -_crossing(Counter(-value for value in values), needed)
    mean = fmean(values)
    return min(low, mean), max(high, mean)


def _crossing(counts: Mapping[float, int], needed: float) -> float:
    """Return the bound up to which the evidence is enough; it falls as the bound rises."""
    low, high = -1 + 1e-6, sum(value * n for value, n in counts.items()) / sum(counts.values())
    if log_wealth_of(counts, low) < needed:
        return -1.0
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if log_wealth_of(counts, middle) >= needed else (low, middle)
    return low


def further_tasks(
    values: Sequence[float],
    alpha: float,
    *,
    gathered: Sequence[float] | None = None,
    bound: float = 0.0,
    mean: float | None = None,
    power: float = 0.8,
) -> int | None:
    """Return how many further tasks it takes to show that the mean is above a bound; None where it is not in sight.

    The evidence of each bet starts from what was gathered. The logarithm of what n further tasks add to it is taken as
    normal, with mean and variance of one task's times n; the lower ends, 1 - power of the cases, are mixed, and n is
    the first at which they reach 1 / alpha. An approximation of our own: the lower ends of all bets at once err on the
    high side, and so does not counting the looks before the last, which may end it sooner.

    Args:
        values: what tasks are like, as far as seen; one per task, in [-1, 1].
        alpha: level.
        gathered: the values that the evidence so far is of, if it is not those; none of them to plan a test.
        bound: in (-1, 1).
        mean: what the mean is, if it is not as seen; wins and losses are weighed anew to have it, with as much moved.
        power: chance to find it.
    """
    weights = _weighed(values, mean)
    if sum(value * weight for value, weight in weights.items()) <= bound + 1e-12:
        return None
    held = _logs(Counter(values if gathered is None else gathered), bound)
    # How much a bet grows on one task, and how unevenly.
    grown = [(log, *_moments(weights, bound, bet)) for log, bet in zip(held, bets(), strict=True)]
    z, goal = NormalDist().inv_cdf(power), -math.log(alpha)

    def enough(n: int) -> bool:
        return _log_mean_exp([log + n * growth - z * math.sqrt(n) * spread for log, growth, spread in grown]) >= goal

    if not enough(MOST):
        return None
    low, high = 0, 1
    while not enough(high):
        low, high = high, high * 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high


def _moments(weights: Mapping[float, float], bound: float, bet: float) -> tuple[float, float]:
    logs = [(math.log(factor(value, bound, bet)), weight) for value, weight in weights.items()]
    growth = sum(log * weight for log, weight in logs)
    return growth, math.sqrt(max(0.0, sum(weight * (log - growth) ** 2 for log, weight in logs)))


def _weighed(values: Sequence[float], mean: float | None) -> dict[float, float]:
    """Return the values with their shares; one task won and one lost are added, as no sample shows all there is."""
    counts = Counter([*values, 1.0, -1.0])
    n = sum(counts.values())
    shares = {value: count / n for value, count in counts.items()}
    if mean is None:
        return shares
    won = sum(value * share for value, share in shares.items() if value > 0)
    lost = -sum(value * share for value, share in shares.items() if value < 0)
    moved = max(won + lost, abs(mean))
    up, down = (moved + mean) / 2 / won, (moved - mean) / 2 / lost
    made = {value: share * (up if value > 0 else down) for value, share in shares.items() if value}
    if sum(made.values()) > 1:
        made = {value: share / sum(made.values()) for value, share in made.items()}
    return {**made, 0.0: 1 - sum(made.values())}
