"""What imitation and preference learning are shown, from the rows of stored attempts."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

from ..core import Trajectory
from .rows import Row, episode_rows, step_rows

IGNORED = -100
"""The label of a token that is not trained on, in the convention of PyTorch's cross entropy."""


class Pair(NamedTuple):
    """Two answers to one prompt, of which the first led to more."""

    prompt_ids: tuple[int, ...]
    chosen_ids: tuple[int, ...]
    rejected_ids: tuple[int, ...]
    margin: float
    """How much more the attempt with the chosen answer got."""


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


def pairs(group: Sequence[Trajectory]) -> list[Pair]:
    """Return pairs of different answers that siblings gave to the very same prompt.

    Siblings share a prompt as long as the same has happened to them, so a pair stands where their ways parted. Of all
    answers to a prompt, that of the attempt with the highest return is set against that of the one with the lowest.
    """
    answers: defaultdict[tuple[int, ...], list[tuple[float, tuple[int, ...]]]] = defaultdict(list)
    for found, row in _rated(group):
        answers[row.prompt_ids].append((found, row.completion_ids))
    out = []
    for prompt, given in answers.items():
        best, worst = max(given), min(given)
        if best[0] > worst[0] and best[1] != worst[1]:
            out.append(Pair(prompt, best[1], worst[1], best[0] - worst[0]))
    return out


def judged(group: Sequence[Trajectory]) -> list[Judged]:
    """Return each answer with whether its attempt did better than the mean of its group.

    Attempts at the mean say nothing and are left out.
    """
    rated = list(_rated(group))
    returns = [found.reward for found in group if found.failure is None and found.reward is not None]
    if not returns:
        return []
    mean = sum(returns) / len(returns)
    return [Judged(row.prompt_ids, row.completion_ids, total > mean) for total, row in rated if total != mean]


def _rated(group: Sequence[Trajectory]) -> list[tuple[float, Row]]:
    """Return the rows of attempts that have a reward, each with it."""
    known = [found for found in group if found.failure is None and found.reward is not None]
    return [(found.reward or 0.0, row) for found in known for row in step_rows(found)]
