"""What an objective is: a loss over tokens with advantages, in the place of TRL's own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Tokens:
    """A micro-batch of B rows of up to T tokens; what is padded or was read has mask 0 and any value."""

    logprobs: Tensor
    """Natural log-probabilities under the policy that is trained, with gradients: (B, T)."""
    old_logprobs: Tensor
    """The same under the policy at the beginning of the stage, without gradients: (B, T)."""
    advantages: Tensor
    """(B, T)"""
    mask: Tensor
    """1 where a token was sampled, else 0: (B, T)."""
    progress: float
    """Share of the stage's updates that are made, from 0 to 1."""

    @property
    def ratio(self) -> Tensor:
        """Probability now over probability then, with gradients: (B, T)."""
        return (self.logprobs - self.old_logprobs).exp()


class Objective(Protocol):
    """A loss of each token, small where the policy is as wanted.

    The trainer sums what it returns over the sampled tokens of an update and divides by their number (as DAPO does),
    and adds the KL term of `grpo.beta`.
    """

    def __call__(self, tokens: Tokens) -> tuple[Tensor, Mapping[str, float]]:
        """Return the loss of each token, (B, T), and figures for the log, by name."""
        ...
