"""Alarms for a loop that feeds on itself: each reads the figures of the generations so far, and rings or does not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple
from statistics import fmean, median
from typing import NamedTuple

from pydantic import JsonValue

from ...config_gate import CollapseConfig
from .collapse_signs import Alarm, Audit, Generation, Weighed, newcombe
from .words import between, percent, points


def alarms(history: Sequence[Generation], config: CollapseConfig | None = None) -> list[Alarm]:
    """Return all alarms that ring after the newest generation.

    Args:
        history: one entry per generation, the oldest first.
        config: thresholds.
    """
    config = config or CollapseConfig()
    rules = (reward_alone, reward_apart, trained_worse, entropy_gone, variety_gone, one_answer, blind_verifier)
    found = [rule(history, config) for rule in rules] if history else []
    return [one for one in found if one is not None]


class _Course(NamedTuple):
    """How the training reward went over the newest generations, of which there are at least four."""

    n: int
    halves: tuple[Sequence[Generation], Sequence[Generation]]
    """The earlier and the later ones; of an odd number, the one in the middle is in neither."""
    rewards: tuple[float, float]
    """Means of the halves."""

    @property
    def rises(self) -> bool:
        return self.rewards[1] > self.rewards[0]

    @property
    def said(self) -> str:
        before, after = self.rewards
        return f"Over the last {self.n} generations the training reward rose from {before:.3g} to {after:.3g}"


def _course(known: Sequence[Generation], config: CollapseConfig) -> _Course | None:
    """Halve the newest `window` of these generations, all of which have a reward; None where they are too few."""
    newest = known[-config.window :]
    if len(newest) < 4:
        return None
    half = len(newest) // 2
    halves = newest[:half], newest[-half:]
    before, after = (fmean(one.reward or 0.0 for one in some) for some in halves)
    return _Course(len(newest), halves, (before, after))


def reward_alone(history: Sequence[Generation], config: CollapseConfig) -> Alarm | None:
    """Ring when the training reward rose while held-out success fell: what is rewarded is not what is wanted.

    Over the newest `window` generations that have both figures, the later half is compared with the earlier half: the
    mean reward is higher, and the interval of the difference of held-out success lies below 0. The interval is
    Newcombe's (1998, Statistics in Medicine 17, 873-890, method 10), which takes the halves as independent; on the
    same tasks that is too wide, so it rings late rather than for nothing.
    """
    known = [one for one in history if one.reward is not None and one.solved is not None and one.held_out]
    course = _course(known, config)
    if course is None:
        return None
    solved = [(sum(one.solved or 0 for one in half), sum(one.held_out for one in half)) for half in course.halves]
    low, high = newcombe(solved[1], solved[0], config.level)
    if not course.rises or high >= 0:
        return None
    shares = [one / n for one, n in solved]
    return Alarm(
        "reward without success",
        f"{course.said}, and held-out success fell from {percent(shares[0])} to {percent(shares[1])}, "
        f"{points(shares[1] - shares[0])} points {between(low, high)}.",
        {"reward": list[JsonValue](course.rewards), "success": list[JsonValue](shares), "low": low, "high": high},
    )


def reward_apart(history: Sequence[Generation], config: CollapseConfig) -> Alarm | None:
    """Ring when a candidate has more of what is rewarded than the release in force, and less of what is wanted.

    Both are measured on the same held-out episodes, so one generation is enough, and it rings as well where the gate
    lets nothing through and no success falls for that. What is rewarded is the verifier's score where it was audited,
    and the environment's where that was recorded. The interval of the difference of success is as in `reward_alone`.
    """
    now = history[-1]
    if now.audited is not None:
        (old, new), who = now.audited, "verifier"
        scores, solved, games = (old.score, new.score), (old.solved, new.solved), (old.games, new.games)
    elif now.weighed is not None and now.weighed.score is not None and now.weighed.games:
        scores, solved, games = now.weighed.score, now.weighed.solved, (now.weighed.games, now.weighed.games)
        who = "environment"
    else:
        return None
    low, high = newcombe((solved[1], games[1]), (solved[0], games[0]), config.level)
    if scores[1] <= scores[0] or high >= 0:
        return None
    shares = solved[0] / games[0], solved[1] / games[1]
    return Alarm(
        "reward against success",
        f"On the same held-out games the candidate raises the {who}'s score from {scores[0]:.3g} to {scores[1]:.3g}, "
        f"and success falls from {percent(shares[0])} to {percent(shares[1])}, "
        f"{points(shares[1] - shares[0])} points {between(low, high)}.",
        {"score": list[JsonValue](scores), "success": list[JsonValue](shares), "low": low, "high": high},
    )


def trained_worse(history: Sequence[Generation], config: CollapseConfig) -> Alarm | None:
    """Ring when what is trained solves less than the release in force, while the reward in play rises.

    Where the gate refuses what is worse, the success of the release in force never falls, so it is the candidates that
    are looked at. Over the newest `window` generations that have a reward and a candidate of their own, the mean reward
    of the later half is higher than that of the earlier half; and in the later half, the interval of what candidates
    solved minus what releases in force solved of the same games lies below 0. It is as in `reward_alone`. The games of
    a release that was in force for several generations count as often as they were played, which is once.
    """
    known = [one for one in history if one.reward is not None and one.weighed is not None and _moved(one.weighed)]
    course = _course(known, config)
    if course is None or known[-1] is not history[-1]:
        return None
    pairs = [one.weighed for one in course.halves[1] if one.weighed is not None]
    games = sum(one.games for one in pairs)
    shares = [sum(one.solved[side] for one in pairs) / games for side in (0, 1)]
    once = sum(max(one.games for one in pairs if one.incumbent == each) for each in {one.incumbent for one in pairs})
    low, high = newcombe((round(shares[1] * games), games), (round(shares[0] * once), once), config.level)
    if not course.rises or high >= 0:
        return None
    return Alarm(
        "reward without candidates",
        f"{course.said}, and of the newest {len(pairs)} the candidates solve {percent(shares[1])} of the held-out "
        f"games where the releases in force solve {percent(shares[0])}, {points(shares[1] - shares[0])} points "
        f"{between(low, high)}.",
        {"reward": list[JsonValue](course.rewards), "success": list[JsonValue](shares), "low": low, "high": high},
    )


def _moved(one: Weighed) -> bool:
    return one.candidate != one.incumbent and one.games > 0


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
