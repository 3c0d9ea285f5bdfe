"""The WebShop episodes that were published with ReAct (Yao et al. 2023): a session, its steps and its reward.

The first step is the reset. `think[...]` is a thought: the shop did not see it, and `OK.` is what the model read.
The prompt's worked example is not in the file, so prompts begin with the first page. The sessions are the first goals
of WebShop's shuffled list, which are its test set, in a shop of 1.18 million products.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...core import Origin, Task, Trajectory, content_id
from .importer import Entry, Given, entry_id
from .turns import Turn, steps_of

NAME = "react-webshop"
BOUGHT = "Your score (min 0.0, max 1.0)"
INVALID = "Invalid action!"


class _Step(Entry):
    action: str
    observation: str


class _Episode(Entry):
    session: str
    instruction: str
    reward: float
    success: bool
    steps: tuple[_Step, ...]


def recognises(entry: Mapping[str, Any]) -> bool:
    """Say whether an entry has this format's keys."""
    return {"session", "instruction", "steps"} <= entry.keys()


def read(text: str | bytes, given: Given) -> Trajectory:
    """Return the trajectory of one line.

    Raises:
        ValueError: a field is missing or wrong, or the episode does not begin with a reset.
    """
    episode = _Episode.model_validate_json(text)
    if len(episode.steps) < 2 or episode.steps[0].action != "reset":
        raise ValueError("steps: the first one is the reset, and at least one other follows")
    first, *rest = episode.steps
    split = given.split if given.split is not None else "test"
    task = Task(
        id=f"webshop/react/{episode.session}",
        goal=episode.instruction,
        environment="webshop",
        split=split,
        origin=Origin(by=NAME),
    )
    bought = rest[-1].action.lower() == "click[buy now]" and rest[-1].observation != INVALID
    steps = steps_of(
        first.observation,
        [_turn(step) for step in rest],
        reward=episode.reward,
        success=episode.success,
        terminated=bought,
    )
    return Trajectory(
        id=entry_id(NAME, text, split),
        run_id=NAME,
        task=task,
        group_id=content_id(NAME, task.id),
        steps=steps,
        final_observation=rest[-1].observation,
        stop="terminated" if bought else "max_steps",
        reward=episode.reward,
        success=episode.success,
        score=min(1.0, max(0.0, episode.reward)),
        meta={"imported": NAME, **(episode.model_extra or {})},
    )


def _turn(step: _Step) -> Turn:
    thought = step.action.startswith("think[")
    return Turn(
        said=step.action,
        action=None if thought else step.action,
        answer=step.observation,
        validity="not_admissible" if step.observation == INVALID else "valid",
        shows=not thought,
    )
