"""Negative-aware fine-tuning: failures are imitated too, by the policy that is left when successes are taken away."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from .objective import Tokens

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class NFT:
    """The supervised loss of Chen et al. 2025 (Bridging Supervised Learning and Reinforcement Learning in Math
    Reasoning, arXiv 2505.18116), for rewards of 0 and 1.

    With q the share of solved attempts of a group and R = pi / pi_old of a token, a solved attempt has the loss
    -w log R, another one -w log max(floor, (1 - q R) / (1 - q)), where the maximum lets the gradient through. The
    weight w = sqrt((1 - q) / q) of the group is the paper's that makes it equal GRPO on-policy.

    Rows hold advantages and no q. GRPO's over 0 and 1, divided by the deviation over n, are A = sqrt((1 - q) / q) for
    the solved and A = -sqrt(q / (1 - q)) for the others; put in (our own rearrangement), the losses are -A log R for
    A > 0 and -log max(floor, 1 - A^2 (R - 1)) / |A| for A < 0. So it takes `grpo.credit = grpo`, whose deviation over
    n - 1 makes advantages sqrt((n - 1) / n) as large; with other estimators it is a loss of the same form.
    Rows of other policies have their weight in the advantage (`replay_plan`): for a success it is a factor on the loss,
    for a failure on the slope at R = 1 only.

    Args:
        floor: least value in the logarithm of failures: the larger, the less a failure pushes once it is unlikely. 1,
            which we take for the paper's choice (not checked against its code), stops the growth of the push at the
            first step.
        failures: weight of the failures; 0 imitates the successes only (RFT).
    """

    floor: Annotated[float, Field(gt=0.0)] = 1.0
    failures: Annotated[float, Field(ge=0.0)] = 1.0

    def __call__(self, tokens: Tokens) -> tuple[Tensor, Mapping[str, float]]:
        """Return the loss of each token: (B, T)."""
        import torch

        advantages, ratio = tokens.advantages, tokens.ratio
        solved = -advantages * (tokens.logprobs - tokens.old_logprobs)
        size = advantages.abs().clamp(min=1e-6)
        inside = 1 - size**2 * (ratio - 1)
        # The value is the larger of the two, the gradient that of what stands inside.
        clamped = inside + (inside.clamp(min=self.floor) - inside).detach()
        other = -self.failures * clamped.log() / size
        losses = torch.where(advantages > 0, solved, torch.where(advantages < 0, other, torch.zeros_like(other)))
        known = (advantages < 0) & (tokens.mask > 0)
        share = ((inside < self.floor) & known).sum() / known.sum().clamp(min=1)
        return losses, {"nft/at_floor": float(share)}
