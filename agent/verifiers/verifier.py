"""What a verifier is: it reads an attempt and says what it makes of it."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol, runtime_checkable

from ...core import ToolCall, Trajectory, Verdict
from ...errors import LamarckError
from ..hooks import Judged

log = logging.getLogger("lamarck.run")

Siblings = Callable[[Trajectory], Awaitable[Sequence[Trajectory]]]
"""Gives the attempts at the same task that a verifier may compare with, without their outcomes."""

UNKNOWN = "could not judge"


class Verifier(Protocol):
    """Judges attempts. Entry-point group `lamarck.verifiers`.

    The entry point (or `module:Class`) is called with the options of the configuration as keyword arguments, and with
    those of `llm`, `prompts`, `toolbox`, `siblings`, `record` and `make` that it names: see `table.Parts`.

    Where what it says of an attempt hangs on the attempts beside it, the class says so by `by_siblings = True`: its
    word counts only once all of them have ended.
    """

    name: str

    async def verify(self, trajectory: Trajectory) -> Verdict:
        """Judge an attempt, of which ground truth and outcome were taken out.

        One step score in [-1, 1] for each step, or none. A verdict with confidence 0 says nothing: see `unjudged`.

        Raises:
            ModelError, SandboxError: what it needs does not answer; the attempt is judged again later.
        """
        ...


@runtime_checkable
class Counting(Protocol):
    """A verifier that says what judging took."""

    async def judge(self, trajectory: Trajectory) -> Judged:
        """Judge as `verify` does; return what that took as well."""
        ...


@runtime_checkable
class Seeing(Protocol):
    """A verifier that needs the outcome, which others are not shown."""

    sees_outcome: bool


async def ask(verifier: Verifier, trajectory: Trajectory) -> Judged:
    """Return a verifier's verdict with what it took, as far as it says.

    One that breaks at an attempt, by an error that it does not foresee, could not judge it: what a model wrote must not
    end a whole evolution, and end it again each time that it is gone on with.

    Raises:
        LamarckError: what it needs does not answer, or how it is set up is wrong.
    """
    try:
        if isinstance(verifier, Counting):
            judged = await verifier.judge(trajectory)
        else:
            judged = Judged(await verifier.verify(trajectory))
        if not isinstance(judged.verdict, Verdict):
            raise TypeError(f"it gave {type(judged.verdict).__name__}, and no verdict")
        return judged
    except LamarckError:
        raise
    except Exception as error:  # the class may be a guest's
        log.warning("verifier %s broke at attempt %s", verifier.name, trajectory.id, exc_info=True)
        return Judged(unjudged(verifier.name, f"it broke: {type(error).__name__}: {error}"[:300]))


def unjudged(judge: str, why: str, evidence: Sequence[ToolCall] = ()) -> Verdict:
    """Return the verdict of a verifier that could not judge: no pass, no score either way, and no confidence."""
    return Verdict(
        passed=False, score=0.5, confidence=0.0, critique=f"{UNKNOWN}: {why}", evidence=tuple(evidence), judge=judge
    )


def says_something(verdict: Verdict) -> bool:
    """Say whether there is a judgement in a verdict: one with confidence 0 has none, whatever else it holds."""
    return verdict.confidence > 0.0
