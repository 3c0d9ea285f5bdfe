"""Drawing by weight without drawing anything twice, the same everywhere."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence


def draw(weights: Sequence[float], n: int, generator: random.Random) -> list[int]:
    """Return n indices, the heavier ones sooner and oftener; each once before any comes again.

    Each index gets the key log(u) / w with u uniform in (0, 1), and the largest keys win, which is the same as drawing
    one after the other in proportion to the weights left (Efraimidis and Spirakis 2006). Weights of 0 come last.

    Raises:
        ValueError: a weight is negative or no number.
    """
    if any(not weight >= 0 or math.isinf(weight) for weight in weights):
        raise ValueError("a weight is a number of at least 0")
    found: list[int] = []
    while weights and len(found) < n:
        keys = [math.log(1.0 - generator.random()) for _ in weights]
        order = sorted(
            range(len(weights)),
            key=lambda i: (weights[i] > 0, keys[i] / weights[i] if weights[i] > 0 else keys[i]),
            reverse=True,
        )
        found += order[: n - len(found)]
    return found


def softmax(values: Sequence[float], temperature: float) -> list[float]:
    """Return exp(v / temperature), normed to a sum of 1."""
    most = max(values, default=0.0)
    grown = [math.exp((value - most) / temperature) for value in values]
    total = math.fsum(grown)
    return [value / total for value in grown]
