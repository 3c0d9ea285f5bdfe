"""Rewards of a verifier that is known to err: the noise is taken out of the mean, or out of the gradient."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ...errors import TrainingError
from ...judged import corrected, youden
from .reward import RewardFunction, Rewards


@dataclass(frozen=True)
class Noise:
    """How a verifier errs on binary outcomes."""

    accepts_wrong: float
    """rho_0, the share of wrong answers that it accepts."""
    rejects_right: float
    """rho_1, the share of right answers that it rejects."""

    def __post_init__(self) -> None:
        if not (0 <= self.accepts_wrong <= 1 and 0 <= self.rejects_right <= 1):
            raise TrainingError(f"error rates are shares, not {self.accepts_wrong} and {self.rejects_right}.")

    @property
    def youden(self) -> float:
        """See `lamarck.judged.youden`."""
        return youden(self.accepts_wrong, self.rejects_right)


def backward(inner: RewardFunction, noise: Noise) -> RewardFunction:
    """Return rewards whose mean is that of the true one (see `lamarck.judged.corrected`).

    Their variance grows without bound as the verifier approaches chance.

    Raises:
        TrainingError: the verifier is not better than chance.
    """
    if noise.youden <= 0:
        raise TrainingError(
            f"a verifier that accepts {noise.accepts_wrong:.0%} of the wrong and rejects {noise.rejects_right:.0%} "
            "of the right answers is no better than chance.",
            hint="Do not train on it.",
        )

    def reward(prompts: Sequence[Any], completions: Sequence[Any], **columns: Any) -> Rewards:
        raw = inner(prompts, completions, **columns)
        return [None if r is None else corrected(r, noise.accepts_wrong, noise.rejects_right) for r in raw]

    return reward


def forward(inner: RewardFunction, rejects_right: float) -> RewardFunction:
    """Return the weight of each row's score term: rho_1 where accepted, rho_1 - 1 where rejected (forward).

    Needs rho_1 only, and stays bounded (Cai et al. 2025, forward; taken from an exposition, and derived again here):
    the mean weight is 0 over right answers and -(1 - rho_0 - rho_1) over wrong ones, and since the mean score of a
    policy is 0, pushing wrong answers away by that is 1 - rho_0 - rho_1 times the true gradient. The weights stand
    for reward and advantage alike: no baseline may be taken off them.
    """
    if not 0 <= rejects_right < 1:
        raise TrainingError(f"the share of rejected right answers is below 1, not {rejects_right}.")

    def reward(prompts: Sequence[Any], completions: Sequence[Any], **columns: Any) -> Rewards:
        raw = inner(prompts, completions, **columns)
        return [None if r is None else (rejects_right if r > 0.5 else rejects_right - 1) for r in raw]

    return reward
