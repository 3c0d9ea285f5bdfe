"""Between our messages and replies and those of OpenAI-compatible servers."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from ..core import Message, ToolCall, ToolSpec, Usage

LONGEST_TEXT = 1_000_000
"""Characters of an answer that are kept."""
LABEL = re.compile(r"(.+)@([0-9a-f]{12}(?:\+[0-9a-f]{12})?)")
"""Name of a model that says which weights it has: what our own vLLM servers go by."""


def to_messages(messages: Sequence[Message]) -> list[dict[str, Any]]:
    """Return messages in OpenAI's shape."""
    out = []
    for message in messages:
        row: dict[str, Any] = {"role": message.role, "content": message.content}
        if message.tool_calls:
            row["tool_calls"] = [
                {
                    "id": call.id,
                    "type": "function",
                    "function": {"name": call.name, "arguments": arguments_text(call.arguments)},
                }
                for call in message.tool_calls
            ]
        if message.tool_call_id is not None:
            row["tool_call_id"] = message.tool_call_id
        out.append(row)
    return out


def to_tools(tools: Sequence[ToolSpec]) -> list[dict[str, Any]]:
    """Return tools in OpenAI's shape."""
    return [
        {
            "type": "function",
            "function": {"name": tool.name, "description": tool.description, "parameters": tool.parameters},
        }
        for tool in tools
    ]


def arguments_text(arguments: Mapping[str, Any] | str) -> str:
    """Return a call's arguments as JSON text."""
    return arguments if isinstance(arguments, str) else json.dumps(dict(arguments))


def read_tool_calls(message: Any) -> tuple[ToolCall, ...]:
    """Return the calls a model asked for; arguments that are no JSON object stay text."""
    calls = []
    for number, call in enumerate(getattr(message, "tool_calls", None) or ()):
        function = getattr(call, "function", None)
        text = str(getattr(function, "arguments", None) or "")
        calls.append(
            ToolCall(
                id=str(getattr(call, "id", None) or f"call_{number}"),
                name=str(getattr(function, "name", None) or ""),
                arguments=_object_or_text(text),
            )
        )
    return tuple(calls)


def read_text(message: Any) -> str:
    """Return the answer's text; a reasoning model's thoughts stand before it in <think>."""
    text = str(getattr(message, "content", None) or "")
    thoughts = getattr(message, "reasoning_content", None)
    if isinstance(thoughts, str) and thoughts and "<think>" not in text:
        text = f"<think>{thoughts}</think>{text}"
    return text[:LONGEST_TEXT]


def read_tokens(choice: Any) -> tuple[tuple[int, ...], tuple[float, ...]]:
    """Return sampled token ids and log-probabilities, as far as the server gave them.

    vLLM gives ids as `token_ids` or as tokens named `token_id:123`; others give log-probabilities without ids.
    """
    content = getattr(getattr(choice, "logprobs", None), "content", None) or ()
    logprobs: list[float] = []
    named: list[int] = []
    for entry in content:
        value = getattr(entry, "logprob", None)
        logprobs.append(float(value) if isinstance(value, int | float) and math.isfinite(value) else -1e9)
        token = str(getattr(entry, "token", ""))
        if token.startswith("token_id:") and token[9:].isdigit():
            named.append(int(token[9:]))
    given = _extra(choice, "token_ids")
    ids = tuple(int(i) for i in given) if given else tuple(named) if len(named) == len(logprobs) else ()
    return ids, tuple(logprobs) if not ids or len(ids) == len(logprobs) else ()


def read_prompt_tokens(response: Any) -> tuple[int, ...]:
    """Return the prompt's token ids where the server gave them (vLLM: `prompt_token_ids`)."""
    return tuple(int(i) for i in _extra(response, "prompt_token_ids") or ())


def read_policy(response: Any, asked: str) -> tuple[str, str]:
    """Return the model's name and the version of the policy that answered.

    vLLM's `system_fingerprint` is that of the server and its settings, the same for all adapters, so it is not looked
    at; others' changes with what answers.
    """
    name = str(getattr(response, "model", None) or asked).removeprefix("hosted_vllm/")
    labelled = LABEL.fullmatch(name)
    if labelled is not None:
        return labelled[1], labelled[2]
    fingerprint = None if asked.startswith("hosted_vllm/") else getattr(response, "system_fingerprint", None)
    return name, str(fingerprint or name)


def read_usage(response: Any, cost_usd: float) -> Usage:
    """Return tokens and cost of one call."""
    usage = getattr(response, "usage", None)
    details = getattr(usage, "prompt_tokens_details", None)
    return Usage(
        prompt_tokens=int(getattr(usage, "prompt_tokens", 0) or 0),
        completion_tokens=int(getattr(usage, "completion_tokens", 0) or 0),
        cached_tokens=int(getattr(details, "cached_tokens", 0) or 0),
        cost_usd=cost_usd,
        calls=1,
    )


def _extra(thing: Any, name: str) -> Sequence[int] | None:
    found = getattr(thing, name, None)
    if found is None:
        fields = getattr(thing, "provider_specific_fields", None) or {}
        found = fields.get(name) if isinstance(fields, Mapping) else None
    return found if isinstance(found, list | tuple) and all(isinstance(i, int) for i in found) else None


def _object_or_text(text: str) -> dict[str, Any] | str:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return text
    return value if isinstance(value, dict) else text
