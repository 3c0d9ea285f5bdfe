"""Rewards that an episode's own record gives: outcome, steps, validity, format, length, the verifier's score."""

from __future__ import annotations

import re

from ...core import Trajectory
from .reward import RewardFunction, of_trajectory

_FORMAT = re.compile(
    r"\s*<think>(?:(?!</?think>|</?action>).)+</think>\s*<action>(?:(?!</?action>).)+</action>\s*", re.DOTALL
)


def outcome(won: float = 1.0, lost: float = 0.0, *, partial: bool = False) -> RewardFunction:
    """Reward the environment's own outcome: `won` or `lost`, or in between by the score where `partial`.

    verl-agent gives ALFWorld 10 for a success and 0 otherwise. An episode whose outcome is unknown has no reward.
    """

    def score(trajectory: Trajectory) -> float | None:
        if partial and trajectory.score is not None:
            return lost + (won - lost) * trajectory.score
        return None if trajectory.success is None else won if trajectory.success else lost

    return of_trajectory(score)


def environment() -> RewardFunction:
    """Reward the sum of what the environment gave at each step."""
    return of_trajectory(lambda trajectory: sum(step.reward for step in trajectory.steps))


def invalid_actions(penalty: float = 0.1) -> RewardFunction:
    """Take `penalty` off for each step whose action was unreadable or not admissible (verl-agent's default is 0.1)."""
    bad = ("unparseable", "not_admissible")
    return of_trajectory(lambda trajectory: -penalty * sum(step.validity in bad for step in trajectory.steps))


def well_formed(value: float = 1.0) -> RewardFunction:
    """Reward the share of answers of exactly the form `<think>..</think><action>..</action>`.

    The format reward of DeepSeek-R1 (2025, section 2.2.2) for the text protocol, as a share because there are many
    answers in an episode.
    """

    def score(trajectory: Trajectory) -> float | None:
        if not trajectory.steps:
            return None
        good = sum(_FORMAT.fullmatch(step.completion) is not None for step in trajectory.steps)
        return value * good / len(trajectory.steps)

    return of_trajectory(score)


def length(most: int, buffer: int, penalty: float = 1.0) -> RewardFunction:
    """Take off up to `penalty` for the tokens of the longest answer: soft overlong punishment.

    Nothing up to most - buffer, then linearly down to -penalty at `most` (Yu et al. 2025, DAPO, equation 13).
    """

    def score(trajectory: Trajectory) -> float | None:
        longest = max((len(step.token_ids) for step in trajectory.steps), default=0)
        if not longest:
            return None
        return -penalty * min(1.0, max(0.0, (longest - (most - buffer)) / buffer))

    return of_trajectory(score)


def verifier(weigh: bool = False) -> RewardFunction:
    """Reward the verdict's score; with `weigh`, drawn towards 1/2 by how unsure the verifier was."""

    def score(trajectory: Trajectory) -> float | None:
        verdict = trajectory.verdict
        if verdict is None:
            return None
        return 0.5 + (verdict.score - 0.5) * (verdict.confidence if weigh else 1.0)

    return of_trajectory(score)
