"""Rewards for using tools: against the calls that were wanted, and for using them at all."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import cache

from ...core import ToolCall, Trajectory
from .reward import RewardFunction, of_trajectory


def matching(wanted: Callable[[Trajectory], Sequence[ToolCall] | None]) -> RewardFunction:
    """Reward tool calls by names, argument names and argument values, scaled to [-3, 3].

    ToolRL (Qian et al. 2025, section 3.3): r_name is the overlap of the two sets of names; each wanted call matched
    with a made one adds the overlap of their argument names and one for each equal value; over the best matching,
    R = 6 (r_name + r_param + r_value) / (1 + |G| + sum of |arguments of G|) - 3. Calls of another name match nothing
    beyond the names, which the formula leaves open. The published code differs where calls of one name are repeated:
    it counts names with their multiplicity, and takes the best match of each wanted call in turn.

    Args:
        wanted: returns the calls that a trajectory should have made, or None where that is not known.
    """

    def score(trajectory: Trajectory) -> float | None:
        truth = wanted(trajectory)
        if truth is None:
            return None
        return match([call for step in trajectory.steps for call in step.tool_calls], truth)

    return of_trajectory(score)


def match(made: Sequence[ToolCall], wanted: Sequence[ToolCall]) -> float:
    """Return ToolRL's correctness in [-3, 3]; without any wanted call, 3 for none made and -3 otherwise."""
    if not wanted:
        return -3.0 if made else 3.0
    names, asked = {call.name for call in made}, {call.name for call in wanted}
    best = len(names & asked) / len(names | asked) + _best(tuple(made), tuple(wanted))
    most = 1 + len(wanted) + sum(len(_arguments(call)) for call in wanted)
    return 6 * best / most - 3


def _best(made: tuple[ToolCall, ...], wanted: tuple[ToolCall, ...]) -> float:
    """Return the sum of the best one-to-one matching, by trying all subsets of what was made, up to 12 of them."""
    made = made[:12]
    gains = [[_pair(call, goal) for call in made] for goal in wanted]

    @cache
    def rest(goal: int, used: int) -> float:
        if goal == len(wanted):
            return 0.0
        found = rest(goal + 1, used)
        for index, gain in enumerate(gains[goal]):
            if gain and not used & 1 << index:
                found = max(found, gain + rest(goal + 1, used | 1 << index))
        return found

    return rest(0, 0)


def _pair(made: ToolCall, wanted: ToolCall) -> float:
    if made.name != wanted.name:
        return 0.0
    have, need = _arguments(made), _arguments(wanted)
    either = have.keys() | need.keys()
    names = len(have.keys() & need.keys()) / len(either) if either else 1.0
    return names + sum(key in have and have[key] == value for key, value in need.items())


def _arguments(call: ToolCall) -> dict[str, object]:
    return dict(call.arguments) if isinstance(call.arguments, dict) else {}


def used(weight: float = 0.1, most: float = 1.0, *, progress: float = 0.0) -> RewardFunction:
    """Reward tool calls that ran: min(most, weight * n), fading to nothing by a cosine.

    The auxiliary reward of SPEAR (2025): min(1, 0.1 n), decayed over training.

    Args:
        progress: how much of the decay is over, from 0 (full reward) to 1 (none).
    """
    fade = (1 + math.cos(math.pi * min(1.0, max(0.0, progress)))) / 2

    def score(trajectory: Trajectory) -> float:
        calls = sum(call.ran and call.error is None for step in trajectory.steps for call in step.tool_calls)
        return fade * min(most, weight * calls)

    return of_trajectory(score)
