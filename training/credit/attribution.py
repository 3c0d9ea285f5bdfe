"""Attribution by a judge: each step is labelled good or bad, and the labels are mixed into the outcome."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from ...errors import TrainingError
from .episode import Advantages, Episode
from .statistics import Spread, returns_to_go, spread


@dataclass(frozen=True)
class Attribution:
    """Suffix sums of alpha * z(label reward) + z(outcome on the last step).

    AgentEvolver (2025), self-attributing, as its published code computes it: a label is worth +-`base`; labels are
    standardised inside the group so that every trajectory weighs the same whatever its length (mean of the
    trajectories' means, and of their mean squared deviations), dividing by sqrt(variance + eps); the outcome is
    standardised apart, and only centred where its deviation is below eps; the sum is not discounted. A label of 0 (no
    opinion), which the publication does not have, is worth 0.
    """

    alpha: float = 0.1
    base: float = 0.2
    eps: float = 1e-8
    name: str = "attribution"

    def advantages(self, groups: Sequence[Sequence[Episode]]) -> Advantages:
        """Return the advantage of each step.

        Raises:
            TrainingError: an episode has no labels.
        """
        return [self._group(group) for group in groups]

    def _group(self, group: Sequence[Episode]) -> list[tuple[float, ...]]:
        labels = [self._labels(episode) for episode in group]
        by, totals = equal_weight(labels), spread([episode.total for episode in group], sample=False)
        found = []
        for episode, own in zip(group, labels, strict=True):
            steps = [self.alpha * (value - by.mean) / math.sqrt(by.std**2 + self.eps) for value in own]
            steps[-1] += (episode.total - totals.mean) / (totals.std if totals.std > self.eps else 1.0)
            found.append(returns_to_go(steps, 1.0))
        return found

    def _labels(self, episode: Episode) -> list[float]:
        if not episode.labels or len(episode.labels) != len(episode.rewards):
            raise TrainingError(
                f"episode {episode.id} has no labelled steps.", hint="A verdict with step scores labels them."
            )
        return [self.base * label for label in episode.labels]


def equal_weight(rows: Sequence[Sequence[float]]) -> Spread:
    """Return mean and deviation of steps where each trajectory weighs the same, however long it is."""
    mean = math.fsum(math.fsum(row) / len(row) for row in rows) / len(rows)
    square = math.fsum(math.fsum((value - mean) ** 2 for value in row) / len(row) for row in rows) / len(rows)
    return Spread(mean, math.sqrt(square))
