"""Text as token ids, in the form of a model's chat template: for steps that came without ids."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

from ..core import Message, Step, Trajectory
from ..errors import TrainingError, boundary
from .segments import Segment, trained_messages


class Tokenizer(Protocol):
    """What is needed of a tokenizer, in the words of transformers."""

    eos_token_id: int | None

    def __len__(self) -> int: ...

    def apply_chat_template(self, conversation: list[dict[str, object]], **keywords: object) -> object: ...

    def encode(self, text: str, *, add_special_tokens: bool = True) -> list[int]: ...

    def decode(self, token_ids: Sequence[int], *, skip_special_tokens: bool = False) -> str: ...


def text_segments(step: Step, tokenizer: Tokenizer) -> list[Segment]:
    """Return the answers of a step that has text and no ids, each behind its prompt, tokenised here.

    An answer in words is tokenised by itself and closed by the token that ends answers; one that calls tools is taken
    from what the template writes for it. A step without prompt, or with neither answer nor action, has none.

    Raises:
        TrainingError: the template refuses the chat, or leaves out tool calls, be it those of the prompt.
    """
    own = [at for at, written in enumerate(trained_messages(step)) if written]
    found = [_segment(step.messages[:at], step.messages[at], tokenizer) for at in own]
    if (last := answer(step)) is not None:
        found.append(_segment(step.messages, last, tokenizer))
    return found


def answer(step: Step) -> Message | None:
    """Return a step's last answer as a message: its words (or else its action) and the tools it called.

    The call it acted by is its last. Calls of earlier rounds are not part of it, and neither are those it made beside
    the acting one, which were not run.
    """
    before = {ident for entry in step.rounds for ident in entry.calls}
    calls = tuple(
        call.model_copy(update={"result": None, "error": None})
        for call in step.tool_calls
        if call.ran and call.id not in before
    )
    calls += (step.act,) if step.act is not None else ()
    text = step.completion or ("" if calls else step.action or "")
    if not step.messages or not (text or calls):
        return None
    return Message(role="assistant", content=text, tool_calls=calls)


def chat_form(messages: Sequence[Message], *, as_text: bool = False) -> list[dict[str, Any]]:
    """Return messages as chat templates take them.

    Args:
        messages: any.
        as_text: arguments of calls as JSON text, as OpenAI has them in files; templates want them as objects.
    """
    return [_message(message, as_text) for message in messages]


def prompt_ids(messages: Sequence[Message], tokenizer: Tokenizer) -> tuple[int, ...]:
    """Return the tokens of a chat up to where the answer begins: (P,).

    Raises:
        TrainingError: the tokenizer has no chat template, or it refuses this chat.
    """
    return _templated(messages, tokenizer, answering=True)


@contextmanager
def named(trajectory: Trajectory, step: Step) -> Iterator[None]:
    """Put the trajectory and the step in front of an error about one of them."""
    try:
        yield
    except TrainingError as error:
        where = f"step {step.index} of trajectory {trajectory.id}: "
        raise TrainingError(where + error.message, hint=error.hint, kind=error.kind) from error


def _message(message: Message, as_text: bool) -> dict[str, Any]:
    form: dict[str, Any] = {"role": message.role, "content": message.content}
    if message.tool_calls:
        form["tool_calls"] = [
            {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": arguments}}
            for call in message.tool_calls
            for arguments in [
                json.dumps(call.arguments, ensure_ascii=False)
                if as_text and not isinstance(call.arguments, str)
                else call.arguments
            ]
        ]
    if message.tool_call_id is not None:
        form["tool_call_id"] = message.tool_call_id
    return form


def _segment(messages: Sequence[Message], said: Message, tokenizer: Tokenizer) -> Segment:
    prompt = _written(messages, tokenizer, answering=True)
    if said.tool_calls:
        return Segment(prompt, _called(messages, said, prompt, tokenizer))
    end = () if tokenizer.eos_token_id is None else (tokenizer.eos_token_id,)
    return Segment(prompt, (*tokenizer.encode(said.content, add_special_tokens=False), *end))


def _called(
    messages: Sequence[Message], said: Message, prompt: tuple[int, ...], tokenizer: Tokenizer
) -> tuple[int, ...]:
    """Return the tokens of an answer with tool calls: what the template adds to the prompt, up to its end."""
    whole = _written([*messages, said], tokenizer, answering=False)
    if whole[: len(prompt)] != prompt:
        raise _cannot_call()
    ids = whole[len(prompt) :]
    ends = [at for at, token in enumerate(ids, 1) if token == tokenizer.eos_token_id]
    return ids[: ends[-1]] if ends else ids


def _written(messages: Sequence[Message], tokenizer: Tokenizer, *, answering: bool) -> tuple[int, ...]:
    """Return the tokens of a chat with its tool calls, which many templates leave out without a word."""
    ids = _templated(messages, tokenizer, answering=answering)
    if any(message.tool_calls for message in messages):
        bare = [message.model_copy(update={"tool_calls": ()}) for message in messages]
        try:
            without = _templated(bare, tokenizer, answering=answering)
        except TrainingError:
            return ids  # results without calls are refused, so the calls are seen
        if without == ids:
            raise _cannot_call()
    return ids


def _cannot_call() -> TrainingError:
    return TrainingError(
        "it calls tools, which the chat template of this tokenizer cannot write.",
        hint="Take a model whose chat template has tool calls.",
        kind="tool_calls",
    )


def _templated(messages: Sequence[Message], tokenizer: Tokenizer, *, answering: bool) -> tuple[int, ...]:
    # A template is a program of the model's maker, and may raise anything.
    with boundary(TrainingError, "the chat template of this tokenizer cannot write its prompt", kind="template"):
        found = tokenizer.apply_chat_template(
            chat_form(messages), add_generation_prompt=answering, tokenize=True, return_dict=False
        )
    assert isinstance(found, list)
    return tuple(found)
