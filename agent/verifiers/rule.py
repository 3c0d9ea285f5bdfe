"""Rules: checks of answer, actions and last observation, declared in the configuration or written as code."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from ...core import Trajectory, Verdict
from ...errors import ConfigError, boundary
from .answers import final_answer, step_text
from .guests import guest
from .verifier import unjudged

PATTERNS = ("answer", "final", "did", "never", "each")
"""Checks by a regular expression: the answer is of its form; it is found in the last observation; in some action; in
no action; in the text of each step."""
KINDS = (*PATTERNS, "max_steps", "valid", "call")
SHAPE = 'A check is e.g. {answer = "-?[0-9]+"}, {never = "drop"}, {max_steps = 20} or {call = "module:function"}.'


class Found(NamedTuple):
    """What a check made of an attempt."""

    share: float | None
    """From 0 (broken) to 1 (kept); None where the check does not apply."""
    why: str
    faults: tuple[int, ...] = ()
    """Numbers of the steps that broke it."""


class Check(NamedTuple):
    """One rule."""

    text: str
    weight: float
    look: Callable[[Trajectory], Found]


class RuleVerifier:
    """Passes an attempt that keeps enough of its rules.

    Args:
        checks: tables with one rule each, and optionally `weight`.
        share: least weighted share of the rules that apply, for a pass.
        confidence: of every verdict; rules know no doubt, so this is the user's.

    Raises:
        ConfigError: a check is none that there is.
    """

    name = "rule"

    def __init__(self, checks: Sequence[Mapping[str, Any]] = (), share: float = 1.0, confidence: float = 1.0) -> None:
        if not checks:
            raise ConfigError("verifier rule has no checks.", hint=f"Set verify.options.checks. {SHAPE}")
        if not (0.0 <= share <= 1.0 and 0.0 < confidence <= 1.0):
            raise ConfigError(f"verifier rule takes shares as share and confidence, not {share} and {confidence}.")
        self._checks = [_check(number, entry) for number, entry in enumerate(checks)]
        self._share, self._confidence = share, confidence

    async def verify(self, trajectory: Trajectory) -> Verdict:
        """Judge by the rules that apply; where none does there is no judgement."""
        looked = [(check, check.look(trajectory)) for check in self._checks]
        known = [(check, found, found.share) for check, found in looked if found.share is not None]
        if not known:
            return unjudged(self.name, "no rule applies to this attempt")
        score = sum(check.weight * share for check, _, share in known) / sum(check.weight for check, _, _ in known)
        faults = {step for _, found in looked for step in found.faults}
        steps = tuple(-1.0 if number in faults else 1.0 for number in range(len(trajectory.steps)))
        broken = [found.why for _, found, share in known if share < 1.0]
        return Verdict(
            passed=score >= self._share,
            score=score,
            step_scores=steps if any(found.faults for _, found in looked) else (),
            confidence=self._confidence,
            critique="\n".join(broken),
            judge=self.name,
        )


def _check(number: int, entry: Mapping[str, Any]) -> Check:
    where = f"verify.options.checks[{number}]"
    named = [key for key in entry if key != "weight"] if isinstance(entry, Mapping) else []
    if named == ["stop"]:
        raise ConfigError(
            f"{where}.stop: how an attempt ended is not shown to verifiers.",
            hint="Whether its world ended it may be its outcome, and any other end says that it did not. Check what it "
            "did, e.g. {max_steps = 20}.",
        )
    if len(named) != 1 or named[0] not in KINDS:
        raise ConfigError(f"{where} names no one rule; there are: {', '.join(KINDS)}.", hint=SHAPE)
    kind, value, weight = named[0], entry[named[0]], entry.get("weight", 1.0)
    if not isinstance(weight, int | float) or not weight > 0:
        raise ConfigError(f"{where}.weight is {weight!r}, which is no positive number.")
    return Check(f"{kind} = {value!r}", float(weight), _look(kind, value, f"{where}.{kind}"))


def _look(kind: str, value: Any, where: str) -> Callable[[Trajectory], Found]:
    if kind in PATTERNS:
        with boundary(ConfigError, f"{where}: {value!r} is no regular expression"):
            pattern = re.compile(value, re.IGNORECASE | re.DOTALL)
        return {"answer": _answer, "final": _final, "did": _did, "never": _never, "each": _each}[kind](pattern)
    if kind == "call":
        return _call(value, where)
    if not isinstance(value, int) or value < 0:
        raise ConfigError(f"{where} is {value!r}, which is no number.", hint=SHAPE)
    if kind == "max_steps":
        return lambda t: Found(float(len(t.steps) <= value), f"It took {len(t.steps)} steps, more than {value}.")
    return lambda t: _invalid(t, value)


def _answer(pattern: re.Pattern[str]) -> Callable[[Trajectory], Found]:
    def look(trajectory: Trajectory) -> Found:
        given = final_answer(trajectory)
        right = given is not None and pattern.fullmatch(given) is not None
        return Found(float(right), f"The answer {given!r} is not of the form {pattern.pattern!r}.")

    return look


def _final(pattern: re.Pattern[str]) -> Callable[[Trajectory], Found]:
    def look(trajectory: Trajectory) -> Found:
        right = pattern.search(trajectory.final_observation) is not None
        return Found(float(right), f"What was seen last does not hold {pattern.pattern!r}.")

    return look


def _did(pattern: re.Pattern[str]) -> Callable[[Trajectory], Found]:
    def look(trajectory: Trajectory) -> Found:
        right = any(pattern.search(step.action or "") for step in trajectory.steps)
        return Found(float(right), f"No action was like {pattern.pattern!r}.")

    return look


def _never(pattern: re.Pattern[str]) -> Callable[[Trajectory], Found]:
    def look(trajectory: Trajectory) -> Found:
        faults = tuple(step.index for step in trajectory.steps if pattern.search(step.action or ""))
        at = ", ".join(str(step) for step in faults[:5])
        return Found(float(not faults), f"An action was like {pattern.pattern!r} (step {at}).", faults)

    return look


def _each(pattern: re.Pattern[str]) -> Callable[[Trajectory], Found]:
    def look(trajectory: Trajectory) -> Found:
        if not trajectory.steps:
            return Found(None, "")
        faults = tuple(step.index for step in trajectory.steps if not pattern.search(step_text(step)))
        share = 1.0 - len(faults) / len(trajectory.steps)
        return Found(share, f"{len(faults)} of {len(trajectory.steps)} steps hold no {pattern.pattern!r}.", faults)

    return look


def _invalid(trajectory: Trajectory, most: int) -> Found:
    faults = tuple(step.index for step in trajectory.steps if step.validity in ("unparseable", "not_admissible"))
    return Found(float(len(faults) <= most), f"{len(faults)} actions were none, more than {most}.", faults)


def _call(name: str, where: str) -> Callable[[Trajectory], Found]:
    function = guest(name, where)
    if not callable(function) or inspect.iscoroutinefunction(function):
        raise ConfigError(f"{where} {name} is no plain function.", hint="It takes an attempt and returns yes or no.")

    def look(trajectory: Trajectory) -> Found:
        # The function is the user's, and may raise anything.
        with boundary(ConfigError, f"{where} {name} failed at trajectory {trajectory.id}"):
            found = function(trajectory)
        value, why = found if isinstance(found, tuple) and len(found) == 2 else (found, "")
        if value is not None and not (isinstance(value, bool | int | float) and 0 <= value <= 1):
            raise ConfigError(
                f"{where} {name} returns {value!r} for trajectory {trajectory.id}.",
                hint="It returns yes or no, a share, None where it does not apply, or one of these with a sentence.",
            )
        return Found(None if value is None else float(value), why or f"{name} is not kept.")

    return look
