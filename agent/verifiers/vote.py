"""Several verifiers as one: each says its word with its weight, and how sure it is."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ...core import Trajectory, Usage, Verdict
from ...errors import ConfigError
from ...judged import ENVIRONMENT
from ..hooks import Judged
from .verifier import Verifier, ask, says_something, unjudged

Make = Callable[[str, Mapping[str, Any]], Verifier]
"""Makes a verifier of its name and options."""


class VoteVerifier:
    """Weighs verdicts by the weight of who gives them times their confidence.

    A member that could not judge, or whose weight is 0, has no say. The confidence of the whole is that of its
    members, less what they disagree: sum(w c s) / sum(w) with s = 1 for a pass and -1 else, without its sign. So two
    members of equal weight and confidence that say the opposite could not judge.

    Its verdict keeps what each member said, also of those who have no say, so that how often each is right is measured
    beside the whole (see `tally`). What is found changes nothing here: their weights stay as they are set.

    Args:
        members: tables with `by`, and optionally `options` and `weight`.
        make: makes the members.

    Raises:
        ConfigError: there are none, or one of them is no verifier.
    """

    name = "vote"

    def __init__(self, members: Sequence[Mapping[str, Any]] = (), make: Make | None = None) -> None:
        if not members or make is None:
            raise ConfigError(
                "verifier vote has no members.",
                hint='Set verify.options.members, e.g. [{by = "recompute"}, {by = "judge", weight = 0.5}].',
            )
        self._members: list[tuple[Verifier, float]] = []
        for number, entry in enumerate(members):
            where = f"verify.options.members[{number}]"
            if not isinstance(entry, Mapping) or not isinstance(entry.get("by"), str):
                raise ConfigError(f"{where} does not say which verifier it is.", hint='A member is e.g. {by = "rule"}.')
            unknown = sorted(set(entry) - {"by", "options", "weight"})
            if unknown:
                raise ConfigError(f"{where}.{unknown[0]}: there are by, options and weight.")
            weight = entry.get("weight", 1.0)
            if isinstance(weight, bool) or not isinstance(weight, int | float) or not weight >= 0:
                raise ConfigError(f"{where}.weight is {weight!r}, which is no weight.")
            if entry["by"] == "environment":
                raise ConfigError(f"{where}: the environment knows the outcome and needs no vote.")
            self._members.append((make(entry["by"], entry.get("options", {})), float(weight)))

    async def verify(self, trajectory: Trajectory) -> Verdict:
        """Ask all and weigh what they say."""
        return (await self.judge(trajectory)).verdict

    async def judge(self, trajectory: Trajectory) -> Judged:
        """Ask all, at once; return what that took as well."""
        said = await asyncio.gather(*(ask(member, trajectory) for member, _ in self._members))
        usage = sum((one.usage for one in said), Usage())
        weights = [weight for _, weight in self._members]
        heard = tuple(judgement for one in said for judgement in one.heard)
        verdicts = [_own(one.verdict, member) for one, (member, _) in zip(said, self._members, strict=True)]
        whole = weighed(verdicts, weights, len(trajectory.steps), self.name)
        members = tuple(one.model_copy(update={"evidence": ()}) for one in verdicts)
        return Judged(whole.model_copy(update={"members": members}), usage, heard)


def _own(verdict: Verdict, member: Verifier) -> Verdict:
    """Return a verdict under its member's name, where it does not say who judged: the environment has no vote."""
    return verdict.model_copy(update={"judge": member.name}) if verdict.judge == ENVIRONMENT else verdict


def weighed(verdicts: Sequence[Verdict], weights: Sequence[float], steps: int, judge: str) -> Verdict:
    """Return what several verdicts come to.

    Args:
        verdicts: of one attempt.
        weights: of those who gave them, at least 0.
        steps: how many steps the attempt has.
        judge: who is said to have judged.
    """
    pairs = zip(verdicts, weights, strict=True)
    heard = [(verdict, weight) for verdict, weight in pairs if weight > 0 and says_something(verdict)]
    if not heard:
        return unjudged(judge, "none of its members could judge")
    power = [verdict.confidence * weight for verdict, weight in heard]
    balance = sum(part if verdict.passed else -part for (verdict, _), part in zip(heard, power, strict=True))
    confidence = min(1.0, abs(balance) / sum(weight for _, weight in heard))
    evidence = [call for verdict, _ in heard for call in verdict.evidence]
    critique = "\n".join(f"{v.judge}: {v.critique}" for v, _ in heard if v.critique and v.passed == (balance > 0))
    if confidence <= 1e-9:
        return unjudged(judge, "its members contradict each other", evidence)
    return Verdict(
        passed=balance > 0,
        score=sum(v.score * part for (v, _), part in zip(heard, power, strict=True)) / sum(power),
        step_scores=_step_scores(heard, power, steps),
        confidence=confidence,
        critique=critique,
        evidence=tuple(evidence),
        judge=judge,
    )


def _step_scores(heard: Sequence[tuple[Verdict, float]], power: Sequence[float], steps: int) -> tuple[float, ...]:
    """Return the weighted mean of the step scores of those who gave some."""
    known = [(v.step_scores, part) for (v, _), part in zip(heard, power, strict=True) if len(v.step_scores) == steps]
    if not known or not steps:
        return ()
    whole = sum(part for _, part in known)
    return tuple(sum(scores[n] * part for scores, part in known) / whole for n in range(steps))
