"""From the state of an episode to the messages a model is sent.

The messages only grow at the end until the history window moves, and it moves by half its length at once, so
that a model's prefix cache holds for most steps.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from string import Template
from typing import Any, NotRequired, TypedDict

from ..core import Message, Task, ToolCall, ToolSpec
from ..errors import ConfigError
from . import prompts as prompt_files
from .actions import is_open

NAMES = (
    "system_choice",
    "system_text",
    "system_tools",
    "system_react",
    "system_submit",
    "first",
    "turn",
    "recalled",
    "reflect",
    "reflections",
    "distil",
    "same",
)
SO_FAR = "What you did so far:"
LEFT_OUT = "({} earlier steps are left out)"
LINE = 100
"""Longest action and longest result, in characters, that a summary line keeps."""


class Turn(TypedDict):
    """One past decision as the prompt shows it."""

    action: str
    observation: str
    """What the action led to."""
    said: NotRequired[str]
    """The whole answer, where the protocol keeps it in the prompt."""
    call: NotRequired[dict[str, Any]]
    """The call that acted (`id`, `name`, `arguments`), where it was as asked for."""


class History(TypedDict):
    """What the prompt remembers of an episode; its size does not grow with the episode."""

    start: str
    recent: list[Turn]
    summary: list[str]
    dropped: int
    """Steps that stand neither in `recent` nor in `summary`."""


class Prompts:
    """The prompt files of one solver.

    Args:
        folder: where files of the user's own lie; what is not there is taken from the package.

    Raises:
        ConfigError: the folder does not exist.
    """

    def __init__(self, folder: str | Path | None = None) -> None:
        if folder is not None and not Path(folder).is_dir():
            raise ConfigError(f"there is no prompt folder {folder}.", hint="Set solver.prompts to a folder.")
        self.texts = {name: _read(name, folder) for name in NAMES}
        self._templates = {name: Template(text) for name, text in self.texts.items()}

    def hashes(self) -> dict[str, str]:
        """Return name to SHA-256 of each prompt's text."""
        return {name: hashlib.sha256(text.encode()).hexdigest() for name, text in self.texts.items()}

    def shows(self, name: str, value: str) -> bool:
        """Say whether one prompt has a place for a value."""
        return value in self._templates[name].get_identifiers()

    def fill(self, name: str, **values: str) -> str:
        """Fill one prompt; unknown `$names` stay as they are."""
        return self._templates[name].safe_substitute(values).strip()


def new_history(observation: str) -> History:
    """Return the history of an episode that has just begun."""
    return History(start=observation, recent=[], summary=[], dropped=0)


def push(history: History, turn: Turn, *, keep: int, summary: int) -> History:
    """Add a turn; when `2 * keep` are reached, the older half becomes summary lines, at most `summary` of them."""
    recent = [*history["recent"], turn]
    if len(recent) < 2 * keep:
        return History(start=history["start"], recent=recent, summary=history["summary"], dropped=history["dropped"])
    lines = [*history["summary"], *(_line(old) for old in recent[:keep])]
    cut = max(0, len(lines) - summary)
    return History(start=history["start"], recent=recent[keep:], summary=lines[cut:], dropped=history["dropped"] + cut)


def build_messages(
    prompts: Prompts,
    task: Task,
    history: History,
    *,
    protocol: str,
    admissible: Sequence[str] | None = None,
    recalled: str = "",
    nudge: str = "",
    submit: bool = False,
) -> tuple[Message, ...]:
    """Return the chat that asks for the next action, with the latest observation at its end."""
    turns = history["recent"]
    goal = "" if task.goal and task.goal in history["start"] else f"\n\nYour task: {task.goal}"
    first = prompts.fill(
        "first",
        observation=history["start"],
        goal=goal if task.goal else "",
        recalled=f"\n\n{recalled}" if recalled else "",
        summary=_summary(history),
    )
    observations = [first, *(turn["observation"] for turn in turns)]
    offered = "" if protocol == "choice" or not admissible else _offer(admissible)
    observations[-1] = prompts.fill(
        "turn",
        observation=observations[-1],
        goal=task.goal,
        nudge=f"\n\n{nudge}" if nudge else "",
        actions=offered,
    )
    messages = [Message(role="system", content=prompts.fill("system_submit" if submit else f"system_{protocol}"))]
    messages.append(Message(role="user", content=observations[0]))
    for number, (turn, observation) in enumerate(zip(turns, observations[1:], strict=True)):
        messages += _exchange(turn, observation, protocol, number)
    return tuple(messages)


