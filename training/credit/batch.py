"""Estimators from discounted returns, whitened over the batch: step returns and REINFORCE++."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from .episode import Advantages, Episode
from .statistics import returns_to_go, spread


@dataclass(frozen=True)
class StepReturn:
    """The discounted return from each step on, G_t, without a baseline (Williams 1992, with discount)."""

    gamma: float = 0.95
    name: str = "step_return"

    def advantages(self, groups: Sequence[Sequence[Episode]]) -> Advantages:
        """Return G_t of each step."""
        return [[returns_to_go(episode.rewards, self.gamma) for episode in group] for group in groups]


@dataclass(frozen=True)
class ReinforcePlusPlus:
    """Returns whitened over all steps of the batch (Hu 2025, REINFORCE++).

    Published for tokens; here a step stands for its tokens and weighs by how many steps there are, not by their
    length. With `baseline`, the group's mean return is taken off each episode first (the variant for groups), and the
    same number stands for all steps. verl leaves the return of a group of one as it is; here its own mean is taken
    off, so that it is 0 before whitening.
    """

    gamma: float = 1.0
    baseline: bool = False
    eps: float = 1e-8
    name: str = "reinforce_pp"

    def advantages(self, groups: Sequence[Sequence[Episode]]) -> Advantages:
        """Return the whitened returns."""
        raw: Advantages = []
        for group in groups:
            if self.baseline:
                mean = spread([episode.total for episode in group]).mean
                raw.append([(episode.total - mean,) * len(episode.rewards) for episode in group])
            else:
                raw.append([returns_to_go(episode.rewards, self.gamma) for episode in group])
        return whitened(raw, self.eps)


def whitened(raw: Advantages, eps: float) -> Advantages:
    """Return (x - mean) / sqrt(var + eps) over all steps of the batch, with n - 1 in the variance, as verl does."""
    mean, std = spread([value for group in raw for episode in group for value in episode])
    below = math.sqrt(std**2 + eps)
    return [[tuple((value - mean) / below for value in episode) for episode in group] for group in raw]
