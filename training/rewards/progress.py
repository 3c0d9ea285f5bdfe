"""Rewards for progress: what each step contributed to the outcome, and whether it could be carried out."""

from __future__ import annotations

import math
from collections.abc import Callable

from ...core import Trajectory
from ..credit.contributions import contributions
from .reward import RewardFunction, of_trajectory


def progress_steps(*, alpha: float = 1.0, beta: float = 0.5) -> Callable[[Trajectory], tuple[float, ...] | None]:
    """Return r_t = alpha c_t + beta [the action was carried out] for each step, (T,), or None without contributions.

    SPA-RL (Wang et al. 2025): c_t is an estimated contribution, and the contributions of an episode add up to its
    outcome. Its code grounds a step by 0.5 unless the next observation says that nothing happens, and always grounds
    the last one; here an action counts as carried out if its validity is `valid`, the last one's as well. The second
    term alone grows with every step that does anything: bound it, or set beta to 0, where episodes may go on for long.

    Args:
        alpha: weight of the contribution.
        beta: what an action that was carried out gets.
    """

    def rewards(trajectory: Trajectory) -> tuple[float, ...] | None:
        parts = contributions(trajectory)
        if not parts:
            return None
        return tuple(
            alpha * part + beta * (step.validity == "valid") for part, step in zip(parts, trajectory.steps, strict=True)
        )

    return rewards


def progress(*, alpha: float = 1.0, beta: float = 0.5) -> RewardFunction:
    """Reward the sum of `progress_steps` over an episode; an attempt of unknown progress has no reward."""
    of_steps = progress_steps(alpha=alpha, beta=beta)

    def score(trajectory: Trajectory) -> float | None:
        found = of_steps(trajectory)
        return None if found is None else math.fsum(found)

    return of_trajectory(score)
