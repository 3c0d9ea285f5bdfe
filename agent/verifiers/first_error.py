"""Where an attempt went wrong first: by the scores of its steps, or by asking about its beginnings."""

from __future__ import annotations

from ...core import Trajectory, Usage, Verdict
from ..hooks import Judged
from .blinded import ENDED
from .verifier import Verifier, ask, says_something


def first_error(verdict: Verdict, bound: float = 0.0) -> int | None:
    """Return the first step whose score is below `bound`; None where there is none, or no step was scored."""
    return next((number for number, score in enumerate(verdict.step_scores) if score < bound), None)


async def bisect_error(
    trajectory: Trajectory, verifier: Verifier, whole: Judged | None = None
) -> tuple[int | None, Usage]:
    """Find the first step at fault with a verifier that passes or fails beginnings of an attempt as a whole.

    For a verifier without step scores. It is asked about log2(steps) beginnings, as OmegaPRM (Luo et al. 2024) does
    with sampled continuations, and on the same assumption: a beginning that fails makes all longer ones fail. Where
    it could not judge a beginning, that one counts as passed, so the error is sought behind it.

    Args:
        trajectory: the attempt.
        verifier: who is asked.
        whole: what it said of the whole; it is asked if not given.

    Returns:
        The number of the step with which the shortest failing beginning ends, None where the whole passes or could
        not be judged; and what asking took.
    """
    whole = whole or await ask(verifier, trajectory)
    spent = whole.usage
    if whole.verdict.passed or not says_something(whole.verdict) or not trajectory.steps:
        return None, spent
    low, high = 0, len(trajectory.steps)  # a beginning of `low` steps passes, one of `high` fails
    while high - low > 1:
        middle = (low + high) // 2
        said = await ask(verifier, beginning(trajectory, middle))
        spent = spent + said.usage
        if says_something(said.verdict) and not said.verdict.passed:
            high = middle
        else:
            low = middle
    return high - 1, spent


def beginning(trajectory: Trajectory, steps: int) -> Trajectory:
    """Return the first steps of an attempt as an attempt that was broken off there."""
    after = trajectory.steps[steps].observation if steps < len(trajectory.steps) else trajectory.final_observation
    return trajectory.model_copy(
        update={
            "steps": trajectory.steps[:steps],
            "final_observation": after if after != ENDED else "",
            "stop": "max_steps" if steps < len(trajectory.steps) else trajectory.stop,
        }
    )
