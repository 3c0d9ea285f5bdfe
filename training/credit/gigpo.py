"""GiGPO: groups of episodes, and inside them groups of steps that were taken in the same state."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from ...errors import TrainingError
from .episode import Advantages, Episode
from .statistics import Spread, returns_to_go, spread


@dataclass(frozen=True)
class GiGPO:
    """Episode advantage plus `weight` times step advantage (Feng et al. 2025, equations 3, 6 and 8).

    A_E compares returns within the group. A_S compares the discounted returns of steps that start from the same
    anchor state in the group; a state seen once gives 0.

    `norm` divides by the standard deviation (`mean_std`) or does not (`mean`, the default of the published code for
    WebShop). `cross_steps` takes the episode mean and deviation over all steps, so that long episodes weigh more: the
    published code does so, the published formula does not, and neither do we unless asked.
    """

    weight: float = 1.0
    gamma: float = 0.95
    norm: Literal["mean", "mean_std"] = "mean"
    cross_steps: bool = False
    eps: float = 1e-6
    name: str = "gigpo"

    def advantages(self, groups: Sequence[Sequence[Episode]]) -> Advantages:
        """Return A_E + weight * A_S of each step.

        Raises:
            TrainingError: an episode has no anchors.
        """
        return [self._group(group) for group in groups]

    def _group(self, group: Sequence[Episode]) -> list[tuple[float, ...]]:
        repeat = [len(episode.rewards) if self.cross_steps else 1 for episode in group]
        totals = spread([episode.total for episode, n in zip(group, repeat, strict=True) for _ in range(n)])
        returns = [returns_to_go(episode.rewards, self.gamma) for episode in group]
        states = self._states(group, returns)
        found = []
        for episode, to_go in zip(group, returns, strict=True):
            whole = self._normal(episode.total, totals) if len(group) > 1 else 0.0
            parts = (states[anchor] for anchor in episode.anchors)
            found.append(
                tuple(
                    whole + self.weight * (self._normal(value, spread(state)) if len(state) > 1 else 0.0)
                    for value, state in zip(to_go, parts, strict=True)
                )
            )
        return found

    def _states(self, group: Sequence[Episode], returns: Sequence[Sequence[float]]) -> dict[str, list[float]]:
        states: defaultdict[str, list[float]] = defaultdict(list)
        for episode, to_go in zip(group, returns, strict=True):
            if len(episode.anchors) != len(episode.rewards):
                raise TrainingError(f"episode {episode.id} has no anchor states, which {self.name} needs.")
            for anchor, value in zip(episode.anchors, to_go, strict=True):
                states[anchor].append(value)
        return states

    def _normal(self, value: float, by: Spread) -> float:
        return (value - by.mean) / (by.std + self.eps if self.norm == "mean_std" else 1.0)
