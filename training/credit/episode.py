"""What credit assignment needs to know of an attempt, and the seam every estimator fills."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from ...core import Step, Trajectory, content_id
from ...errors import TrainingError

Advantages = list[list[tuple[float, ...]]]
"""Per group, per episode, one number per step: (T_i,)."""


@dataclass(frozen=True)
class Episode:
    """One attempt as numbers; T is its number of steps."""

    id: str
    rewards: tuple[float, ...]
    """Reward of each step: (T,)."""
    anchors: tuple[str, ...] = ()
    """What names the state each step was taken in: (T,). Equal anchors of one group are one state."""
    segments: tuple[int, ...] = ()
    """Sub-goal each step belongs to, non-decreasing: (T,)."""
    labels: tuple[float, ...] = ()
    """Whether a judge found each step good (1) or bad (-1), or 0 for no opinion: (T,)."""
    progress: tuple[float, ...] = ()
    """Estimated contribution of each step to the outcome: (T,)."""
    grounded: tuple[bool, ...] = ()
    """Whether each step's action could be carried out: (T,)."""

    def __post_init__(self) -> None:
        for name in ("anchors", "segments", "labels", "progress", "grounded"):
            given = getattr(self, name)
            if given and len(given) != len(self.rewards):
                raise TrainingError(f"episode {self.id}: {len(given)} {name} for {len(self.rewards)} steps.")

    @property
    def total(self) -> float:
        """Return of the whole episode, undiscounted."""
        return sum(self.rewards)


class Credit(Protocol):
    """An estimator of how much better each step was than what could be expected."""

    @property
    def name(self) -> str:
        """What it is called in tables."""
        ...

    def advantages(self, groups: Sequence[Sequence[Episode]]) -> Advantages:
        """Return the advantage of each step of each episode of each group.

        A group holds attempts at one task. All groups of a batch come at once, because some estimators normalise
        over the batch.

        Raises:
            TrainingError: an episode lacks what this estimator needs.
        """
        ...


def episode_of(trajectory: Trajectory, rewards: Sequence[float] | None = None) -> Episode:
    """Return what credit needs of a trajectory.

    Args:
        trajectory: a finished attempt.
        rewards: reward of each step, (T,), where other rewards than the environment's are meant.

    Raises:
        TrainingError: infrastructure ended the attempt (it says nothing about the task), or it has no step.
    """
    if trajectory.failure is not None:
        raise TrainingError(
            f"trajectory {trajectory.id} was ended by infrastructure ({trajectory.failure.kind}) and has no reward.",
            hint="Leave it out: it must not enter a baseline.",
        )
    if not trajectory.steps:
        raise TrainingError(f"trajectory {trajectory.id} has no step.")
    steps = trajectory.steps
    return Episode(
        id=trajectory.id,
        rewards=tuple(rewards) if rewards is not None else tuple(step.reward for step in steps),
        anchors=tuple(anchor(step) for step in steps),
        segments=tuple(step.segment for step in steps),
        labels=_labels(trajectory),
        grounded=tuple(step.validity == "valid" for step in steps),
    )


def anchor(step: Step) -> str:
    """Name the state a step was taken in: what was seen, and what could be done."""
    return content_id(step.observation, step.admissible)


def _labels(trajectory: Trajectory) -> tuple[float, ...]:
    scores = trajectory.verdict.step_scores if trajectory.verdict is not None else ()
    if len(scores) != len(trajectory.steps):
        return ()
    return tuple(float((score > 0) - (score < 0)) for score in scores)
