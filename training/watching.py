"""What a training stage tells of itself while it goes on."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

NAMES = {
    "loss": "loss",
    "reward": "reward",
    "rewards/margins": "margin",
    "kl_on_record": "KL",
    "kl": "KL",
    "entropy": "entropy",
    "clip_ratio/region_mean": "clipped",
    "cispo_clip_ratio": "clipped",
    "ratio/mean": "ratio",
    "grad_norm": "gradient",
    "learning_rate": "learning rate",
    "eval_loss": "held-out loss",
}
"""TRL's name of a figure, and ours. The divergence is that from the reference where there is one, else that
from the policy on record."""


@dataclass(frozen=True)
class Progress:
    """Where a stage is after an update."""

    step: int
    """Updates so far."""
    steps: int
    """Updates in all."""
    seconds: float
    """Since this process began to train."""
    tokens_per_s: float = 0.0
    """Tokens that went through the model per second, in this process."""
    seconds_left: float | None = None
    figures: dict[str, float] = field(default_factory=dict)
    """By the names in `NAMES`; only what is known."""


class Watch(Protocol):
    """Who looks on. It is called in the thread that trains."""

    def say(self, text: str) -> None:
        """Take note of one sentence."""
        ...

    def show(self, progress: Progress) -> None:
        """Take note of an update."""
        ...

    def stopping(self) -> bool:
        """Say whether to stop after this update, with a checkpoint."""
        ...


class Unwatched:
    """Nobody looks on."""

    def say(self, text: str) -> None:
        """Let it pass."""

    def show(self, progress: Progress) -> None:
        """Let it pass."""

    def stopping(self) -> bool:
        """Never stop."""
        return False


def named(logs: Mapping[str, object]) -> dict[str, float]:
    """Return the figures of a line of TRL's log that are shown, by our names."""
    out = {}
    for key, name in NAMES.items():
        value = logs.get(key)
        if isinstance(value, int | float) and not math.isnan(value):
            out[name] = float(value)
    return out
