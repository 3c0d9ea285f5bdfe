"""Chats in OpenAI's shape, one a line: `{"messages": [...]}`, with what is known of the task and the outcome beside it.

Every assistant message is a step, with the messages before it as its prompt; those with `"weight": 0` (OpenAI's mark
for what is not to be learned) and those with nothing before them are context only. Keys beside `messages`, all
optional: `id`, `task` (its id), `goal`, `environment`, `split`, `category`, `group`, `reward`, `score` (0 to 1),
`success`, `model`; a message may have a `reward` of its own. Chats about the same task are one group.

The first call of `act` or `submit` in an answer, by which the protocol `tools` acts, is the action of its step; where a
chat acts so, answers that call other tools only are rounds of the step that they lead to.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from typing import Any, Literal

from pydantic import Field

from ...core import Message, Origin, Role, Round, Step, Task, ToolCall, Trajectory, content_id
from .importer import Entry, Given, entry_id

NAME = "chat"
ROLES: Mapping[str, Role] = {"developer": "system", "function": "tool"}
"""What OpenAI calls otherwise now or called otherwise before."""
ACTING: Mapping[str, str] = {"act": "action", "submit": "answer"}
"""Tools by which a model acts, and the argument that holds the command."""


class _Function(Entry):
    name: str
    arguments: str | dict[str, Any] | None = None


class _Call(Entry):
    id: str | None = None
    function: _Function


class _Part(Entry):
    type: Literal["text", "input_text", "output_text"]
    text: str


class _Said(Entry):
    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: str | tuple[_Part, ...] | None = None
    reasoning_content: str | None = None
    tool_calls: tuple[_Call, ...] | None = None
    function_call: _Function | None = None
    tool_call_id: str | None = None
    weight: float | None = None
    reward: float | None = None


class _Chat(Entry):
    messages: tuple[_Said, ...] = Field(min_length=1)
    id: str | int | None = None
    task: str | int | None = None
    goal: str | None = None
    environment: str = NAME
    split: str = "train"
    category: str = ""
    group: str | int | None = None
    reward: float | None = None
    score: float | None = Field(default=None, ge=0.0, le=1.0)
    success: bool | None = None
    model: str = ""


def recognises(entry: Mapping[str, Any]) -> bool:
    """Say whether an entry has this format's keys."""
    return isinstance(entry.get("messages"), list)


def read(text: str | bytes, given: Given) -> Trajectory:
    """Return the trajectory of one line.

    Raises:
        ValueError: a field is missing or wrong, no answer is there to learn from, or the rewards do not add up.
    """
    chat = _Chat.model_validate_json(text)
    talk = _talk(chat.messages)
    learned = [
        at
        for at, said in enumerate(chat.messages)
        if said.role == "assistant" and said.weight != 0 and any(other.role != "assistant" for other in talk[:at])
    ]
    if not learned:
        raise ValueError("messages: there is no answer of the assistant to learn from")
    success = chat.success if chat.success is not None else given.success
    reward = _reward(chat, success, [chat.messages[at].reward for at in learned])
    before = talk[: learned[0]]
    task = Task(
        id=str(chat.task) if chat.task is not None else f"chat/{content_id([m.model_dump() for m in before])[:16]}",
        goal=chat.goal if chat.goal is not None else _last_words(before),
        environment=chat.environment,
        split=given.split if given.split is not None else chat.split,
        category=chat.category,
        origin=Origin(by=NAME),
    )
    known = {"id": chat.id} if chat.id is not None else {}
    return Trajectory(
        id=entry_id(NAME, text, task.split, success),
        run_id=NAME,
        task=task,
        group_id=content_id(NAME, task.id) if chat.group is None else str(chat.group),
        steps=tuple(_steps(chat, talk, learned, reward)),
        final_observation=_last_words(talk[learned[-1] + 1 :]),
        stop="terminated",
        reward=reward,
        success=success,
        score=chat.score,
        meta={"imported": NAME, **known, **(chat.model_extra or {})},
    )


def _reward(chat: _Chat, success: bool | None, of_steps: list[float | None]) -> float:
    """Return the whole reward: as given, or the sum of the answers' own, or else the score, or else 1 for a success."""
    own = math.fsum(one for one in of_steps if one is not None)
    if chat.reward is None:
        if any(one is not None for one in of_steps):
            return own
        return chat.score if chat.score is not None else float(bool(success))
    if any(one is not None for one in of_steps) and not math.isclose(own, chat.reward, abs_tol=1e-6):
        raise ValueError(f"reward: it is {chat.reward:g}, and those of the messages add up to {own:g}")
    return chat.reward


