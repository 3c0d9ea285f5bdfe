"""Which release to grow the next generation from, and which to keep in the end.

A release whose own score is high need not be the one whose descendants get furthest. The Huxley-Gödel Machine (Wang et
al. 2025, 2510.21614) judges a node by its clade: the successes and failures of the node and all its descendants.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Node:
    """A release in the tree, with the outcomes of its own held-out episodes."""

    id: str
    parent: str | None
    successes: int = 0
    failures: int = 0

    @property
    def evaluations(self) -> int:
        """How many episodes it was evaluated on."""
        return self.successes + self.failures


def clades(nodes: Sequence[Node]) -> dict[str, tuple[int, int]]:
    """Return each node's successes and failures summed over itself and all its descendants.

    Args:
        nodes: parents may come after their children; a parent that is not among them is none.

    Raises:
        ValueError: the parents run in a circle.
    """
    known = {node.id: node for node in nodes}
    total = dict.fromkeys(known, (0, 0))
    for node in nodes:
        at: str | None = node.id
        seen: set[str] = set()
        while at is not None and at in known:
            if at in seen:
                raise ValueError(f"release {at} descends from itself")
            seen.add(at)
            successes, failures = total[at]
            total[at] = successes + node.successes, failures + node.failures
            at = known[at].parent
    return total


def choose_parent(nodes: Sequence[Node], *, seed: str, sharpness: float = 1.0) -> str:
    """Draw the node to grow from by Thompson sampling over clades: Beta(1 + successes, 1 + failures), both times
    `sharpness` (above 1 exploits sooner; the paper sharpens as its budget runs out).

    Raises:
        ValueError: there are no nodes.
    """
    if not nodes:
        raise ValueError("there is no release to grow from")
    draw = random.Random(f"clade/{seed}")
    total = clades(nodes)

    def drawn(node: Node) -> float:
        successes, failures = total[node.id]
        return draw.betavariate(1 + sharpness * successes, 1 + sharpness * failures)

    # In the order of ids, so that the same draws fall to the same nodes on every machine.
    return max(sorted(nodes, key=lambda node: node.id), key=drawn).id


def best(nodes: Sequence[Node], *, epsilon: float = 0.05) -> str:
    """Return the node with the highest lower bound: the `epsilon` quantile of the Beta posterior of its own outcomes.

    Raises:
        ValueError: there are no nodes.
    """
    if not nodes:
        raise ValueError("there is no release to choose from")
    return max(nodes, key=lambda node: (lower_bound(node.successes, node.failures, epsilon=epsilon), node.id)).id


def lower_bound(successes: int, failures: int, *, epsilon: float = 0.05) -> float:
    """Return the `epsilon` quantile of Beta(1 + successes, 1 + failures), by bisection of its distribution function.

    For whole numbers a and b, the distribution function of Beta(a, b) at x is P(Binomial(a + b - 1, x) >= a).
    """
    a, b = 1 + successes, 1 + failures
    low, high = 0.0, 1.0
    for _ in range(50):
        middle = (low + high) / 2
        if _at_least(a, a + b - 1, middle) < epsilon:
            low = middle
        else:
            high = middle
    return low


def _at_least(k: int, n: int, p: float) -> float:
    """Return P(Binomial(n, p) >= k), 0 < p < 1."""
    logs = [
        math.lgamma(n + 1) - math.lgamma(i + 1) - math.lgamma(n - i + 1) + i * math.log(p) + (n - i) * math.log1p(-p)
        for i in range(k, n + 1)
    ]
    return math.fsum(math.exp(one) for one in logs)
