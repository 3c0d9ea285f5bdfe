"""What an attempt answered, and what stands in its steps."""

from __future__ import annotations

import re

from ...core import Step, Trajectory

WRAPPED = re.compile(r"\s*(?:answer|finish|submit)\s*[\[(:]\s*(.*?)\s*[\])]?\s*", re.IGNORECASE | re.DOTALL)
BARE_NUMBER = re.compile(r"[^\w-]{0,4}-?\$?\d[\d,]*(?:\.\d+)?\W{0,4}")


def final_answer(trajectory: Trajectory) -> str | None:
    """Return the last action of an attempt, equal answers as equal texts; None where nothing was done.

    Only this is compared and scored, never the whole text of an attempt: other numbers in it would be mistaken for the
    answer.
    """
    given = next((step.action for step in reversed(trajectory.steps) if step.action is not None), None)
    return normal(given) if given is not None else None


def normal(answer: str) -> str:
    """Return an answer without wrapping, case and the form of its number."""
    wrapped = WRAPPED.fullmatch(answer)
    text = " ".join((wrapped[1] if wrapped else answer).lower().split())
    if not BARE_NUMBER.fullmatch(text):
        return text
    number = float(re.sub(r"[^\d.-]", "", text.rstrip(".")))
    return str(int(number)) if number.is_integer() else repr(number)


def step_text(step: Step) -> str:
    """Return what a step says: the model's words, or the action where there are none."""
    text = step.completion.strip() or (step.action or "")
    return text.rpartition("</think>")[2].strip() or text
