"""What k samples per task are worth: mean, at least one right, the majority, the best.

All are expectations over every subset of k of the n samples there are, so that they do not depend on their order.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from .intervals import RESAMPLES, Interval, credit_interval, share_interval
from .outcomes import Outcome


def pass_at_k(n: int, c: int, k: int) -> float:
    """Return the chance that k of n samples hold at least one of the c right ones.

    Chen et al. 2021 (2107.03374), eq. 1, in the product form that does not overflow.

    Raises:
        ValueError: k is not in 1..n, or c not in 0..n.
    """
    if not 1 <= k <= n or not 0 <= c <= n:
        raise ValueError(f"pass@k needs 1 <= k <= n and 0 <= c <= n, not n={n}, c={c}, k={k}.")
    if n - c < k:
        return 1.0
    return 1.0 - math.prod(1.0 - k / i for i in range(n - c + 1, n + 1))


def best_at_k(scores: Sequence[float], k: int) -> float:
    """Return the expected best score of k of the samples: the i-th smallest is it in C(i - 1, k - 1) subsets.

    Raises:
        ValueError: k is not in 1..n.
    """
    n = len(scores)
    if not 1 <= k <= n:
        raise ValueError(f"best@k needs 1 <= k <= n, not n={n}, k={k}.")
    ways = math.comb(n, k)
    # Whole numbers are divided first: they may be larger than any float.
    return sum(score * (math.comb(i, k - 1) / ways) for i, score in enumerate(sorted(scores)))


def majority_at_k(answers: Sequence[Hashable | None], right: Sequence[float], k: int) -> float:
    """Return the expected correctness of the most frequent answer among k of the samples.

    Ties are broken by lot, which enters as an expectation. None is no answer and has no vote; where nobody votes,
    the result is 0. Self-consistency is Wang et al. 2022 (2203.11171); the expectation is exact and counted here.

    Args:
        answers: of each sample, in a form in which equal answers are equal.
        right: how right each sample is, in [0, 1].
        k: how many of them vote.

    Raises:
        ValueError: k is not in 1..n, or the two have different lengths.
    """
    n = len(answers)
    if not 1 <= k <= n or n != len(right):
        raise ValueError(f"majority@k needs 1 <= k <= n and as many answers as outcomes, not n={n}, k={k}.")
    silent = sum(answer is None for answer in answers)
    rights: defaultdict[Hashable, list[float]] = defaultdict(list)
    for answer, value in zip(answers, right, strict=True):
        if answer is not None:
            rights[answer].append(value)
    sizes = Counter({answer: len(values) for answer, values in rights.items()})
    known: dict[tuple[int, int], dict[int, int]] = {}
    total, all_ways = 0.0, math.comb(n, k)
    for answer, values in rights.items():
        worth, size = fmean(values), len(values)
        for votes in range(1, min(size, k) + 1) if worth else ():
            if (size, votes) not in known:
                others = list((sizes - Counter({answer: size})).values())
                known[size, votes] = _ways(others, silent, k - votes, votes)
            own = math.comb(size, votes)
            # Whole numbers are divided first: they may be larger than any float.
            total += sum(worth * (own * count / (all_ways * (ties + 1))) for ties, count in known[size, votes].items())
    return total


def _ways(sizes: Iterable[int], silent: int, left: int, most: int) -> dict[int, int]:
    """Count how the others can vote without outvoting `most`, by how many of them tie with it.

    Args:
        sizes: how many samples gave each of the other answers.
        silent: how many samples gave none.
        left: how many samples are still to be taken.
        most: votes of the answer in question.
    """
    ways: dict[tuple[int, int], int] = {(0, 0): 1}
    for size in sizes:
        after: defaultdict[tuple[int, int], int] = defaultdict(int)
        for (used, ties), count in ways.items():
            for votes in range(min(size, most, left - used) + 1):
                after[used + votes, ties + (votes == most)] += count * math.comb(size, votes)
        ways = after
    found: defaultdict[int, int] = defaultdict(int)
    for (used, ties), count in ways.items():
        found[ties] += count * math.comb(silent, left - used)
    return found


@dataclass(frozen=True, slots=True)
class AtK:
    """The figures for one k, over the tasks that have at least k samples with a known outcome."""

    k: int
    tasks: int
    mean: Interval
    """Mean success; the expectation is the same for every k."""
    passed: Interval
    majority: Interval
    """By answers where a question was asked, else by outcomes: right if more than half are, half a point for a tie."""
    best: Interval
    """Expected best score."""

    def as_dict(self) -> dict[str, object]:
        """Return it as JSON-serialisable values."""
        names = {"mean": self.mean, "pass": self.passed, "majority": self.majority, "best": self.best}
        return {"k": self.k, "tasks": self.tasks, **{name: one.as_dict() for name, one in names.items()}}


def at_k(tasks: Mapping[str, Sequence[Outcome]], k: int, *, resamples: int = RESAMPLES, seed: int = 0) -> AtK:
    """Return the figures for one k.

    Args:
        tasks: outcomes of each task, one per sample; see `outcomes.by_task`.
        k: how many samples.
        resamples: bootstrap samples of each interval.
        seed: of the resampling.
    """
    known = [[one for one in outcomes if one.success is not None] for outcomes in tasks.values()]
    known = [outcomes for outcomes in known if len(outcomes) >= k]

    def over(values: Iterable[float]) -> Interval:
        return share_interval([[value] for value in values], resamples=resamples, seed=seed)

    right = [[float(bool(one.success)) for one in outcomes] for outcomes in known]
    best = [[best_at_k([one.credit for one in outcomes], k)] for outcomes in known]
    return AtK(
        k=k,
        tasks=len(known),
        mean=share_interval(right, resamples=resamples, seed=seed),
        passed=over(pass_at_k(len(row), int(sum(row)), k) for row in right),
        majority=over(majority_at_k(votes(row), values, k) for row, values in zip(known, right, strict=True)),
        best=credit_interval(best, resamples=resamples, seed=seed),
    )


def votes(outcomes: Sequence[Outcome]) -> list[Hashable | None]:
    """Return what each sample votes for: its answer where the task was a question, else its outcome.

    It was one where the environment said an answer, or where whatever was given to it was the only thing: a game that
    one sample ended by its first action, and others did not, was none.
    """
    played = any(one.acted and one.answer is None for one in outcomes)
    if any(one.said for one in outcomes) or (any(one.answer is not None for one in outcomes) and not played):
        return [one.answer for one in outcomes]
    return [one.success for one in outcomes]


def usual_ks(samples: int) -> tuple[int, ...]:
    """Return 1, 2, 4, ... up to the number of samples, and that number."""
    powers = [1 << i for i in range(samples.bit_length()) if 1 << i <= samples]
    return tuple(sorted({*powers, samples} - {0}))
