"""Distilling by a model with a prompt; what it answers is checked, and stamped with where it comes from by us."""

from __future__ import annotations

import asyncio
import json
import logging
import re
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError
from typing import Any, Protocol, runtime_checkable

from ..config_memory import DistilConfig
from ..core import Item, Message, Reply, Sampling, Trajectory, Usage
from ..errors import ModelError
from ..memory.credit import judged, succeeded
from ..memory.items import make_item
from ..memory.merge import Same, alike
from ..memory.scripts import distil as distil_script
from ..seams import LLM
from .prompting import Prompts
from .verifiers.blinded import blind_end

log = logging.getLogger("lamarck.memory")

KINDS = ("principle", "skill", "warning")
PROTOCOL = re.compile(r"</?(think|action|tool_call|s)>|<\||\|>|\[/?INST\]", re.IGNORECASE)
COLLAPSED = re.compile(r"(.)\1{7,}|(\b\w+\b)(\W+\2\b){5,}")
"""A character eight times or a word six times in a row: text of a model that has come apart."""
SHOWN_STEPS = 40
SHOWN_CHARS = 240
WAIT_S = 120.0


class Distiller(Protocol):
    """Makes items of attempts at one task, the last of which is new."""

    async def distil(self, trajectories: Sequence[Trajectory]) -> list[Item]: ...


@runtime_checkable
class Asking(Protocol):
    """A distiller that asks a model, and says what that took."""

    def took(self) -> Usage:
        """Return what was used since this was last asked."""
        ...


class ScriptDistiller:
    """Distils without a model; see `lamarck.memory.scripts`."""

    def __init__(self, config: DistilConfig) -> None:
        self._config = config

    async def distil(self, trajectories: Sequence[Trajectory]) -> list[Item]:
        """Return items from a group of attempts at one task."""
        return distil_script(trajectories, self._config)


class LLMDistiller:
    """Asks a model; where it gives nothing usable, distils without one.

    The model sees goal, actions, observations and whether an attempt succeeded: never the task's ground truth, nor
    what the environment reports beside its text.

    Args:
        llm: the model.
        prompts: has the prompt `distil`.
        config: how many items, how long.
        hide_end: show no last observation, whatever ended an attempt. Where the truth is withheld, one whose world has
            ended it has none to show, and one that ended otherwise has: that would be the outcome of many a world.
    """

    def __init__(self, llm: LLM, prompts: Prompts, config: DistilConfig, *, hide_end: bool = False) -> None:
        self._llm = llm
        self._hide_end = hide_end
        self._prompts = prompts
        self._config = config
        self._used = Usage()

    def count(self, usage: Usage) -> None:
        """Add what else was asked for the sake of items: whether two of them say the same."""
        self._used = self._used + usage

    def took(self) -> Usage:
        """Return what was used since this was last asked, whether the answers were usable or not."""
        used, self._used = self._used, Usage()
        return used

    async def distil(self, trajectories: Sequence[Trajectory]) -> list[Item]:
        """Return items from a group of attempts at one task."""
        told = judged(trajectories)
        if not told:
            return []
        seen = [blind_end(one) for one in told] if self._hide_end else told
        text = self._prompts.fill(
            "distil",
            limit=str(self._config.max_items),
            goal=told[-1].task.goal,
            records="\n\n".join(record_text(number, t) for number, t in enumerate(seen, 1)),
        )
        try:
            reply = await self._llm.chat([Message(role="user", content=text)], sampling=Sampling(max_tokens=1024))
            self.count(reply.usage)
            items = self._items(reply.text, told, reply.model or self._llm.name)
        except (ModelError, ValueError, RecursionError) as error:
            log.warning("distilling %s by script, since the model failed: %s", trajectories[-1].id, error)
            items = []
        return items or distil_script(trajectories, self._config)

    def _items(self, text: str, told: Sequence[Trajectory], model: str) -> list[Item]:
        made = []
        for entry in parse_list(text)[: self._config.max_items]:
            reason = unfit(entry, self._config.max_chars)
            if reason:
                log.info("left out a distilled item of %s: %s", told[-1].id, reason)
                continue
            made.append(
                make_item(
                    entry["kind"],
                    entry["applies"].strip(),
                    entry["content"].strip(),
                    trajectory_ids=[trajectory.id for trajectory in reversed(told)],
                    release_id=told[-1].release_id,
                    model=model,
                    category=told[-1].task.category,
                    by="llm",
                )
            )
        return made


