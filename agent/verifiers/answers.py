"""What an attempt answered, and what stands in its steps."""

from __future__ import annotations

import re
from fractions import Fraction

from ...core import Step, Trajectory

WRAPPED = re.compile(r"\s*(?:answer|finish|submit)\s*[\[(:]\s*(.*?)\s*[\])]?\s*", re.IGNORECASE | re.DOTALL)
NUMBER = re.compile(
    r"""[*_"'`(\[\\]{0,4} [$€£]? (?P<sign>[-+−]?) \s? [$€£]? \s?
        (?P<whole>[0-9]{1,3}(?:,[0-9]{3})+ | [0-9]+) (?:\.(?P<part>[0-9]+))?
        \s? [%€£$]? \s? [.!]? [*_"'`)\]\\]{0,4} [.!]?""",
    re.VERBOSE,
)
"""One number and nothing beside it but marks, currency, percent and the end of a sentence. What is no such thing is
text: `5 - `, `...42`, `. 5` and `42 (-)` are."""
QUOTIENT = re.compile(r"-?[0-9]+/[0-9]+")
LONGEST = 60
"""Digits of a number that anybody computes with; what is longer is compared as it stands."""


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
    match = NUMBER.fullmatch(text)
    if match is None:
        return text
    # Digit by digit: a float would take long ones for others, or for infinite.
    whole, part = match["whole"].replace(",", "").lstrip("0") or "0", (match["part"] or "").rstrip("0")
    number = f"{whole}.{part}" if part else whole
    return f"-{number}" if match["sign"] in ("-", "−") and number != "0" else number


def number_of(answer: str) -> Fraction | None:
    """Return the number that a final answer is; None where it is none, or longer than one computes with."""
    plain = re.fullmatch(r"-?[0-9]+(?:\.[0-9]+)?", answer) or QUOTIENT.fullmatch(answer)
    if plain is None or len(answer) > LONGEST:
        return None
    try:
        return Fraction(answer)
    except ZeroDivisionError:
        return None


def step_text(step: Step) -> str:
    """Return what a step says: the model's words, or the action where there are none."""
    text = step.completion.strip() or (step.action or "")
    return text.rpartition("</think>")[2].strip() or text
