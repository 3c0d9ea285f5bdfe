"""The shape of a reward function, and how several become one.

A reward function has the signature that TRL calls: `(prompts, completions, **columns) -> list of floats or None`. Ours
read the column `trajectory`, and work as well where TRL is not.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from ...core import Trajectory
from ...errors import TrainingError

Rewards = list[float | None]
"""One number per row; None where a reward does not apply to it."""


class RewardFunction(Protocol):
    """What TRL's `reward_funcs` takes."""

    def __call__(self, prompts: Sequence[Any], completions: Sequence[Any], **columns: Any) -> Rewards: ...


def of_trajectory(score: Callable[[Trajectory], float | None]) -> RewardFunction:
    """Turn a function of one trajectory into a reward function.

    An attempt that infrastructure ended gets None, whatever the function would say: it is no evidence.

    Raises:
        TrainingError: (when called) the column `trajectory` is missing or a reward is not finite.
    """

    @functools.wraps(score)
    def reward(prompts: Sequence[Any], completions: Sequence[Any], **columns: Any) -> Rewards:
        return [
            checked(score(row), row.id) if row.failure is None else None
            for row in trajectories(columns, len(completions))
        ]

    return reward


def trajectories(columns: Mapping[str, Any], rows: int) -> list[Trajectory]:
    """Return the column `trajectory`.

    Raises:
        TrainingError: it is not there, or has another length.
    """
    found = columns.get("trajectory")
    if found is None or len(found) != rows:
        raise TrainingError(
            f"a reward function was called without the column 'trajectory' of {rows} rows.",
            hint="Rows made by lamarck.training.rows have it.",
        )
    return [row if isinstance(row, Trajectory) else Trajectory.model_validate(row) for row in found]


def checked(value: float | None, ident: str) -> float | None:
    """Return a reward as it is.

    Raises:
        TrainingError: it is NaN or infinite, which would spoil a whole group.
    """
    if value is not None and not math.isfinite(value):
        raise TrainingError(f"the reward of {ident} is {value}.", hint="A reward is a finite number, or None.")
    return value


def combined(
    parts: Sequence[tuple[float, RewardFunction]], low: float = -math.inf, high: float = math.inf
) -> RewardFunction:
    """Return the weighted sum of reward functions, kept within [low, high].

    Parts that do not apply to a row are left out of its sum; where none applies the row has no reward.
    """

    def reward(prompts: Sequence[Any], completions: Sequence[Any], **columns: Any) -> Rewards:
        columns_of_parts = [(weight, part(prompts, completions, **columns)) for weight, part in parts]
        found: Rewards = []
        for row in range(len(completions)):
            known = [weight * value for weight, column in columns_of_parts if (value := column[row]) is not None]
            found.append(min(high, max(low, math.fsum(known))) if known else None)
        return found

    return reward
