"""Do the side that samples and the side that trains compute the same? Log-probabilities of one policy, compared.

The ratio of the new policy to the one that sampled is exp(new - old). Where the two sides compute differently (number
format, merged or separate adapter, another kernel), that ratio is not 1 even before the first update, and a mean
difference of d nats moves it by about the factor exp(d).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from ..errors import TrainingError
from .rows import Row

FAR = 0.1
"""Nats from which on a token is counted: the ratio is then off by a tenth."""
OTHER = "of another policy"
UNKNOWN = "without log-probabilities"
STRIPPED = "with what was recalled taken out"

Score = Callable[[Sequence[Row]], Sequence[tuple[float, ...]]]
"""Gives the log-probability of each completion token of each row as training computes it: (N,) per row."""


@dataclass(frozen=True)
class Agreement:
    """How far log-probabilities of one policy are apart, as sampled and as computed for training."""

    policy: str
    rows: int = 0
    tokens: int = 0
    """Sampled tokens that were compared."""
    mean: float | None = None
    """Of the absolute difference per token, in nats; None where nothing could be compared."""
    bias: float | None = None
    """Mean of computed minus sampled, in nats per token: noise has none."""
    most: float | None = None
    """Largest absolute difference at one token, in nats."""
    far: float | None = None
    """Share of tokens that differ by more than `FAR`."""
    worst: str = ""
    """Trajectory and step of the token that differs most."""
    left_out: Mapping[str, int] = field(default_factory=dict)
    """Why rows were not compared, and how many."""

    def as_dict(self) -> dict[str, Any]:
        """Return JSON-serialisable values."""
        return asdict(self)

    def sentence(self) -> str:
        """Return the figures as a person reads them."""
        if self.mean is None:
            return f"policy {self.policy}: there is nothing to compare"
        return (
            f"policy {self.policy}: log-probabilities as sampled and as computed here differ by {self.mean:.2g} nats "
            f"per token at the mean and {self.most:.2g} at most over {self.rows} rows with {self.tokens} tokens; "
            f"{100 * (self.far or 0.0):.1f} % of them by more than {FAR:g}"
        )


def agreement(rows: Sequence[Row], policy: str, score: Score) -> Agreement:
    """Compare what a policy sampled with what training computes for the same tokens.

    Args:
        rows: of any policies; only those that `policy` itself sampled, with the prompt they hold, are compared.
        policy: policy version of the model behind `score`.
        score: asked once, for the rows that are compared.

    Raises:
        TrainingError: `score` gives another number of values than a row has tokens.
    """
    left_out = Counter(reason for row in rows if (reason := _unfit(row, policy)))
    same = [row for row in rows if not _unfit(row, policy)]
    gaps: list[tuple[float, str]] = []
    for row, now in zip(same, score(same) if same else (), strict=True):
        if len(now) != len(row.completion_ids):
            raise TrainingError(
                f"a row of trajectory {row.trajectory_id} has {len(now)} computed log-probabilities for "
                f"{len(row.completion_ids)} tokens."
            )
        parts = zip(now, row.logprobs, row.loss_mask, row.steps, strict=True)
        gaps += [(b - a, f"{row.trajectory_id} step {step}") for b, a, known, step in parts if known]
    if not gaps:
        return Agreement(policy, left_out=dict(left_out))
    sizes = [abs(gap) for gap, _ in gaps]
    # What is no number is further away than anything.
    place = max(range(len(gaps)), key=lambda n: math.inf if math.isnan(sizes[n]) else sizes[n])
    return Agreement(
        policy=policy,
        rows=len(same),
        tokens=len(gaps),
        mean=sum(sizes) / len(sizes),
        bias=sum(gap for gap, _ in gaps) / len(gaps),
        most=sizes[place],
        far=sum(not size <= FAR for size in sizes) / len(sizes),
        worst=gaps[place][1],
        left_out=dict(left_out),
    )


def check(found: Agreement, bound: float) -> None:
    """Refuse to train where the two sides do not agree. Where nothing could be compared, nothing is refused.

    Args:
        found: the figures.
        bound: largest mean absolute difference, in nats per token.

    Raises:
        TrainingError: the mean difference is beyond the bound, or no number.
    """
    if found.mean is None or found.mean <= bound:
        return
    raise TrainingError(
        f"the side that sampled and the side that trains do not agree: {found.sentence()} "
        f"(trajectory {found.worst} is the worst; the bound is {bound:g}).",
        hint="Check that both have the same weights, adapter and number format and sample at temperature 1, or raise "
        "grpo.agreement.",
        kind="agreement",
    )


def _unfit(row: Row, policy: str) -> str | None:
    if row.policy_version != policy:
        return OTHER
    if row.stripped:
        return STRIPPED
    return None if row.on_record else UNKNOWN
