"""Reading what a judging model answered: a verdict, or why it is none."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any

from ...core import ToolCall, Verdict

LONGEST = 50_000
LONGEST_CRITIQUE = 2000


class NoVerdictError(ValueError):
    """An answer that holds no verdict; its message says what is missing."""


def verdict_of(text: str, shown: Sequence[int], steps: int, evidence: Sequence[ToolCall], judge: str) -> Verdict:
    """Read an answer of the form that `verify_judge.md` asks for.

    The score of a step is the one given times the confidence given with it, as in Agent0-VL's process reward
    (score_t * conf_t); steps that were not shown score 0.

    Args:
        text: the answer.
        shown: numbers of the steps that were shown.
        steps: how many there are.
        evidence: tool calls that the judge made.
        judge: who judged.

    Raises:
        NoVerdictError: it is no such answer. Nothing is guessed: neither a missing nor an impossible number.
    """
    found = _object(text.rpartition("</think>")[2][-LONGEST:])
    if found is None:
        raise NoVerdictError("there is no JSON object with `passed` in it")
    passed = found["passed"]
    if not isinstance(passed, bool):
        raise NoVerdictError("`passed` is neither true nor false")
    scores = _steps(found.get("steps"), shown, steps)
    critique = found.get("critique", "")
    if not isinstance(critique, str):
        raise NoVerdictError("`critique` is no text")
    return Verdict(
        passed=passed,
        score=_number(found.get("score"), "score", 0.0, 1.0),
        step_scores=scores,
        confidence=_number(found.get("confidence"), "confidence", 0.0, 1.0),
        critique=clean(critique),
        evidence=tuple(evidence),
        judge=judge,
    )


def clean(text: str) -> str:
    """Return a critique without characters that cannot be stored, and not too long."""
    text = text.encode("utf-8", "replace").decode("utf-8").replace("\x00", "").strip()
    return text if len(text) <= LONGEST_CRITIQUE else text[: LONGEST_CRITIQUE - 3].rstrip() + "..."


def _object(text: str) -> dict[str, Any] | None:
    """Return the last JSON object with `passed` in it that does not lie within another."""
    latest: dict[str, Any] | None = None
    decoder, start = json.JSONDecoder(), text.find("{")
    while start >= 0:
        try:
            value, end = decoder.raw_decode(text, start)
        except (ValueError, RecursionError):
            end = start + 1
        else:
            if isinstance(value, dict) and "passed" in value:
                latest = value
        start = text.find("{", end)
    return latest


def _steps(found: Any, shown: Sequence[int], steps: int) -> tuple[float, ...]:
    if not isinstance(found, list) or not all(isinstance(entry, dict) for entry in found):
        raise NoVerdictError("`steps` is no list of objects")
    numbers = [entry.get("step") for entry in found]
    if sorted(numbers, key=str) != sorted(shown, key=str) or any(isinstance(number, bool) for number in numbers):
        raise NoVerdictError(f"`steps` has not one entry for each of the {len(shown)} steps")
    scores = [0.0] * steps
    for entry in found:
        where = f"of step {entry['step']}"
        score = _number(entry.get("score"), f"score {where}", -1.0, 1.0)
        scores[entry["step"]] = score * _number(entry.get("confidence"), f"confidence {where}", 0.0, 1.0)
    return tuple(scores)


def _number(value: Any, what: str, low: float, high: float) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise NoVerdictError(f"the {what} is no number")
    if not low <= value <= high:
        raise NoVerdictError(f"the {what} is not between {low:g} and {high:g}")
    return float(value)
