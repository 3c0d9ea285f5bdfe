"""The ALFWorld train episodes that were published with KnowAgent (Zhu et al. 2024): one text an episode.

Lines that begin with `> ` are the model's, all others the world's. Lines of thought (`Think:`, `ActionPath:`) up to
the next command are one answer with it. Commands are kept as they were given, in the old grammar (`put X in/on Y`,
where newer games say `move X to Y`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ...core import Origin, Task, Trajectory, content_id
from .importer import Entry, Given, entry_id
from .turns import Turn, steps_of

NAME = "knowagent-alfworld"
MARK = "> "
NOTHING = "Nothing happens."

_GOAL = re.compile(r"^Your task is to: *(.+?)\.? *$", re.MULTILINE)
_THOUGHT = re.compile(r"(?:Think|ActionPath)\b")


class _Episode(Entry):
    name: str
    result: bool
    traj: str


def recognises(entry: Mapping[str, Any]) -> bool:
    """Say whether an entry has this format's keys."""
    return {"name", "result", "traj"} <= entry.keys()


def read(text: str | bytes, given: Given) -> Trajectory:
    """Return the trajectory of one line.

    Raises:
        ValueError: a field is missing or wrong, or the text holds no goal or no answer.
    """
    episode = _Episode.model_validate_json(text)
    start, turns = parse(episode.traj)
    goal = _GOAL.search(start)
    if goal is None or not turns:
        raise ValueError(f"traj: it holds no {'answer of the model' if goal else 'line `Your task is to: ...`'}")
    split = given.split if given.split is not None else "train"
    folder = f"json_2.1.1/train/{episode.name}"
    task = Task(
        id=f"alfworld/{folder}",
        goal=goal[1],
        environment="alfworld",
        options={"game": f"{folder}/game.tw-pddl", "grammar": "put"},
        split=split,
        category=episode.name.split("-")[0],
        origin=Origin(by=NAME),
    )
    won = episode.result
    return Trajectory(
        id=entry_id(NAME, text, split),
        run_id=NAME,
        task=task,
        group_id=content_id(NAME, task.id),
        steps=steps_of(start, turns, reward=float(won), success=won, terminated=won),
        final_observation=turns[-1].answer,
        # The file does not say why the others ended; the published code stops them after a number of steps.
        stop="terminated" if won else "max_steps",
        reward=float(won),
        success=won,
        score=float(won),
        meta={"imported": NAME, "grammar": "put X in/on Y", **(episode.model_extra or {})},
    )


def parse(text: str) -> tuple[str, list[Turn]]:
    """Return what was seen first, and the turns after it.

    A turn ends with a command, or where the world has answered a thought.
    """
    seen: list[str] = []
    turns: list[Turn] = []
    said: list[str] = []
    action: str | None = None
    start = None
    for line in [*text.split("\n"), MARK]:
        if not line.startswith(MARK):
            seen.append(line)
            continue
        reply = "\n".join(seen).strip("\n")
        if start is None:
            start = reply
        elif said and (action is not None or reply):
            turns.append(_turn(said, action, reply))
            said, action = [], None
        seen = []
        written = line[len(MARK) :]
        said.append(written)
        if written.strip() and not _THOUGHT.match(written):
            action = written.strip()
    if any(said[:-1]):
        turns.append(_turn(said[:-1], None, ""))
    return start or "", turns


def _turn(said: list[str], action: str | None, reply: str) -> Turn:
    if action is None:
        # An answer of the world to thoughts alone: it was given something that is no command, or that was cut off.
        return Turn("\n".join(said), None, reply, "unparseable" if reply else "valid", shows=bool(reply))
    return Turn("\n".join(said), action, reply, "no_effect" if reply == NOTHING else "valid")
