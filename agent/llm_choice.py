"""Making a server choose among given strings, and reading which one it chose."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Sequence
from typing import Any

from ..core import Message, Sampling
from .actions import clean, match_admissible, parse_action


def schema_of(options: Sequence[str]) -> dict[str, Any]:
    """Return a response format that only lets one of the options through."""
    schema = {
        "type": "object",
        "properties": {"action": {"type": "string", "enum": list(options)}},
        "required": ["action"],
        "additionalProperties": False,
    }
    return {"type": "json_schema", "json_schema": {"name": "choice", "strict": True, "schema": schema}}


def listing(messages: Sequence[Message], options: Sequence[str]) -> list[Message]:
    """Return the chat with the options listed at its end."""
    *before, last = messages
    listed = "\n".join(f"- {option}" for option in options)
    text = f"{last.content}\n\nAnswer with exactly one of these and nothing else:\n{listed}"
    return [*before, last.model_copy(update={"content": text})]


def chosen_index(text: str, options: Sequence[str]) -> int | None:
    """Return which option an answer means: JSON with an action, or the option itself, bare or in tags."""
    candidates = [text]
    try:
        value = json.loads(text)
        if isinstance(value, dict):
            candidates.insert(0, str(value.get("action", "")))
    except (ValueError, RecursionError):
        pass
    for candidate in candidates:
        match = match_admissible(clean(candidate[:2000]), options) or parse_action(candidate, options).action
        if match is not None and match in options:
            return list(options).index(match)
    return None


def picked(scores: Sequence[float], sampling: Sampling) -> int:
    """Return the best option, the first of equals; above temperature 0 draw from the softmax of the scores."""
    if sampling.temperature == 0.0:
        return max(range(len(scores)), key=scores.__getitem__)
    top = max(scores)
    weights = [math.exp((score - top) / sampling.temperature) for score in scores]
    return random.Random(sampling.seed or 0).choices(range(len(scores)), weights)[0]
