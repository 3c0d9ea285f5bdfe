"""ReAct: thoughts and actions in turn (Yao et al. 2023, "ReAct: Synergizing Reasoning and Acting in Language Models").

An answer is `Thought: ...` and `Action: ...`, or a thought alone: `Thought: ...`, `think: ...` or
`Action: think[...]`. As in the paper's household games, a thought alone takes a step, leaves the world as it is and is
answered by `OK.`; and what the model has thought stays in its prompt. Unlike there, the prompt has no worked examples,
and it names the admissible actions where the world does: put examples into a `system_react.md` of your own
(`solver.prompts`) where you want them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from ..core import Step
from .actions import LONGEST_TEXT, ParsedAction, parse_action

ACKNOWLEDGED = "OK."
"""The answer to a thought alone."""
STOP = ("\nObservation",)
"""What the world says is not the model's to write."""
LONGEST_SAID = 1500
"""Characters of an answer that later prompts keep."""

_OBSERVATION = re.compile(r"^[ \t>*#]{0,12}observation[ \t]{0,4}\d{0,4}[ \t]{0,4}:", re.IGNORECASE | re.MULTILINE)
_NUMBERED = re.compile(r"^([ \t>*#]{0,12})(thought|action)[ \t]{1,4}\d{1,4}[ \t]{0,4}:", re.IGNORECASE | re.MULTILINE)
_ACTION = re.compile(r"^[ \t>*#-]{0,12}action(?:\*\*)?[ \t]{0,4}:", re.IGNORECASE | re.MULTILINE)
_THOUGHT = re.compile(
    r"^[ \t>*#-]{0,12}(?:thought|think)(?:\*\*)?[ \t]{0,4}(?::|(\[))(?:\*\*)?", re.IGNORECASE | re.MULTILINE
)


def parse_react(text: str, admissible: Sequence[str] | None = None) -> ParsedAction:
    """Read an answer of the form `Thought: ... Action: ...`.

    Args:
        text: the model's answer; from the first `Observation:` on it is made up and not read.
        admissible: actions the environment offers, or None when it offers no list.

    Returns:
        The action as `parse_action` reads it; for a thought alone, no action and the validity `valid`.
    """
    text = own_part(text)
    parsed = parse_action(text, admissible)
    thought = parsed.thought or _thought(text)
    meant = parsed.action if parsed.action is not None else _last(text)
    # An open action may stand for any text, and a thought is none of its texts.
    if _THOUGHT.match(meant) and meant not in (admissible or ()):
        return ParsedAction(None, "valid", thought or _thought(meant), "thought")
    if parsed.action is None and _ACTION.search(text):
        # The action stands on the lines behind its label.
        parsed = parse_action(f"<action>{meant}</action>", admissible)
    return parsed._replace(thought=thought)


def own_part(text: str) -> str:
    """Return an answer without the observations that a model made up, its labels without numbers."""
    text = text[:LONGEST_TEXT]
    opened, closed = text.find("<think>"), text.find("</think>")
    # Hidden reasoning may speak of observations; some servers keep its opening tag to themselves.
    hidden = closed >= 0 and (opened > closed or not text[: max(opened, 0)].strip())
    first = _OBSERVATION.search(text, closed if hidden else 0)
    return _NUMBERED.sub(r"\1\2:", text[: first.start()] if first else text)


def said(completion: str, action: str | None) -> str:
    """Return an answer as later prompts show it: thoughts and all, but not without end."""
    text = own_part(completion).strip()
    if len(text) <= LONGEST_SAID:
        return text or f"Action: {action or '(nothing)'}"
    cut = text[: LONGEST_SAID - 3].rstrip() + "..."
    return cut if action is None else f"{cut}\nAction: {action}"


def is_thought(step: Step) -> bool:
    """Say whether a step was a thought alone: nothing was given to the world, and nothing was wrong with that."""
    return step.action is None and step.validity == "valid"


def _last(text: str) -> str:
    """Return what stands behind the last action label, or the whole answer where there is none."""
    text = text.rpartition("</think>")[2]
    labels = list(_ACTION.finditer(text))
    return (text[labels[-1].end() :] if labels else text).strip()


def _thought(text: str) -> str:
    """Return the words of the first thought in an answer."""
    found = _THOUGHT.search(text)
    if found is None:
        return ""
    rest = text[found.end() :]
    if found[1]:
        return rest.strip().removesuffix("]").strip()
    following = _ACTION.search(rest)
    return (rest[: following.start()] if following else rest).strip()
