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
    "rewards/accuracies": "accuracy",
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
from the policy on record; for dpo, which logs none, see `drift`. The accuracy is the share of pairs whose better answer
gained more."""


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
        """Say whether to stop after this update, with a checkpoint; after the last one the stage is finished."""
        ...

    def interrupted(self) -> bool:
        """Say whether somebody wants it to stop; it may be stopping because there is enough."""
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

    def interrupted(self) -> bool:
        """Say no."""
        return False


def drift(logs: Mapping[str, object], beta: float) -> float | None:
    """Return how far a policy is from its reference on the answers of pairs, in nats per answer.

    DPO's rewards are beta * log(pi / ref) of a whole answer (Rafailov et al. 2023, eq. 5 without the partition
    function), so that their mean over chosen and rejected ones, divided by -beta, is the mean of log(ref / pi): the
    plain estimator ("k1" in Schulman 2020) of KL(ref || pi), as far as the answers are the reference's own. It may be
    below 0. Each pair counts with the best and the worst answer there was, which are not a fair draw.

    Args:
        logs: a line of TRL's log.
        beta: the weight that TRL multiplied with.

    Returns:
        The estimate, or None where TRL logged no rewards.
    """
    both = [logs.get(f"rewards/{which}") for which in ("chosen", "rejected")]
    known = [float(value) for value in both if isinstance(value, int | float)]
    return -sum(known) / 2 / beta if len(known) == 2 else None


def named(logs: Mapping[str, object], beta: float | None = None) -> dict[str, float]:
    """Return the figures of a line of TRL's log that are shown, by our names.

    Args:
        logs: the line.
        beta: that of dpo, whose divergence is estimated from its rewards.
    """
    out = {}
    for key, name in NAMES.items():
        value = logs.get(key)
        if isinstance(value, int | float) and not math.isnan(value):
            out[name] = float(value)
    far = None if beta is None or "KL" in out else drift(logs, beta)
    return out if far is None or math.isnan(far) else out | {"KL": far}
