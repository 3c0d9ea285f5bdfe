"""Reinforcement and imitation in one loss, with a balance between them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from .objective import Tokens

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Mixed:
    """(1 - mu) L_RL + mu L_SFT, the form of AMFT (2025) and of other methods that train by both at once.

    L_RL is PPO's clipped loss (Schulman et al. 2017, equation 7). L_SFT is the negative log-likelihood of tokens with
    an advantage above 0: what went better than expected is imitated, by how much better plays no part. mu goes from
    `start` to `end` in a straight line over the stage. AMFT learns mu from the reward on held-out tasks and from the
    entropy; that controller is not here, and a schedule stands in for it.

    Args:
        start: mu at the first update.
        end: mu behind the last one, which itself is one step of the line short of it.
        clip_low: how far below 1 the ratio counts.
        clip_high: how far above 1 the ratio counts.
    """

    start: Annotated[float, Field(ge=0.0, le=1.0)] = 0.5
    end: Annotated[float, Field(ge=0.0, le=1.0)] = 0.0
    clip_low: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.2
    clip_high: Annotated[float, Field(gt=0.0)] = 0.28

    def __call__(self, tokens: Tokens) -> tuple[Tensor, Mapping[str, float]]:
        """Return the loss of each token: (B, T)."""
        import torch

        mu = self.start + (self.end - self.start) * tokens.progress
        clipped = tokens.ratio.clamp(1 - self.clip_low, 1 + self.clip_high)
        reinforced = -torch.minimum(tokens.ratio * tokens.advantages, clipped * tokens.advantages)
        imitated = -tokens.logprobs * (tokens.advantages > 0)
        return (1 - mu) * reinforced + mu * imitated, {"balance": mu}
