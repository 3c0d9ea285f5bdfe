"""From what was said and answered in turn to the steps of a trajectory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from ...core import Message, Step, Validity


class Turn(NamedTuple):
    """One answer of the model and what came back."""

    said: str
    action: str | None
    """What was given to the world; None for a thought."""
    answer: str
    """What the model read then."""
    validity: Validity = "valid"
    shows: bool = True
    """Whether the answer shows the world; False for the `OK.` to a thought."""


def steps_of(start: str, turns: Sequence[Turn], *, reward: float, success: bool, terminated: bool) -> tuple[Step, ...]:
    """Return the steps of an episode whose only reward came at its end.

    The prompt of each step is the whole talk before it. What a step has observed is the world as it was last shown.

    Args:
        start: what was seen first.
        turns: in order.
        reward: of the last step.
        success: what the world said at the end, for the `info` of the last step.
        terminated: whether the world ended the episode.
    """
    steps: list[Step] = []
    talk = [Message(role="user", content=start)]
    seen = start
    for index, turn in enumerate(turns):
        last = index == len(turns) - 1
        steps.append(
            Step(
                index=index,
                observation=seen,
                messages=tuple(talk),
                completion=turn.said,
                action=turn.action,
                validity=turn.validity,
                reward=reward if last else 0.0,
                terminated=last and terminated,
                info={"success": success} if last else {},
            )
        )
        talk += [Message(role="assistant", content=turn.said), Message(role="user", content=turn.answer)]
        seen = turn.answer if turn.shows else seen
    return tuple(steps)
