"""Which groups and which attempts are worth an update."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from ..core import Trajectory

T = TypeVar("T")


def informative(
    groups: Sequence[Sequence[Trajectory]], rewards: Mapping[str, float] | None = None
) -> list[list[Trajectory]]:
    """Return the groups whose attempts differ in reward, without what infrastructure ended.

    Dynamic sampling of DAPO (Yu et al. 2025, section 3.2): a group that is all right or all wrong has no advantage.

    Args:
        groups: attempts at the same tasks.
        rewards: trajectory id -> what the attempt got, where that is not what the environment gave; an attempt that
            is not in it has no reward.
    """

    def got(one: Trajectory) -> float | None:
        if one.failure is not None:
            return None
        return one.reward if rewards is None else rewards.get(one.id)

    known = [[one for one in group if got(one) is not None] for group in groups]
    return [group for group in known if len({got(one) for one in group}) > 1]


def resample_on_correct(
    group: Sequence[T], keep: int, *, right: Callable[[T], bool], faults: Callable[[T], float], seed: int = 0
) -> list[T]:
    """Return `keep` of a group that was sampled larger: failures as they fall, successes by how clean they are.

    Resample-on-correct of rStar2-Agent (2025): of twice as many attempts as needed, failures are thinned uniformly, so
    that their variety stays, and successes are drawn with weights 1 / (faults + 1/2), so that those with few tool
    errors and format faults are preferred. Both keep their share of the group, as near as whole numbers allow. The
    weight's form is ours; the publication says only that it falls with the faults.
    """
    if keep >= len(group):
        return list(group)
    draw = random.Random(seed)
    won, lost = [one for one in group if right(one)], [one for one in group if not right(one)]
    of_won = round(keep * len(won) / len(group))
    of_won = min(len(won), max(of_won, keep - len(lost)))
    chosen = draw.sample(lost, keep - of_won)
    left = list(won)
    for _ in range(of_won):
        [one] = draw.choices(left, [1 / (faults(each) + 0.5) for each in left])
        left.remove(one)
        chosen.append(one)
    return chosen


def tool_faults(trajectory: Trajectory) -> float:
    """Return the share of tool calls that failed plus the share of answers that were not readable."""
    calls = [call for step in trajectory.steps for call in step.tool_calls]
    errors = sum(call.error is not None for call in calls) / len(calls) if calls else 0.0
    unreadable = sum(step.validity == "unparseable" for step in trajectory.steps)
    return errors + (unreadable / len(trajectory.steps) if trajectory.steps else 0.0)


def resampled(groups: Sequence[Sequence[Trajectory]], keep: int, seed: int = 0) -> list[list[Trajectory]]:
    """Return `keep` attempts of each group by `resample_on_correct`, with `tool_faults`.

    What infrastructure ended takes no place: it is neither a success nor a failure.
    """
    known = [[found for found in group if found.failure is None] for group in groups]
    return [
        resample_on_correct(group, keep, right=lambda one: bool(one.success), faults=tool_faults, seed=seed + number)
        for number, group in enumerate(known)
    ]
