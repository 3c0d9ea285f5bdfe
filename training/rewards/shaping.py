"""Shapes that keep a reward from being hacked: bounded, centred, and worth nothing when repeated."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from ...errors import TrainingError
from .reward import RewardFunction, Rewards


def par(inner: RewardFunction, references: Sequence[float], k: float = 1.0) -> RewardFunction:
    """Return (1/M) sum over m of sigmoid(k (r - r_m)): preference as reward (Fu et al. 2025, PAR).

    Args:
        inner: the reward to shape.
        references: rewards of M reference answers; the result is 1/2 at a lone reference, and always in (0, 1).
        k: steepness.
    """
    if not references:
        raise TrainingError("preference as reward needs at least one reference reward.")

    def reward(prompts: Sequence[Any], completions: Sequence[Any], **columns: Any) -> Rewards:
        raw = inner(prompts, completions, **columns)
        return [None if r is None else sum(_sigmoid(k * (r - at)) for at in references) / len(references) for r in raw]

    return reward


def clip(steps: Sequence[float], eta: float) -> tuple[float, ...]:
    """Return min(r_t - eta, 0) for each step: no number of good steps adds up to anything.

    Clip of Gao et al. 2024 ("On designing effective RL reward at training time"), which takes for `eta` the mean score
    of the batch.
    """
    return tuple(min(reward - eta, 0.0) for reward in steps)


def delta(steps: Sequence[float]) -> tuple[float, ...]:
    """Return r_t - r_(t+1) for each step but the last two, r_t for the last but one, and 0 for the last.

    Delta of Gao et al. 2024: the last step keeps the reward of the outcome only. The rest adds up to r_1, however many
    steps there are. The formula is as their figure draws it; the text of the equation was not at hand. The score of a
    lone step is dropped.
    """
    if len(steps) < 2:
        return (0.0,) * len(steps)
    middle = [*steps[1:-1], 0.0]
    return (*(now - after for now, after in zip(steps[:-1], middle, strict=True)), 0.0)


def _sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x)) if x >= 0 else math.exp(x) / (1 + math.exp(x))
