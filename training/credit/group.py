"""Estimators that compare whole episodes of one task: GRPO, Dr.GRPO, RLOO."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from .episode import Advantages, Episode
from .statistics import spread

Scale = Literal["group", "batch", "none"]


@dataclass(frozen=True)
class GRPO:
    """Return minus the group's mean, divided by a standard deviation.

    A_i = (R_i - mean_g) / (std + eps), the same for every step of the episode (Shao et al. 2024, DeepSeekMath,
    section 4.1.2). `scale` says whose deviation: the group's, the batch's (both with n - 1, eps 1e-4, as TRL has
    them), or none at all, which is the advantage of Dr.GRPO (Liu et al. 2025). A group of one has advantage 0.
    """

    scale: Scale = "group"
    eps: float = 1e-4
    name: str = "grpo"

    def advantages(self, groups: Sequence[Sequence[Episode]]) -> Advantages:
        """Return one number per episode, repeated for its steps."""
        batch = spread([episode.total for group in groups for episode in group]).std
        found: Advantages = []
        for group in groups:
            mean, std = spread([episode.total for episode in group])
            below = {"group": std + self.eps, "batch": batch + self.eps, "none": 1.0}[self.scale]
            found.append(
                [_flat(episode, (episode.total - mean) / below if len(group) > 1 else 0.0) for episode in group]
            )
        return found


@dataclass(frozen=True)
class RLOO:
    """Return minus the mean of the others': A_i = n / (n - 1) (R_i - mean_g).

    Leave-one-out baseline (Kool et al. 2019; Ahmadian et al. 2024, equation 8), which is unbiased. A group of one has
    advantage 0, where verl leaves its return.
    """

    name: str = "rloo"

    def advantages(self, groups: Sequence[Sequence[Episode]]) -> Advantages:
        """Return one number per episode, repeated for its steps."""
        found: Advantages = []
        for group in groups:
            n, mean = len(group), spread([episode.total for episode in group]).mean
            factor = n / (n - 1) if n > 1 else 0.0
            found.append([_flat(episode, factor * (episode.total - mean)) for episode in group])
        return found


def _flat(episode: Episode, value: float) -> tuple[float, ...]:
    return (value,) * len(episode.rewards)
