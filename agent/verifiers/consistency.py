"""Self-consistency: an answer is as good as it is frequent among attempts at the same task (Wang et al. 2022)."""

from __future__ import annotations

from collections import Counter

from ...core import Trajectory, Verdict
from ...errors import ConfigError
from .answers import final_answer
from .verifier import Siblings, unjudged


class ConsistencyVerifier:
    """Passes the most frequent answer, by a plurality; a tie of several is passed by none of them.

    The score is the share of attempts that gave this answer, the confidence the lead of the first over the second as
    a share of the votes. Attempts without an answer have no vote, and repaired ones only their last.

    In a run that goes on, only attempts that have ended have a vote, so the order in which they end matters: judge
    afterwards (`lamarck verify`) where this must be repeatable. An evolution does so by itself. What is sent back for
    repair is sent back while its siblings still play.

    Args:
        siblings: gives the other attempts.
        least: with fewer votes than this, nothing is said.
    """

    name = "consistency"
    by_siblings = True

    def __init__(self, siblings: Siblings | None = None, least: int = 3) -> None:
        if siblings is None:
            raise ConfigError("verifier consistency has no attempts to compare with.")
        self._siblings, self._least = siblings, least

    async def verify(self, trajectory: Trajectory) -> Verdict:
        """Count."""
        own = final_answer(trajectory)
        if own is None:
            return unjudged(self.name, "there is no answer")
        others = {one.sample: one for one in sorted(await self._siblings(trajectory), key=lambda one: one.attempt)}
        others.pop(trajectory.sample, None)
        given = [answer for one in others.values() if (answer := final_answer(one)) is not None]
        votes = Counter([own, *given])
        if votes.total() < self._least:
            return unjudged(self.name, f"there are {votes.total()} answers, and {self._least} are needed")
        (_, most), *rest = votes.most_common(2)
        second = rest[0][1] if rest else 0
        lead = (most - second) / votes.total()
        if lead == 0:
            return unjudged(self.name, f"two answers have {most} of {votes.total()} votes each")
        passed = votes[own] == most
        return Verdict(
            passed=passed,
            score=votes[own] / votes.total(),
            confidence=lead,
            critique=""
            if passed
            else f"{votes[own]} of {votes.total()} attempts gave this answer, {most} another one.",
            judge=self.name,
        )
