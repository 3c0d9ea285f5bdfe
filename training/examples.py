"""What imitation and preference learning are shown, from the rows of stored attempts."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import NamedTuple

from ..core import Trajectory
from .rows import Row, episode_rows, step_rows

RowsOf = Callable[[Trajectory], Sequence[Row]]
"""Returns the rows of an attempt, one per answer."""
IGNORED = -100
"""The label of a token that is not trained on, in the convention of PyTorch's cross entropy."""
SAME = 1e-9
"""Rewards that differ by less are equal: the mean of equal numbers need not be that number to the last bit."""


class Pair(NamedTuple):
    """Two answers to one prompt, of which the first led to more."""

    prompt_ids: tuple[int, ...]
    chosen_ids: tuple[int, ...]
    rejected_ids: tuple[int, ...]
    margin: float
    """How much more the attempts with the chosen answer got, at the mean."""


class Judged(NamedTuple):
    """One answer, and whether it is to become likelier."""

    prompt_ids: tuple[int, ...]
    completion_ids: tuple[int, ...]
    label: bool


def successes(trajectories: Sequence[Trajectory]) -> list[Row]:
    """Return the rows of solved attempts, to be imitated."""
    return [row for found in trajectories if found.failure is None and found.success for row in episode_rows(found)]


def labels(row: Row) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return input ids and labels of a row, (P + N,) each; what was not sampled is ignored by the loss."""
    trained = (token if known else IGNORED for token, known in zip(row.completion_ids, row.loss_mask, strict=True))
    return (*row.prompt_ids, *row.completion_ids), (*(IGNORED for _ in row.prompt_ids), *trained)


def pairs(group: Sequence[Trajectory], rows_of: RowsOf = step_rows) -> list[Pair]:
    """Return pairs of different answers that siblings gave to the very same prompt.

    Siblings share a prompt as long as the same has happened to them, so a pair stands where their ways parted. Each
    answer counts with the mean return of the attempts that gave it, since a good answer may be spoiled later; the best
    is set against the worst.
    """
    returns: defaultdict[tuple[int, ...], defaultdict[tuple[int, ...], list[float]]]
    returns = defaultdict(lambda: defaultdict(list))
    for total, row in _rated(group, rows_of):
        returns[row.prompt_ids][row.completion_ids].append(total)
    out = []
    for prompt, answers in returns.items():
        means = [(sum(found) / len(found), answer) for answer, found in answers.items()]
        best, worst = max(means), min(means)
        if not math.isclose(best[0], worst[0], abs_tol=SAME):
            out.append(Pair(prompt, best[1], worst[1], best[0] - worst[0]))
    return out


def judged(group: Sequence[Trajectory], rows_of: RowsOf = step_rows) -> list[Judged]:
    """Return each answer with whether its attempt did better than the mean of its group.

    Attempts at the mean say nothing and are left out.
    """
    rated = list(_rated(group, rows_of))
    returns = [found.reward for found in group if found.failure is None and found.reward is not None]
    if not returns:
        return []
    mean = sum(returns) / len(returns)
    apart = ((total, row) for total, row in rated if not math.isclose(total, mean, abs_tol=SAME))
    return [Judged(row.prompt_ids, row.completion_ids, total > mean) for total, row in apart]


def _rated(group: Sequence[Trajectory], rows_of: RowsOf) -> list[tuple[float, Row]]:
    """Return the rows of attempts that have a reward, each with it."""
    known = [found for found in group if found.failure is None and found.reward is not None]
    return [(found.reward or 0.0, row) for found in known for row in rows_of(found)]
