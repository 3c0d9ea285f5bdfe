"""Alarms for a loop that feeds on itself: each reads the figures of the generations so far, and rings or does not."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, astuple, dataclass
from statistics import fmean, median

from pydantic import JsonValue

from ...config_gate import CollapseConfig
from ..figures.intervals import z_of
from ..metrics import wilson
from .words import between, percent, points


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


@dataclass(frozen=True, slots=True)
class Alarm:
    """Something that looks like a collapse."""

    name: str
    sentence: str
    figures: dict[str, JsonValue]

    def as_dict(self) -> dict[str, JsonValue]:
        """Return it as JSON-serialisable values."""
        return asdict(self)


def alarms(history: Sequence[Generation], config: CollapseConfig | None = None) -> list[Alarm]:
    """Return all alarms that ring after the newest generation.

    Args:
        history: one entry per generation, the oldest first.
        config: thresholds.
    """
    config = config or CollapseConfig()
    rules = (reward_alone, reward_apart, entropy_gone, variety_gone, one_answer, blind_verifier)
    found = [rule(history, config) for rule in rules] if history else []
    return [one for one in found if one is not None]


def reward_alone(history: Sequence[Generation], config: CollapseConfig) -> Alarm | None:
    """Ring when the training reward rose while held-out success fell: what is rewarded is not what is wanted.

    Over the newest `window` generations that have both figures, the later half is compared with the earlier half: the
    mean reward is higher, and the interval of the difference of held-out success lies below 0. The interval is
    Newcombe's (1998, Statistics in Medicine 17, 873-890, method 10), which takes the halves as independent; on the
    same tasks that is too wide, so it rings late rather than for nothing.
    """
    known = [one for one in history if one.reward is not None and one.solved is not None and one.held_out]
    known = known[-config.window :]
    if len(known) < 4:
        return None
    halves = known[: len(known) // 2], known[-(len(known) // 2) :]
    rewards = [fmean(one.reward or 0.0 for one in half) for half in halves]
    solved = [(sum(one.solved or 0 for one in half), sum(one.held_out for one in half)) for half in halves]
    low, high = newcombe(solved[1], solved[0], config.level)
    if rewards[1] <= rewards[0] or high >= 0:
        return None
    shares = [one / n for one, n in solved]
    return Alarm(
        "reward without success",
        f"Over the last {len(known)} generations the training reward rose from {rewards[0]:.3g} to {rewards[1]:.3g}, "
        f"and held-out success fell from {percent(shares[0])} to {percent(shares[1])}, "
        f"{points(shares[1] - shares[0])} points {between(low, high)}.",
        {"reward": list[JsonValue](rewards), "success": list[JsonValue](shares), "low": low, "high": high},
    )


def reward_apart(history: Sequence[Generation], config: CollapseConfig) -> Alarm | None:
    """Ring when a candidate has more of what is rewarded than the release in force, and less of what is wanted.

    Both are measured on the same held-out episodes, so one generation is enough, and it rings as well where the gate
    lets nothing through and no success falls for that. The interval of the difference of success is as in
    `reward_alone`.
    """
    if history[-1].audited is None:
        return None
    before, after = history[-1].audited
    low, high = newcombe((after.solved, after.games), (before.solved, before.games), config.level)
    if after.score <= before.score or high >= 0:
        return None
    shares = before.solved / before.games, after.solved / after.games
    return Alarm(
        "reward against success",
        f"On the same held-out games the candidate raises the verifier's score from {before.score:.3g} to "
        f"{after.score:.3g}, and success falls from {percent(shares[0])} to {percent(shares[1])}, "
        f"{points(shares[1] - shares[0])} points {between(low, high)}.",
        {"score": [before.score, after.score], "success": list[JsonValue](shares), "low": low, "high": high},
    )


def entropy_gone(history: Sequence[Generation], config: CollapseConfig) -> Alarm | None:
    """Ring when the policy's entropy is at or below a floor, or a small share of what it was at the beginning.

    That reward is bought with entropy, and that nothing more is to be bought without, is Cui et al. 2025 (2505.22617);
    they name no threshold. The beginning is the median of the first three generations that have the figure.
    """
    known = [one.entropy for one in history if one.entropy is not None]
    if not known or history[-1].entropy is None:
        return None
    now, begin = known[-1], median(known[:3])
    sunk = len(known) > 3 and now < config.entropy_share * begin
    if now > config.entropy_floor and not sunk:
        return None
    why = f"at most {config.entropy_floor:g}" if now <= config.entropy_floor else f"{percent(now / begin)} of it"
    return Alarm(
        "entropy",
        f"The policy's entropy is {now:.3g} nats per token, {why}; it began with {begin:.3g}.",
        {"entropy": now, "begin": begin, "floor": config.entropy_floor},
    )


def variety_gone(history: Sequence[Generation], config: CollapseConfig) -> Alarm | None:
    """Ring when actions or answers are far less different than at the beginning.

    The beginning is the median of the first three generations that have the figure; threshold of our choice. The
    effective number is biased downwards where there are few, so both need at least `least` of them.
    """
    known = [one.variety for one in history if one.variety is not None and one.variety.n >= config.least]
    if len(known) < 4 or known[-1] is not history[-1].variety:
        return None
    now, begin = known[-1].different, median(one.different for one in known[:3])
    # One is the least there can be, so what counts is how many there are beside it.
    if now - 1 >= config.diversity_share * (begin - 1) or begin - now < 1:
        return None
    return Alarm(
        "variety",
        f"Actions are as different as {now:.3g} equally frequent ones would be; it began with {begin:.3g}.",
        {"different": now, "begin": begin, "n": known[-1].n},
    )


def one_answer(history: Sequence[Generation], config: CollapseConfig) -> Alarm | None:
    """Ring when nearly all actions or answers are the same one; threshold of our choice."""
    now = history[-1].variety
    if now is None or now.n < config.least or now.most < config.identical:
        return None
    return Alarm(
        "one answer",
        f"{percent(now.most)} of {now.n:,} actions are one and the same; {percent(config.identical)} is the limit.",
        {"share": now.most, "n": now.n},
    )


def blind_verifier(history: Sequence[Generation], config: CollapseConfig) -> Alarm | None:
    """Ring when the verifier tells right from wrong no better than chance.

    Youden's J (1950, Cancer 3, 32-35) is the share of right ones that it accepts minus the share of wrong ones that it
    accepts. A policy learns from a noisy verifier where J > 0, does not where it is 0, and collapses below (RLVeR,
    PMLR 306). It rings at J <= 0 as measured, on at least `least` trajectories of each kind: those of the audit, or
    both releases' held-out episodes.
    """
    last = history[-1]
    tables = [last.audit] if last.audit is not None else [one.audit for one in last.audited or ()]
    if not tables:
        return None
    now = Audit(*(sum(column) for column in zip(*(astuple(one) for one in tables), strict=True)))
    right, wrong = now.true_positive + now.false_negative, now.false_positive + now.true_negative
    if min(right, wrong) < config.least:
        return None
    j = now.true_positive / right - now.false_positive / wrong
    if j > 0:
        return None
    low, high = newcombe((now.true_positive, right), (now.false_positive, wrong), 0.95)
    return Alarm(
        "verifier",
        f"The verifier accepts {percent(now.true_positive / right)} of {right:,} right trajectories and "
        f"{percent(now.false_positive / wrong)} of {wrong:,} wrong ones: J is {j:+.2f} [{low:+.2f}, {high:+.2f}], and "
        "only above 0 is anything learned from it.",
        {"j": j, "low": low, "high": high, "right": right, "wrong": wrong},
    )


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