def llm_same(llm: LLM, prompts: Prompts, count: Callable[[Usage], None] = lambda usage: None) -> Same:
    """Return a check whether two items say the same that asks a model; for use from another thread than the loop's.

    A model that does not answer leaves it to the comparison of words.

    Args:
        llm: the model.
        prompts: has the prompt `same`.
        count: told, on the loop, what each answer took.
    """
    loop = asyncio.get_running_loop()

    async def ask(text: str) -> Reply:
        reply = await llm.chat([Message(role="user", content=text)], sampling=Sampling(max_tokens=8))
        count(reply.usage)
        return reply

    def same(old: Item, new: Item) -> bool:
        text = prompts.fill(
            "same", one_applies=old.applies, one=old.content, other_applies=new.applies, other=new.content
        )
        future = asyncio.run_coroutine_threadsafe(ask(text), loop)
        try:
            reply = future.result(WAIT_S)
        except (ModelError, TimeoutError, CancelledError) as error:
            future.cancel()
            why = str(error) or type(error).__name__
            log.warning("comparing two items by their words, since the model failed: %s", why)
            return alike(old, new)
        return reply.text.strip().lower().startswith("yes")

    return same


def record_text(number: int, trajectory: Trajectory) -> str:
    """Return an attempt as a prompt shows it, its middle left out where it is long."""
    lines = [f"Record {number}: the attempt {'succeeded' if succeeded(trajectory) else 'failed'}."]
    for step in trajectory.steps:
        lines.append(f"Seen: {_short(step.observation)}")
        lines.append(f"Did: {step.action or '(nothing usable)'}")
    lines.append(f"Seen: {_short(trajectory.final_observation)}")
    if len(lines) > 2 * SHOWN_STEPS:
        cut = len(lines) - 2 * SHOWN_STEPS
        lines = [*lines[:SHOWN_STEPS], f"({cut} lines left out)", *lines[-SHOWN_STEPS:]]
    return "\n".join(lines)


def parse_list(text: str) -> list[dict[str, Any]]:
    """Return the objects of the first JSON list in a text; none where there is no such list."""
    start = text.find("[")
    while start >= 0:
        try:
            value, _ = json.JSONDecoder().raw_decode(text[start:])
        except (ValueError, RecursionError):
            start = text.find("[", start + 1)
            continue
        found = [entry for entry in value if isinstance(entry, dict)] if isinstance(value, list) else []
        if found:
            return found
        start = text.find("[", start + 1)
    return []


def unfit(entry: dict[str, Any], max_chars: int) -> str:
    """Return why a distilled item cannot be kept, or nothing."""
    if entry.get("kind") not in KINDS:
        return f"kind {entry.get('kind')!r}"
    for key in ("applies", "content"):
        value = entry.get(key)
        if not isinstance(value, str) or not value.strip():
            return f"no {key}"
        if len(value) > max_chars:
            return f"{key} of {len(value)} characters"
        if any("\ud800" <= letter <= "\udfff" for letter in value):
            return f"broken characters in {key}"
        if PROTOCOL.search(value):
            return f"tokens of the protocol in {key}"
        if COLLAPSED.search(value):
            return f"repetitions in {key}"
    return ""


def _short(text: str) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= SHOWN_CHARS else flat[: SHOWN_CHARS - 3] + "..."
