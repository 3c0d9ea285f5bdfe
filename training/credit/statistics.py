"""Mean and spread, once, in the two conventions that published code uses."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple


class Spread(NamedTuple):
    """Mean and standard deviation."""

    mean: float
    std: float


def spread(values: Sequence[float], *, sample: bool = True) -> Spread:
    """Return mean and standard deviation; the latter is 0 for fewer than two values.

    Args:
        values: any number of finite numbers, (n,).
        sample: divide by n - 1 (what `torch.std` does) instead of n.
    """
    n = len(values)
    if n == 0:
        return Spread(0.0, 0.0)
    mean = math.fsum(values) / n
    if n == 1:
        return Spread(mean, 0.0)
    squares = math.fsum((value - mean) ** 2 for value in values)
    return Spread(mean, math.sqrt(squares / (n - 1 if sample else n)))


def returns_to_go(rewards: Sequence[float], gamma: float) -> tuple[float, ...]:
    """Return G_t = sum over k >= t of gamma^(k-t) r_k for each step: (T,)."""
    after, found = 0.0, []
    for reward in reversed(rewards):
        after = reward + gamma * after
        found.append(after)
    return tuple(reversed(found))
