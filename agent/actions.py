"""From a model's text to an action: the `<think>`/`<action>` protocol, read tolerantly.

Pure functions in linear time: a model may answer anything, of any length.
"""

from __future__ import annotations

import html
import re
from collections.abc import Sequence
from typing import NamedTuple

from ..core import Validity

LONGEST_TEXT = 200_000
"""Characters of an answer that are read; what a model says after that is no answer to a short question."""
LONGEST_ACTION = 300
"""Characters of an action; a longer one is prose that lost its tags."""
LONGEST_CODE = 20_000
"""Characters of an action in a place where code goes."""
CODE = "<code>"
"""The place in an open action that may hold several lines; `<code>` alone stands for any code."""

_TAG = re.compile(r"<(/?)\s{0,8}(think|thought|action|act)\s{0,8}>", re.IGNORECASE)
_LABEL = re.compile(
    r"^[ \t>*#-]{0,12}(?:final )?action[ \t]{0,4}(?:\*\*)?[ \t]{0,4}[:=](.{1,400})$", re.IGNORECASE | re.MULTILINE
)
_INVISIBLE = dict.fromkeys(map(ord, "\u200b\u200c\u200d\u2060\ufeff\u00ad"))
_WRAPPING = " >*_.!;,\"'`“”‘’«»"
_ARTICLES = re.compile(r"\b(?:the|a|an|some)\s+", re.IGNORECASE)
_LANGUAGE = re.compile(r"\A[ \t]{0,8}[\w+#.-]{0,20}[ \t\r]{0,8}\n")
_OPEN = re.compile(r"<[a-z][a-z ]{0,30}>")
_PUT = re.compile(r"^(?:put|place|move) (.+?) (?:in/on|in|on|into|onto|to) (.+)$")


class ParsedAction(NamedTuple):
    """What was read out of an answer."""

    action: str | None
    """The action, spelled as the environment spells it where it is on the list; None where there is none."""
    validity: Validity
    thought: str
    note: str
    """How it was read when not by the book: `unclosed`, `label`, `line`, `fence`, `spelling`; else empty."""


def parse_action(text: str, admissible: Sequence[str] | None = None) -> ParsedAction:
    """Read the action in a model's answer.

    The last action tag that is closed wins, since models correct themselves; failing that an unclosed one at the
    end, then a line `Action: ...`, then an answer that is nothing but one admissible action. Where code may be given
    (`<code>`), all lines count, as they are: those in the longest fence (```) where there is one.

    Args:
        text: the model's answer.
        admissible: actions the environment offers, or None when it offers no list.

    Returns:
        The action and its validity: `unparseable` without an action, `not_admissible` when it is not on the list.
    """
    text = text[:LONGEST_TEXT]
    code = admissible is not None and any(CODE in option for option in admissible)
    thought, found, note = _tagged(text)
    if found is None:
        found, note = _fenced(text) if code else _untagged(text, admissible)
    action = "" if found is None else code_in(found) if code else clean(found)
    if not action or len(action) > (LONGEST_CODE if code else LONGEST_ACTION):
        return ParsedAction(None, "unparseable", thought, note)
    if admissible is None:
        return ParsedAction(action, "valid", thought, note)
    match = match_admissible(action, admissible)
    if match is None:
        return ParsedAction(action, "not_admissible", thought, note)
    return ParsedAction(match, "valid", thought, note or ("" if match == action else "spelling"))


def clean(text: str) -> str:
    """Return an action without the wrapping that models put around it: quotes, code ticks, prompts, periods."""
    text = html.unescape(text).translate(_INVISIBLE)
    lines = [line.strip() for line in text.split("\n")]
    text = " ".join(next((line for line in lines if line and not line.startswith("```")), "").split())
    return text.strip(_WRAPPING)


def code_in(text: str) -> str:
    """Return the code in a text: what the longest fence holds, or the text itself where there is no fence."""
    fenced = text.split("```")[1::2]
    if not fenced:
        return text.strip("\n").rstrip()
    return _LANGUAGE.sub("", max(fenced, key=len)).strip("\n").rstrip()


def match_admissible(action: str, admissible: Sequence[str]) -> str | None:
    """Return the admissible action that is meant, or None.

    In turn: the very same text; the same but for case, articles and spaces; the same but for `put X in/on Y`
    standing for `move X to Y` and the other way round; an open action of that form, whose words are the model's to
    choose. Two admissible actions that fit equally well are no match.
    """
    if action in admissible and not is_open(action):
        return action
    for same in (_plain, _wording):
        key = same(action)
        fitting = [option for option in admissible if same(option) == key]
        if len(fitting) == 1 and not is_open(fitting[0]):
            return fitting[0]
    return next((filled for option in admissible if is_open(option) and (filled := _filled(action, option))), None)


def is_open(option: str) -> bool:
    """Say whether an admissible action stands for all of a form, as `search[<words>]` does."""
    return _OPEN.search(option) is not None


def _filled(action: str, option: str) -> str | None:
    """Return an action of an open action's form, its fixed parts spelled as there; None if a place is left empty."""
    if action == option or (is_open(action) and CODE not in option):
        return None
    parts = _OPEN.split(option)
    lines = re.DOTALL if CODE in option else re.NOFLAG
    found = re.fullmatch(r"(\s*\S.*)".join(map(re.escape, parts)), action, re.IGNORECASE | lines)
    if found is None:
        return None
    return parts[0] + "".join(f"{words}{part}" for words, part in zip(found.groups(), parts[1:], strict=True))


def _plain(action: str) -> str:
    return " ".join(_ARTICLES.sub("", action.casefold()).split())


def _wording(action: str) -> str:
    plain = _plain(action)
    put = _PUT.match(plain)
    return f"put {put[1]} at {put[2]}" if put else plain


def _tagged(text: str) -> tuple[str, str | None, str]:
    """Return thought, the text inside the action tag that counts, and how it was found."""
    thought, closed, unclosed = "", None, None
    kind, start = "", 0
    for tag in _TAG.finditer(text):
        name = "think" if tag[2].lower().startswith("thi") or tag[2].lower() == "thought" else "action"
        if not tag[1]:
            if kind == "think" and name == "action" and not thought:
                thought = text[start : tag.start()].strip()
            kind, start = name, tag.end()
        elif name == kind:
            inner = text[start : tag.start()].strip()
            if kind == "think":
                thought = inner
            elif inner:
                closed = inner
            kind = ""
    if kind == "action":
        unclosed = text[start:].strip() or None
    elif kind == "think" and not thought:
        thought = text[start:].strip()
    if closed is not None:
        return thought, closed, ""
    return thought, unclosed, "unclosed" if unclosed else ""


def _fenced(text: str) -> tuple[str | None, str]:
    said = text.rpartition("</think>")[2]
    return (said, "fence") if "```" in said else (None, "")


def _untagged(text: str, admissible: Sequence[str] | None) -> tuple[str | None, str]:
    labels = _LABEL.findall(text)
    if labels:
        return labels[-1], "label"
    if admissible is not None and len(text) <= LONGEST_ACTION:
        bare = match_admissible(clean(text), admissible)
        if bare is not None:
            return bare, "line"
    return None, ""
