"""Trajectories as chats in OpenAI's shape: what the importer `chat` reads, and what hosted trainers take."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..core import Message, Trajectory
from ..errors import ConfigError
from ..store_io import open_lines, whole_file
from .segments import trained_messages
from .strip import bare_messages
from .texts import answer, chat_form, named


def export_chats(trajectories: Iterable[Trajectory], path: str | Path, *, strip: bool = False) -> int:
    """Write one chat a line, and return how many; a trajectory whose prompts do not go on from each other has several.

    Answers that are in a chat only as context (those of steps on an earlier line, worked examples) have `"weight": 0`,
    so that every answer is learned from once. The outcome of the whole attempt stands on each of its lines.

    Args:
        trajectories: any; those that infrastructure ended are left out.
        path: a .jsonl or .jsonl.gz file.
        strip: take what was recalled out of the prompts.

    Raises:
        ConfigError: the suffix is another.
        StoreError: the file cannot be written; nothing is left behind then.
    """
    path = Path(path)
    if not path.name.endswith((".jsonl", ".jsonl.gz")):
        raise ConfigError(f"chats are written as JSON lines, not to {path}.", hint="Name it .jsonl or .jsonl.gz.")
    count = 0
    with whole_file(path) as temporary, open_lines(temporary, "wb") as file:
        for trajectory in trajectories:
            for chat in chats(trajectory, strip=strip):
                file.write(json.dumps(chat, ensure_ascii=False).encode() + b"\n")
                count += 1
    return count


def chats(trajectory: Trajectory, *, strip: bool = False) -> list[dict[str, Any]]:
    """Return the chats of a trajectory, as they stand on lines of a file; none of one that infrastructure ended."""
    if trajectory.failure is not None:
        return []
    parts = list(_parts(trajectory, strip))
    task = trajectory.task
    known = {
        "task": task.id,
        "goal": task.goal,
        "environment": task.environment,
        "split": task.split,
        "category": task.category,
        "group": trajectory.group_id,
        "reward": trajectory.reward,
        "score": trajectory.score,
        "success": trajectory.success,
        "model": next((step.model for step in trajectory.steps if step.model), ""),
    }
    # An empty split is kept, since a chat that names none is taken for one to train on.
    told = {key: value for key, value in known.items() if key == "split" or value not in (None, "")}
    whole = len(parts) == 1
    # A single reward at the end needs no place of its own; those of a part would not add up to the whole.
    rewards = whole and any(step.reward for step in trajectory.steps[:-1])
    rewards = rewards and math.isclose(sum(parts[0].own.values()), trajectory.reward or 0.0, abs_tol=1e-6)
    return [
        {
            "messages": _messages(part, rewards=rewards),
            "id": trajectory.id if whole else f"{trajectory.id}/{n}",
            **told,
        }
        for n, part in enumerate(parts)
    ]


@dataclass(frozen=True)
class _Part:
    """A stretch of talk that goes on without a break."""

    talk: tuple[Message, ...]
    own: Mapping[int, float]
    """Which of its messages are answers of its steps, with what each was rewarded by."""


def _parts(trajectory: Trajectory, strip: bool) -> Iterator[_Part]:
    part = _Part((), {})
    for step in trajectory.steps:
        said = answer(step)
        if said is None:
            continue
        with named(trajectory, step):
            prompt = bare_messages(step) if strip else step.messages
        if prompt[: len(part.talk)] != part.talk:
            yield part
            part = _Part((), {})
        asked = {at: 0.0 for at, own in enumerate(trained_messages(step)) if own}
        part = _Part((*prompt, said), {**part.own, **asked, len(prompt): step.reward})
    if part.own:
        yield part


def _messages(part: _Part, *, rewards: bool) -> list[dict[str, Any]]:
    form = chat_form(part.talk, as_text=True)
    for at, message in enumerate(form):
        if message["role"] == "assistant" and at not in part.own:
            message["weight"] = 0
        if rewards and part.own.get(at):
            message["reward"] = part.own[at]
    return form
