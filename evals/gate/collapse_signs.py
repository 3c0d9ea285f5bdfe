"""What generations say of themselves that alarms for a collapse read."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass

from pydantic import JsonValue

from ..figures.intervals import z_of
from ..metrics import wilson


@dataclass(frozen=True, slots=True)
class Variety:
    """How different actions or answers are."""

    n: int
    different: float
    """Effective number of different ones: exp of their Shannon entropy (Hill 1973, number of order 1)."""
    most: float
    """Share of the most frequent one."""


def variety(said: Iterable[str]) -> Variety:
    """Return how different actions or answers are; of none, n is 0."""
    counts = Counter(said)
    n = sum(counts.values())
    if not n:
        return Variety(0, 0.0, 0.0)
    entropy = -sum(count / n * math.log(count / n) for count in counts.values())
    return Variety(n, math.exp(entropy), max(counts.values()) / n)


@dataclass(frozen=True, slots=True)
class Audit:
    """Verdicts of a verifier on trajectories whose truth is known."""

    true_positive: int
    false_negative: int
    false_positive: int
    true_negative: int


@dataclass(frozen=True, slots=True)
class Audited:
    """What a verifier and the truth say of the same held-out episodes of a release."""

    games: int
    solved: int
    accepted: int
    """By the verifier."""
    accepted_right: int
    """Of those that were solved."""
    score: float
    """The verifier's mean score."""

    @property
    def audit(self) -> Audit:
        """The same as a table of errors."""
        wrong = self.accepted - self.accepted_right
        missed = self.solved - self.accepted_right
        return Audit(self.accepted_right, missed, wrong, self.games - self.solved - wrong)


AUDITED = ("games", "solved", "accepted", "accepted_right", "score")
"""Fields of `Audited`."""


@dataclass(frozen=True, slots=True)
class Weighed:
    """What the release in force and the candidate did on the same held-out episodes."""

    incumbent: str
    """Release id."""
    candidate: str
    """Release id; that of the release in force where nothing was learned."""
    games: int
    solved: tuple[int, int]
    """By the release in force and by the candidate."""
    score: tuple[float, float] | None = None
    """Mean score in [0, 1] that the environment gave them; None where that is not known."""


@dataclass(frozen=True, slots=True)
class Generation:
    """What one generation amounts to; None is not measured, and nothing rings for it."""

    reward: float | None = None
    """Mean reward in training, whatever gives it."""
    solved: int | None = None
    """Held-out episodes that were solved, of the release that the generation ended with."""
    held_out: int = 0
    """Held-out episodes that have an outcome."""
    entropy: float | None = None
    """Mean entropy of the policy per sampled token, in nats."""
    variety: Variety | None = None
    """Of actions or of answers, always of the same."""
    audit: Audit | None = None
    audited: tuple[Audited, Audited] | None = None
    """Of the release in force and of the candidate, on the same held-out episodes."""
    weighed: Weighed | None = None


@dataclass(frozen=True, slots=True)
class Alarm:
    """Something that looks like a collapse."""

    name: str
    sentence: str
    figures: dict[str, JsonValue]

    def as_dict(self) -> dict[str, JsonValue]:
        """Return it as JSON-serialisable values."""
        return asdict(self)


def newcombe(first: tuple[int, int], second: tuple[int, int], level: float) -> tuple[float, float]:
    """Return the interval of the difference of two independent shares, first minus second (Newcombe 1998, method 10).

    Args:
        first: successes and number.
        second: successes and number.
        level: coverage aimed at.
    """
    p, q = first[0] / first[1], second[0] / second[1]
    (low_p, high_p), (low_q, high_q) = (wilson(k, n, z_of(level)) for k, n in (first, second))
    return (
        p - q - math.hypot(p - low_p, high_q - q),
        p - q + math.hypot(high_p - p, q - low_q),
    )
