"""Attempts with their rewards: what each step gets by name, and which groups teach something."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from ..config_training import TrainConfig
from ..core import Trajectory
from ..errors import TrainingError
from .credit.episode import Credit
from .credit.named import compares
from .credit.statistics import spread
from .headers import INFRASTRUCTURE, NOTHING, SAME, nothing_in
from .rewards.named import Part, parts, summed
from .selection import informative

SAMPLES = "Collect several attempts at each task: `lamarck run --samples 4`."


@dataclass(frozen=True)
class GroupFigures:
    """What there was to compare."""

    groups: int = 0
    """Groups with a known reward."""
    used: int = 0
    """Groups that are trained on."""
    same: int = 0
    """Groups of several attempts that all got the same."""
    alone: int = 0
    """Groups of one attempt."""
    attempts: int = 0
    """Attempts that are trained on."""
    reward_mean: float = 0.0
    """Of all attempts with a known reward."""
    reward_std: float = 0.0


class Rewarded(NamedTuple):
    """An attempt and the reward of each of its steps."""

    trajectory: Trajectory
    rewards: tuple[float, ...]

    @property
    def total(self) -> float:
        """Reward of the whole attempt."""
        return math.fsum(self.rewards)


def rewards_of(config: TrainConfig, attempts: Sequence[Trajectory]) -> dict[str, float]:
    """Return what each attempt gets by `grpo.rewards`, by its id; attempts that get nothing are not in it.

    Raises:
        ConfigError: a reward or an option is not one there is.
        TrainingError: a reward is not finite.
    """
    known = parts(config.grpo.rewards, config.grpo.reward_options)
    found = {}
    for one in attempts:
        rewards = summed(known, one, config.grpo.reward_bounds) if one.steps and one.failure is None else None
        if rewards is not None:
            found[one.id] = even(math.fsum(rewards))
    return found


def even(reward: float) -> float:
    # What differs by rounding only is the same.
    return round(reward, 9)


def reward_groups(
    config: TrainConfig, groups: Sequence[Sequence[Trajectory]], known: Sequence[Part], left_out: Counter[str]
) -> list[list[Rewarded]]:
    """Return the attempts of each group with their rewards; those that have none are left out and counted.

    Raises:
        TrainingError: a reward is not finite, or no attempt has one.
    """
    found = []
    for group in groups:
        able = []
        for one in group:
            if one.failure is not None:
                left_out[INFRASTRUCTURE] += 1
                continue
            rewards = summed(known, one, config.grpo.reward_bounds) if one.steps else None
            if rewards is None:
                left_out["without a reward"] += 1
                continue
            able.append(Rewarded(one, rewards))
        if able:
            found.append(able)
    if not found:
        raise TrainingError(
            f"no attempt has a reward by {', '.join(part.name for part in known)}.",
            hint="Name another in grpo.rewards; {environment = 1.0} applies to every attempt.",
            kind=NOTHING,
        )
    return found


def pick(
    config: TrainConfig, credit: Credit, groups: Sequence[Sequence[Rewarded]], left_out: Counter[str]
) -> tuple[list[list[Rewarded]], GroupFigures]:
    """Return the groups that teach something, and figures.

    Raises:
        TrainingError: none does.
    """
    totals = [one.total for group in groups for one in group]
    mean, std = spread(totals)
    alone = sum(len(group) == 1 for group in groups)
    # Which groups differ is asked of the settled rewards, which need not be the environment's.
    got = {one.trajectory.id: even(one.total) for group in groups for one in group}
    told = informative([[one.trajectory for one in group] for group in groups], got)
    differ = {one.id for group in told for one in group}
    same = sum(len(group) > 1 and group[0].trajectory.id not in differ for group in groups)
    if compares(credit) and alone == len(groups):
        raise TrainingError(
            f"every one of the {alone} groups has one attempt, and {credit.name} compares siblings.",
            hint=f"{SAMPLES} Or take grpo.credit = step_return, which compares nothing.",
            kind=NOTHING,
        )
    chosen = [list(group) for group in groups]
    if compares(credit) and config.grpo.pick_groups:
        chosen = [group for group in chosen if group[0].trajectory.id in differ]
        left_out[SAME] = sum(len(group) for group in groups if len(group) > 1 and group[0].trajectory.id not in differ)
        left_out["without a sibling"] = alone
    if not chosen:
        raise TrainingError(
            f"the attempts of each of the {len(groups)} groups all got the same, so none is better than its siblings.",
            hint="Collect more attempts, at other tasks, or at a higher model.temperature.",
            kind=nothing_in(left_out),
        )
    attempts = sum(map(len, chosen))
    return chosen, GroupFigures(len(groups), len(chosen), same, alone, attempts, mean, std)