def call_id(number: int) -> str:
    """Return the id of the acting call of the turn that stands at `number` in a prompt."""
    return f"call_{number}"


def steps_shown(messages: Sequence[Message]) -> int:
    """Return how many decisions went before this prompt, whether they stand in it in full, as a line, or not at all."""
    in_full = sum(message.role == "assistant" for message in messages)
    _, found, after = messages[1].content.partition(f"\n\n{SO_FAR}\n") if len(messages) > 1 else ("", "", "")
    if not found:
        return in_full
    lines = after.split("\n\n")[0].splitlines()
    dropped = re.match(re.escape(LEFT_OUT).replace(r"\{\}", r"(\d+)"), lines[0])
    return in_full + sum(line.startswith("- ") for line in lines) + (int(dropped[1]) if dropped else 0)


def act_tool(admissible: Sequence[str] | None) -> ToolSpec:
    """Return the tool by which a model with native tool calling acts."""
    action: dict[str, object] = {
        "type": "string",
        "description": "The command, exactly as it shall be given.",
    }
    if admissible and not any(is_open(option) for option in admissible):
        action["enum"] = list(admissible)
    return ToolSpec.model_validate(
        {
            "name": "act",
            "description": "Give one command to the world and see what happens.",
            "parameters": {"type": "object", "properties": {"action": action}, "required": ["action"]},
        }
    )


def submit_tool() -> ToolSpec:
    """Return the tool by which an answer is handed in."""
    answer = {"type": "string", "description": "The final answer alone, without explanation."}
    return ToolSpec.model_validate(
        {
            "name": "submit",
            "description": "Hand in the final answer.",
            "parameters": {"type": "object", "properties": {"answer": answer}, "required": ["answer"]},
        }
    )


def _exchange(turn: Turn, observation: str, protocol: str, number: int) -> list[Message]:
    action = turn["action"]
    if protocol == "tools":
        plain = {"id": call_id(number), "name": "act", "arguments": {"action": action}}
        call = ToolCall.model_validate(turn.get("call", plain))
        return [
            Message(role="assistant", tool_calls=(call,)),
            Message(role="tool", content=observation, tool_call_id=call.id),
        ]
    said = turn.get("said") or (f"<action>{action}</action>" if protocol == "text" else action)
    return [Message(role="assistant", content=said), Message(role="user", content=observation)]


def _summary(history: History) -> str:
    if not history["summary"]:
        return ""
    before = LEFT_OUT.format(history["dropped"]) + "\n" if history["dropped"] else ""
    return f"\n\n{SO_FAR}\n{before}" + "\n".join(history["summary"])


def _line(turn: Turn) -> str:
    action, result = (" ".join(text.split()) for text in (turn["action"], turn["observation"]))
    return f"- {_short(action)}: {_short(result)}"


def _short(text: str) -> str:
    return text if len(text) <= LINE else text[: LINE - 3] + "..."


def _offer(admissible: Sequence[str]) -> str:
    return "\n\nYou can: " + ", ".join(admissible)


def _read(name: str, folder: str | Path | None) -> str:
    if folder is not None and (own := Path(folder) / f"{name}.md").is_file():
        return own.read_text(encoding="utf-8")
    return resources.files(prompt_files).joinpath(f"{name}.md").read_text(encoding="utf-8")
