"""Hierarchical advantage estimation: credit inside a sub-goal, and between sub-goals."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import NamedTuple

from ...errors import TrainingError
from .episode import Advantages, Episode
from .statistics import returns_to_go


class Levels(NamedTuple):
    """Advantages at both levels of one episode."""

    low: tuple[float, ...]
    """Of each step, inside its sub-goal: (T,)."""
    high: tuple[float, ...]
    """Of each sub-goal: (K,)."""


def hae(
    rewards: Sequence[float],
    segments: Sequence[int],
    low: Sequence[float],
    high: Sequence[float],
    *,
    gamma: float = 0.95,
    lam: float = 0.95,
) -> Levels:
    """Return generalised advantages at both levels (HiPER 2026, hierarchical advantage estimation).

    Inside a sub-goal, delta_t = r_t + gamma V_low(s_t+1) - V_low(s_t); its last step bootstraps from V_high of the
    next sub-goal instead. Between sub-goals, delta_k = sum_i gamma^i r_i + gamma^d V_high(next) - V_high(k) for a
    sub-goal of d steps. Both are summed with (gamma lam), the higher one with gamma^d lam. After the end all values
    are 0. Where every sub-goal has one step, the higher level is flat GAE.

    Args:
        rewards: of each step, (T,).
        segments: sub-goal of each step, (T,); equal neighbours are one sub-goal.
        low: V_low of the state before each step, (T,).
        high: V_high of the state before each sub-goal, (K,).
    """
    bounds = _bounds(segments)
    if len(low) != len(rewards) or len(high) != len(bounds):
        raise TrainingError(
            f"{len(low)} low and {len(high)} high values for {len(rewards)} steps in {len(bounds)} sub-goals."
        )
    steps = [0.0] * len(rewards)
    goals = [0.0] * len(bounds)
    after = 0.0
    for k in reversed(range(len(bounds))):
        start, stop = bounds[k]
        follows = high[k + 1] if k + 1 < len(bounds) else 0.0
        inside = 0.0
        for t in reversed(range(start, stop)):
            ahead = low[t + 1] if t + 1 < stop else follows
            inside = rewards[t] + gamma * ahead - low[t] + gamma * lam * inside
            steps[t] = inside
        length = stop - start
        earned = sum(gamma**i * reward for i, reward in enumerate(rewards[start:stop]))
        after = earned + gamma**length * follows - high[k] + gamma**length * lam * after
        goals[k] = after
    return Levels(tuple(steps), tuple(goals))


@dataclass(frozen=True)
class Hierarchical:
    """The sum of both levels' advantages for each step, with values that the group itself gives.

    The publication learns three critics and gives each level's advantage to its own tokens only. Here the value of a
    state is the mean discounted return of the group's steps that were taken in it, and a step gets the advantage of
    its own level plus `weight` times that of the sub-goal it serves.
    """

    weight: float = 1.0
    gamma: float = 0.95
    lam: float = 0.95
    name: str = "hierarchical"

    def advantages(self, groups: Sequence[Sequence[Episode]]) -> Advantages:
        """Return one number per step.

        Raises:
            TrainingError: an episode has no anchors or no sub-goals.
        """
        return [self._group(group) for group in groups]

    def _group(self, group: Sequence[Episode]) -> list[tuple[float, ...]]:
        values: defaultdict[str, list[float]] = defaultdict(list)
        for episode in group:
            if not episode.anchors or not episode.segments:
                raise TrainingError(f"episode {episode.id} lacks anchor states or sub-goals.")
            for anchor, value in zip(episode.anchors, returns_to_go(episode.rewards, self.gamma), strict=True):
                values[anchor].append(value)
        mean = {anchor: sum(found) / len(found) for anchor, found in values.items()}
        return [self._episode(episode, mean) for episode in group]

    def _episode(self, episode: Episode, mean: dict[str, float]) -> tuple[float, ...]:
        low = [mean[anchor] for anchor in episode.anchors]
        bounds = _bounds(episode.segments)
        high = [low[start] for start, _ in bounds]
        levels = hae(episode.rewards, episode.segments, low, high, gamma=self.gamma, lam=self.lam)
        of = [k for k, (start, stop) in enumerate(bounds) for _ in range(start, stop)]
        return tuple(step + self.weight * levels.high[k] for step, k in zip(levels.low, of, strict=True))


def _bounds(segments: Sequence[int]) -> list[tuple[int, int]]:
    """Return (start, stop) of each run of equal neighbours."""
    found, at = [], 0
    for _, run in groupby(segments):
        length = len(list(run))
        found.append((at, at + length))
        at += length
    return found
