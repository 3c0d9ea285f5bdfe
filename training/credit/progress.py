"""Progress attribution: step rewards that add up to the outcome, from an estimator of progress."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ...errors import TrainingError
from .batch import whitened
from .episode import Advantages, Episode
from .statistics import returns_to_go


@dataclass(frozen=True)
class Progress:
    """Discounted returns of r_t = scale * c_t + grounding * [the action could be carried out], whitened over the batch.

    c_t is the estimated contribution of a step, and the contributions of an episode add up to its return (Wang et al.
    2025, SPA-RL). The paper trains with PPO and a learned critic; whitened returns stand in for that critic here.
    The published data script replaces the learned contributions by an episode advantage; this uses them.
    """

    scale: float = 1.0
    grounding: float = 0.5
    gamma: float = 1.0
    eps: float = 1e-8
    name: str = "progress"

    def advantages(self, groups: Sequence[Sequence[Episode]]) -> Advantages:
        """Return the whitened returns of the attributed rewards.

        Raises:
            TrainingError: an episode has no estimated contributions.
        """
        return whitened(
            [[returns_to_go(self.rewards(episode), self.gamma) for episode in group] for group in groups], self.eps
        )

    def rewards(self, episode: Episode) -> tuple[float, ...]:
        """Return the attributed reward of each step: (T,).

        Raises:
            TrainingError: the episode has no estimated contributions.
        """
        if len(episode.progress) != len(episode.rewards):
            raise TrainingError(
                f"episode {episode.id} has no estimated progress.", hint="Fit an estimator and give its contributions."
            )
        grounded = episode.grounded or (False,) * len(episode.rewards)
        return tuple(
            self.scale * part + self.grounding * known for part, known in zip(episode.progress, grounded, strict=True)
        )
