"""Attempts as a verifier saw them end: reward, success and score are what its verdict says, and nothing is the world's.

Whoever learns from verdicts reads attempts through `as_judged`, so that no outcome has to be looked away from.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import JsonValue, ValidationError

from .core import Trajectory, Verdict
from .errors import ConfigError

ENVIRONMENT = "environment"
"""Judge of the verdict that repeats the environment's outcome. It is no verifier's word."""
WITHOUT, ABSTAINED = "without a verdict", "verifier abstained"
WORTHLESS, UNSURE = "verdict does not count", "verdict not sure enough"
FAINT = 0.25
"""J below which the correction is held back: 1 / J makes more of such a word than a few dozen verdicts can warrant, and
of a coin, whose measured J is above 0 every second time, as much as it likes. Our own choice."""


def youden(accepts_wrong: float, rejects_right: float) -> float:
    """Return J = 1 - rho_0 - rho_1: at 0 a verifier says nothing, below it the opposite of the truth."""
    return 1.0 - accepts_wrong - rejects_right


def corrected(reward: float, accepts_wrong: float, rejects_right: float) -> float:
    """Return (r - rho_0) / (1 - rho_0 - rho_1): its mean is that of the true reward (Cai et al. 2025, backward).

    Theirs is about yes and no; a reward in between is corrected in the same way.

    Args:
        reward: r, what a verifier gave, in [0, 1].
        accepts_wrong: rho_0, the share of wrong attempts that it passes.
        rejects_right: rho_1, the share of right attempts that it does not pass; both together are not 1.
    """
    return (reward - accepts_wrong) / youden(accepts_wrong, rejects_right)


@dataclass(frozen=True)
class Word:
    """What a verifier's word is worth.

    Args:
        accepts_wrong: rho_0, the share of wrong attempts that it passes; None where that is not known.
        rejects_right: rho_1, the share of right attempts that it does not pass; None where that is not known.
        weight: what is left of its word beside this noise, in [0, 1]; at 0 it says nothing.
        least: verdicts with less confidence than this say nothing.
        why: the weight in words.

    Raises:
        ConfigError: one of them is no share, or only one of the two error rates is known.
    """

    accepts_wrong: float | None = None
    rejects_right: float | None = None
    weight: float = 1.0
    least: float = 0.0
    why: str = ""

    def __post_init__(self) -> None:
        known = [rate for rate in (self.accepts_wrong, self.rejects_right) if rate is not None]
        if len(known) == 1:
            raise ConfigError("a verifier's noise is two error rates: wrong ones accepted, right ones rejected.")
        for value in (*known, self.weight, self.least):
            if not 0.0 <= value <= 1.0:
                raise ConfigError(f"error rates, weight and confidence of a verifier are in [0, 1], not {value}.")

    @classmethod
    def of(cls, entry: Mapping[str, Any], least: float = 0.0) -> Word:
        """Return the word of a verifier from its entry in what `lamarck verify agreement --json` prints.

        Where both error rates are known, `entry["weight"]` is J, which the correction makes up for, unless it drifts;
        what is left beside the correction is then weight / J.

        Args:
            entry: an agreement as plain JSON.
            least: see the class.

        Raises:
            ConfigError: it is none.
        """
        try:
            weight, why, n = float(entry["weight"]), str(entry["why"]), int(entry["n"])
            wrong, right = entry["accepts_wrong"]["value"], entry["rejects_right"]["value"]
            informed = entry["youden"]
        except (KeyError, TypeError, ValueError) as error:
            raise ConfigError(f"an agreement of a verifier is damaged: {error!r}.") from error
        # `agreement` gives the weight 1 until there are enough verdicts: then the rates are not to be relied on either.
        known = n > 0 and informed is not None and wrong is not None and right is not None and weight != 1.0
        if not known:
            return cls(weight=weight, least=least, why=why)
        left = min(1.0, weight / informed) if informed > 0.0 else 0.0
        return cls(float(wrong), float(right), weight=left, least=least, why=why)

    @property
    def youden(self) -> float:
        """1 - rho_0 - rho_1; 1 where the noise is not known."""
        return youden(*self._rates)

    def reward(self, verdict: Verdict) -> float:
        """Return what an attempt got by a verdict that says something.

        The score is corrected (see `corrected`). The less the word counts beside that, the nearer it is drawn to 1/2,
        which prefers nothing. So it is as well where J is below `FAINT`, by (J / `FAINT`) squared: pass and failure are
        never more than 1 / `FAINT` apart, and the less so the nearer J is to 0, where a word says nothing.
        """
        counts = self.weight * min(1.0, (self.youden / FAINT) ** 2)
        return 0.5 + counts * (corrected(verdict.score, *self._rates) - 0.5)

    @property
    def _rates(self) -> tuple[float, float]:
        """rho_0 and rho_1, which are 0 where the noise is not known."""
        return self.accepts_wrong or 0.0, self.rejects_right or 0.0


PLAIN = Word()
"""A word that is taken as it is."""


def silent(trajectory: Trajectory, word: Word = PLAIN) -> str | None:
    """Say why nothing can be learned from the verdict on an attempt, or None where something can."""
    verdict = trajectory.verdict
    if "unjudged" in trajectory.meta:
        return ABSTAINED
    if verdict is None or verdict.judge == ENVIRONMENT:
        return WITHOUT
    if verdict.confidence <= 0.0:
        return ABSTAINED
    if word.weight == 0.0 or word.youden <= 0.0 or not math.isfinite(word.youden):
        return WORTHLESS
    return UNSURE if verdict.confidence < word.least else None


def abstained(verdict: Verdict) -> dict[str, JsonValue]:
    """Return what an attempt keeps, as `meta["unjudged"]`, of a verdict that says nothing: by whom, why, and what the
    members of a vote said nevertheless."""
    found: dict[str, JsonValue] = {"judge": verdict.judge, "why": verdict.critique}
    members: list[JsonValue] = [one.model_dump(mode="json") for one in verdict.members]
    return found | ({"members": members} if members else {})


def abstention(trajectory: Trajectory) -> Verdict | None:
    """Return the verdict that says nothing which `abstained` kept of an attempt; None where it has none."""
    told = trajectory.meta.get("unjudged")
    if not isinstance(told, dict):
        return None
    kept = told.get("members")
    try:
        members = tuple(Verdict.model_validate(one) for one in kept) if isinstance(kept, list) else ()
    except ValidationError:  # of another version: who abstained and why is known all the same
        members = ()
    why, judge = str(told.get("why", "")), str(told.get("judge"))
    return Verdict(passed=False, score=0.5, confidence=0.0, critique=why, judge=judge, members=members)


def as_judged(trajectory: Trajectory, word: Word = PLAIN) -> Trajectory:
    """Return an attempt whose success, score and rewards are what its verdict says.

    The whole reward is given to the last step. What the world said beside its texts, and the truth of the task, are
    taken out. Where the verdict says nothing (see `silent`) there is neither verdict nor reward, success or score.
    Doing it again changes nothing.

    Args:
        trajectory: the attempt, with its steps or without.
        word: what the word of its judge is worth.
    """
    verdict = None if trajectory.failure is not None or silent(trajectory, word) else trajectory.verdict
    reward = word.reward(verdict) if verdict is not None else None
    last = len(trajectory.steps) - 1
    steps = tuple(
        step.model_copy(update={"reward": reward or 0.0 if at == last else 0.0, "info": {}})
        for at, step in enumerate(trajectory.steps)
    )
    task = trajectory.task
    return trajectory.model_copy(
        update={
            "task": task.model_copy(update={"truth": None}) if task.truth is not None else task,
            "steps": steps,
            "verdict": verdict,
            "reward": reward,
            "success": verdict.passed if verdict is not None else None,
            "score": verdict.score if verdict is not None else None,
        }
    )


def as_ended(trajectory: Trajectory) -> Trajectory:
    """Return an attempt without the word of any verifier: what counts is how the world says that it ended."""
    other = trajectory.verdict is not None and trajectory.verdict.judge != ENVIRONMENT
    return trajectory.model_copy(update={"verdict": None}) if other else trajectory
