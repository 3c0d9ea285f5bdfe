"""Which questions get the next samples of a fixed budget, so that as many majority answers as possible settle.

A majority answer estimates the mode of what the model would answer. Blend-ASC (Feng et al. 2025,
"Optimal Self-Consistency for Efficient Reasoning with Large Language Models", arXiv 2511.12309) gives the next sample
to the question whose mode is least certain. It ranks questions by a blend of two measures, both of the votes a of the
first answer and b of the second: that of Adaptive Self-Consistency (`overtaken`), which is good with few votes, and
that of PPR-1v1 (`evenness`), which is asymptotically optimal.

Unclear: the text of the algorithm was not at hand. That it blends ranks of these two, early more of the first and late
more of the second, is told by summaries of it; that the weight moves linearly with the share of the budget that is
spent, and that ties go to the question with the fewest samples, is our choice. Stopping at a clear mode is Adaptive
Self-Consistency's own (Aggarwal et al. 2023, arXiv 2305.11860), and so is its 0.95; a `clear` of 1 spends everything.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import lru_cache

from ..config import Allocate

LEAST = 8
"""Samples of a round at least, so that a few questions keep several episodes going at once."""


def allocate(
    votes: Mapping[str, Counter[str | None]], budget: int, *, rule: Allocate = "blend", clear: float = 0.95
) -> list[str]:
    """Return the questions that get the next samples, one entry a sample; empty where nothing is left to be sampled.

    A round has a quarter as many samples as there are questions, and at least `LEAST`; how large it is hangs on nothing
    else, so the same votes always lead to the same round. No question gets more in one than it needs at least to become
    clear, so that going in rounds wastes nothing.

    Args:
        votes: answers so far of each question, in the order of the questions; None is a sample without an answer, and
            counts as an answer of its own, so that a question which is never answered does not eat up the budget.
        budget: samples of all questions together, those in `votes` counted.
        rule: `uniform` gives every question the same.
        clear: posterior probability of its mode from which on a question gets no more samples; 1 for never.
    """
    left = budget - sum(one.total() for one in votes.values())
    size = min(left, max(LEAST, math.ceil(len(votes) / 4)))
    if size <= 0 or not votes:
        return []
    names = list(votes)
    if rule == "uniform":
        return _fewest(votes, size)
    tops = {name: top(votes[name]) for name in names}
    open_ones = [name for name in names if not settled(tops[name], clear)]
    spent = 1.0 - left / budget
    early = _ranks([overtaken(*tops[name]) for name in open_ones])
    late = _ranks([evenness(*tops[name]) for name in open_ones])
    doubt = {name: (1.0 - spent) * one + spent * other for name, one, other in zip(open_ones, early, late, strict=True)}
    # A stable sort: of what is alike in all else, the first question comes first.
    order = sorted(open_ones, key=lambda name: (-doubt[name], votes[name].total()))
    most = {name: needed(tops[name], clear, size) for name in order[:size]}
    return _filled(order, most, size)


def top(votes: Counter[str | None]) -> tuple[int, int]:
    """Return how many votes the first and the second answer have."""
    first, second = [*(count for _, count in votes.most_common(2)), 0, 0][:2]
    return first, second


def settled(votes: tuple[int, int], clear: float) -> bool:
    """Say whether a mode is clear: the chance that the second answer is the true one is at most 1 - clear."""
    # A little above, so that a chance of exactly 1 - clear is not lost to rounding.
    return clear < 1.0 and overtaken(*votes) <= 1.0 - clear + 1e-12


def needed(votes: tuple[int, int], clear: float, most: int) -> int:
    """Return how many more samples it takes at least until the mode is clear, or `most` where that is less."""
    first, second = votes
    return next((more for more in range(1, most) if settled((first + more, second), clear)), most)


@lru_cache(maxsize=65_536)
def overtaken(first: int, second: int) -> float:
    """Return the chance that the second answer is in truth as frequent as the first: I_1/2(first + 1, second + 1).

    Aggarwal et al. 2023, with a uniform prior: p ~ Beta(first + 1, second + 1) is the first one's share of the
    two, and this is P(p <= 1/2). For whole numbers it is a binomial tail, so it needs no special functions.
    """
    n = first + second + 1
    # Whole numbers are divided at the end: they may be larger than any float.
    return sum(math.comb(n, k) for k in range(first + 1, n + 1)) / (1 << n)


@lru_cache(maxsize=65_536)
def evenness(first: int, second: int) -> float:
    """Return the posterior density at p = 1/2 over its prior: (n + 1) * C(n, first) / 2^n with n = first + second.

    PPR-1v1 (Jain et al. 2022, "PAC Mode Estimation using PPR Martingale Confidence Sequences", arXiv 2109.05047) stops
    once this prior-posterior ratio, turned over, is below its share of the error: the two may be even no longer.
    """
    n = first + second
    return (n + 1) * math.comb(n, first) / (1 << n)


def _ranks(found: Sequence[float]) -> list[float]:
    """Return the rank of each value in [0, 1], 1 for the largest; equal values have equal ranks."""
    places = {value: place for place, value in enumerate(sorted(set(found)))}
    return [places[value] / max(1, len(places) - 1) for value in found]


def _fewest(votes: Mapping[str, Counter[str | None]], size: int) -> list[str]:
    counts = {name: one.total() for name, one in votes.items()}
    chosen: list[str] = []
    while len(chosen) < size:
        level = min(counts.values())
        for name in [name for name, count in counts.items() if count == level][: size - len(chosen)]:
            counts[name] += 1
            chosen.append(name)
    return chosen


def _filled(order: Sequence[str], most: Mapping[str, int], size: int) -> list[str]:
    """Return the first of `order` once each, then again those that need more, until the round is full."""
    chosen: list[str] = []
    again = 0
    while len(chosen) < size and (ready := [name for name in order[:size] if most[name] > again]):
        chosen += ready[: size - len(chosen)]
        again += 1
    return chosen
