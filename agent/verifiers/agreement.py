"""How often a verifier is right, where the truth is known; and what its word is worth for it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

from ...core import Trajectory, Verdict
from .verifier import says_something

Z95 = 1.959963984540054
"""The 97.5 % quantile of the normal distribution."""


class Case(NamedTuple):
    """One attempt of which both are known: what the verifier said, and how it was."""

    passed: bool
    truth: bool
    confidence: float
    at: float = 0.0
    """When the attempt began, in Unix time."""


@dataclass(frozen=True)
class Share:
    """A share of `n` with its 95 % Wilson interval; `value` is None for nothing out of nothing."""

    count: int
    n: int
    value: float | None
    low: float
    high: float

    @classmethod
    def of(cls, count: int, n: int) -> Share:
        """Return `count` out of `n`."""
        return cls(count, n, count / n if n else None, *wilson(count, n))


@dataclass(frozen=True)
class Bin:
    """Verdicts of about the same confidence."""

    low: float
    high: float
    n: int
    confidence: float
    """Their mean confidence."""
    right: float
    """The share of them that agrees with the truth."""


@dataclass(frozen=True)
class Drift:
    """The latest verdicts against those before them."""

    recent: Share
    past: Share
    difference: float
    """Accuracy of the recent ones minus that of the past ones."""
    low: float
    high: float
    worse: bool
    """The whole 95 % interval of the difference lies below 0."""
    youden: float | None
    """Of the recent ones; None where they were all solved, or none was."""


@dataclass(frozen=True)
class Agreement:
    """How a verifier agrees with the truth. All rates are shares in [0, 1]."""

    judge: str
    n: int
    unjudged: int
    """Attempts that it could not judge; they are in no rate."""
    accuracy: Share
    accepts_wrong: Share
    """rho_0: passed among those that were not solved (false positives)."""
    rejects_right: Share
    """rho_1: not passed among those that were solved (false negatives)."""
    youden: float | None
    """J = 1 - rho_0 - rho_1; None where all attempts were solved, or none was."""
    youden_low: float | None
    youden_high: float | None
    brier: float | None
    """Mean squared difference of the confidence and whether the verdict was right (Brier 1950)."""
    ece: float | None
    """Expected calibration error: mean over verdicts of |confidence - share right| of their bin (Guo et al. 2017,
    equation 3, bins of equal width)."""
    bins: tuple[Bin, ...]
    drift: Drift | None
    """None where there are too few verdicts."""
    weight: float
    """What its word is worth, in [0, 1]: scales its confidence."""
    why: str
    """The weight in words."""
    members: tuple[Agreement, ...] = ()
    """Of a vote: how each member does by itself. What their words would be worth alone weighs nothing: the vote's own
    weight is that of the whole."""

    def as_dict(self) -> dict[str, Any]:
        """Return JSON-serialisable values."""
        return asdict(self)


def case_of(verdict: Verdict | None, trajectory: Trajectory) -> Case | None:
    """Return what can be compared; None where there is no judgement, or the outcome is unknown."""
    if verdict is None or trajectory.success is None or trajectory.failure is not None:
        return None
    if not says_something(verdict):
        return None
    return Case(verdict.passed, trajectory.success, verdict.confidence, trajectory.started_at)


def agreement(
    judge: str,
    cases: Iterable[Case],
    *,
    unjudged: int = 0,
    bins: int = 10,
    recent: int = 50,
    least: int = 20,
    members: tuple[Agreement, ...] = (),
) -> Agreement:
    """Return how verdicts agree with the truth.

    The confidence is read as the chance that the verdict, pass or not, is right.

    Args:
        judge: who judged.
        cases: verdicts with their truth, in any order.
        unjudged: attempts that it could not judge.
        bins: of the calibration error.
        recent: latest verdicts that are compared with those before.
        least: fewest verdicts for which the weight is anything but 1, and fewest on either side of a drift.
        members: of a vote; they stand beside its figures and change none of them.
    """
    found = sorted(cases, key=lambda case: case.at)
    right = [case.passed == case.truth for case in found]
    wrong_ones, right_ones = _errors(found)
    youden, low, high = _youden(wrong_ones, right_ones)
    drift = _drift(found, recent, least)
    weight, why = _weight(wrong_ones, right_ones, youden, drift, least=least)
    table = _bins(found, bins)
    squares = [(case.confidence - hit) ** 2 for case, hit in zip(found, right, strict=True)]
    return Agreement(
        judge=judge,
        n=len(found),
        unjudged=unjudged,
        accuracy=Share.of(sum(right), len(found)),
        accepts_wrong=wrong_ones,
        rejects_right=right_ones,
        youden=youden,
        youden_low=low,
        youden_high=high,
        brier=math.fsum(squares) / len(found) if found else None,
        ece=sum(one.n * abs(one.confidence - one.right) for one in table) / len(found) if found else None,
        bins=table,
        drift=drift,
        weight=weight,
        why=why,
        members=members,
    )


def reward_settings(found: Agreement, how: str = "backward") -> dict[str, dict[str, Any]] | None:
    """Return the settings `grpo.rewards` and `grpo.reward_options` that correct a verifier's reward for its noise.

    Args:
        found: how it agrees with the truth.
        how: `backward` needs both error rates and gives an unbiased reward, whose variance grows as J falls;
            `forward` needs only the share of right answers that it rejects, and stays bounded (Cai et al. 2025).

    Returns:
        Them, or None where the verifier must not be trained on: it is no better than chance, has drifted to nothing,
        or an error rate is unknown.
    """
    wrong, right = found.accepts_wrong.value, found.rejects_right.value
    if found.weight <= 0.0 or wrong is None or right is None or wrong + right >= 1.0:
        return None
    if how == "forward":
        return {"rewards": {"verifier_forward": 1.0}, "reward_options": {"verifier_forward": {"rejects_right": right}}}
    options = {"accepts_wrong": wrong, "rejects_right": right}
    return {"rewards": {"verifier_backward": 1.0}, "reward_options": {"verifier_backward": options}}


def wilson(count: float, n: int) -> tuple[float, float]:
    """Return the 95 % Wilson score interval of a share; (0, 1) for nothing out of nothing."""
    if not n:
        return 0.0, 1.0
    p, z2 = count / n, Z95 * Z95
    centre = p + z2 / (2 * n)
    half = Z95 * math.sqrt(p * (1 - p) / n + z2 / (4 * n * n))
    return max(0.0, (centre - half) / (1 + z2 / n)), min(1.0, (centre + half) / (1 + z2 / n))


def difference(one: Share, other: Share) -> tuple[float, float, float]:
    """Return the difference of two independent shares with its 95 % interval (Newcombe 1998, method 10)."""
    a, b = one.value or 0.0, other.value or 0.0
    below = math.hypot(a - one.low, other.high - b)
    above = math.hypot(one.high - a, b - other.low)
    return a - b, max(-1.0, a - b - below), min(1.0, a - b + above)


def _errors(cases: Sequence[Case]) -> tuple[Share, Share]:
    wrong = [case.passed for case in cases if not case.truth]
    right = [not case.passed for case in cases if case.truth]
    return Share.of(sum(wrong), len(wrong)), Share.of(sum(right), len(right))


def _youden(wrong: Share, right: Share) -> tuple[float | None, float | None, float | None]:
    """Return J and its interval: the share of right answers passed minus the share of wrong ones passed."""
    if not wrong.n or not right.n:
        return None, None, None
    return difference(Share.of(right.n - right.count, right.n), wrong)


def _drift(cases: Sequence[Case], recent: int, least: int) -> Drift | None:
    old, new = cases[:-recent], cases[-recent:]
    if len(old) < least or len(new) < least:
        return None
    past = Share.of(sum(case.passed == case.truth for case in old), len(old))
    now = Share.of(sum(case.passed == case.truth for case in new), len(new))
    change, low, high = difference(now, past)
    return Drift(now, past, change, low, high, worse=high < 0.0, youden=_youden(*_errors(new))[0])


def _weight(wrong: Share, right: Share, youden: float | None, drift: Drift | None, *, least: int) -> tuple[float, str]:
    """Return what a verifier's word is worth, and why.

    A policy learns from a noisy verifier if and only if J > 0, and collapses below (RLVeR, PMLR v306); J is also the
    factor by which the noise shrinks the signal, so it is the weight. Where all attempts were wrong, or all right, J is
    at most 1 less the one error rate that is known: who passes all that is wrong has no say.
    """
    n = wrong.n + right.n
    if n < max(1, least):
        return 1.0, f"too little is known: {n} verdicts with known truth, and {least} are needed"
    if youden is None:
        kind, most = ("wrong", 1.0 - wrong.count / wrong.n) if wrong.n else ("right", 1.0 - right.count / right.n)
        return (
            most,
            f"all attempts were {kind}, so J is not known, and {most:.2f} at most: its word counts by that much",
        )
    if drift is not None and drift.worse:
        now = max(0.0, drift.youden if drift.youden is not None else 0.0)
        change = f"it drifts: accuracy {drift.recent.value:.0%} lately, {drift.past.value:.0%} before"
        if drift.youden is None:
            return 0.0, f"{change}, and lately nothing could be told apart: its word does not count"
        if now == 0.0:
            return 0.0, f"{change}, and lately it is no better than chance (J {drift.youden:.2f}): it does not count"
        return min(1.0, now), f"{change}; its word counts by the J of late, {now:.2f}"
    if youden <= 0.0:
        return 0.0, f"it is no better than chance (J {youden:.2f}): its word does not count"
    return youden, f"J is {youden:.2f}, and its word counts by that much"


def _bins(cases: Sequence[Case], count: int) -> tuple[Bin, ...]:
    """Return the bins that are not empty; a confidence of 1 is in the last one."""
    groups: dict[int, list[Case]] = {}
    for case in cases:
        groups.setdefault(min(count - 1, int(case.confidence * count)), []).append(case)
    return tuple(
        Bin(
            low=number / count,
            high=(number + 1) / count,
            n=len(group),
            confidence=math.fsum(case.confidence for case in group) / len(group),
            right=sum(case.passed == case.truth for case in group) / len(group),
        )
        for number, group in sorted(groups.items())
    )