def _steps(chat: _Chat, talk: list[Message], learned: list[int], reward: float) -> Iterator[Step]:
    whole = all(chat.messages[at].reward is None for at in learned)
    groups = _rounds(talk, learned)
    for index, (*asked, at) in enumerate(groups):
        said, last = talk[at], index == len(groups) - 1
        start = min([*asked, at])
        act = next((call for call in said.tool_calls if _command(call) is not None), None)
        calls = [
            _answered(call, talk[place + 1 :])
            for place in (*asked, at)
            for call in talk[place].tool_calls
            # Of several that act in one answer the first is played, and the others are left out, as in play.
            if _command(call) is None
        ]
        own = math.fsum(chat.messages[place].reward or 0.0 for place in (*asked, at))
        yield Step(
            index=index,
            observation=_last_words(talk[:start]),
            messages=tuple(talk[:at]),
            completion=said.content,
            action=_command(act) if act is not None else None if said.tool_calls else said.content,
            act=act,
            tool_calls=tuple(calls),
            rounds=tuple(
                Round(completion=talk[place].content, calls=tuple(call.id for call in talk[place].tool_calls))
                for place in asked
            ),
            reward=(reward if last else 0.0) if whole else own,
            terminated=last,
            model=chat.model,
        )


def _rounds(talk: list[Message], learned: list[int]) -> list[list[int]]:
    """Return where the answers of each step stand: the one that acts, behind those that asked for tools before it."""
    acting = {at for at in learned if any(_command(call) is not None for call in talk[at].tool_calls)}
    groups: list[list[int]] = []
    for at in learned:
        before = groups[-1][-1] if acting and groups else at
        asked = before not in acting and talk[before].tool_calls
        if before < at and asked and all(message.role == "tool" for message in talk[before + 1 : at]):
            groups[-1].append(at)
        else:
            groups.append([at])
    return groups


def _command(call: ToolCall) -> str | None:
    """Return the command of a call that acts, or None for other calls."""
    found = call.arguments.get(ACTING.get(call.name, "")) if isinstance(call.arguments, dict) else None
    return found if isinstance(found, str) else None


def _talk(messages: tuple[_Said, ...]) -> list[Message]:
    """Return messages in our shape. Calls without id are numbered, and results without one belong to the oldest call
    that has none."""
    talk: list[Message] = []
    waiting: list[str] = []
    for number, said in enumerate(messages):
        asked = [*(said.tool_calls or ())]
        if said.function_call is not None:
            asked.append(_Call(function=said.function_call))
        calls = tuple(_call(one, f"call_{number}_{n}") for n, one in enumerate(asked))
        answers = said.tool_call_id
        if said.role in ("tool", "function"):
            answers = answers or (waiting[0] if waiting else f"call_{number}")
            waiting = [ident for ident in waiting if ident != answers]
        waiting += [call.id for call in calls]
        role = ROLES.get(said.role) or said.role
        talk.append(Message.model_validate({"role": role, "content": _words(said), "tool_call_id": answers}))
        talk[-1] = talk[-1].model_copy(update={"tool_calls": calls})
    return talk


def _words(said: _Said) -> str:
    content = said.content or ""
    text = content if isinstance(content, str) else "".join(part.text for part in content)
    return f"<think>{said.reasoning_content}</think>{text}" if said.reasoning_content else text


def _call(call: _Call, ident: str) -> ToolCall:
    arguments = call.function.arguments or ""
    if isinstance(arguments, str):
        try:
            parsed = json.loads(arguments)
        except (ValueError, RecursionError):
            parsed = None
        arguments = parsed if isinstance(parsed, dict) else arguments
    return ToolCall(id=call.id or ident, name=call.function.name, arguments=arguments)


def _answered(call: ToolCall, after: list[Message]) -> ToolCall:
    result = next((m.content for m in after if m.role == "tool" and m.tool_call_id == call.id), None)
    return call.model_copy(update={"result": result})


def _last_words(talk: list[Message]) -> str:
    """Return what was last said to the model."""
    return next((message.content for message in reversed(talk) if message.role != "assistant"), "")
