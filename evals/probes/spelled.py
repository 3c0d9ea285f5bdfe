"""Finding a text in others, also where it is spelled in another way: case, spaces, backwards, hex, base64."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from pydantic import JsonValue

LEAST, LEAST_WITH_DIGIT = 12, 8
"""Shortest text that is looked for, in characters; a shorter one stands anywhere by chance. Names with a digit in them
are rarer than words."""


NUMBERED = re.compile(r"^\s*\d{1,3}[.):]\s", re.MULTILINE)
"""The number of an entry of a list."""
COUNTED = re.compile(r"\(\d+ steps that mattered, of \d+\)|\ball \d+ attempts that succeeded", re.IGNORECASE)
"""What items made by script say of how many steps and attempts they were made of."""


class Leak(NamedTuple):
    """A hidden text that was found."""

    hidden: str
    where: str
    """Name of the text that it was found in."""
    spelling: str


def texts_in(value: JsonValue) -> Iterator[str]:
    """Yield the texts in a value, numbers as text; keys are none."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for entry in value.values():
            yield from texts_in(entry)
    elif isinstance(value, list):
        for entry in value:
            yield from texts_in(entry)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield str(value)


def findable(text: str) -> bool:
    """Say whether a text is long enough to be found on purpose and not by chance."""
    folded = _folded(text)
    return len(folded) >= (LEAST_WITH_DIGIT if any(sign.isdigit() for sign in folded) else LEAST)


def leaks(hidden: Iterable[str], texts: Mapping[str, str]) -> Iterator[Leak]:
    """Yield where hidden texts stand, each at most once in a text, by the plainest spelling.

    Args:
        hidden: what is looked for; those that are too short are left out (see `findable`).
        texts: name to text.
    """
    ways = {name: (_folded(text), _joined(text).lower(), _joined(text)) for name, text in texts.items()}
    # One text of all to look into first: nearly always there is nothing.
    every = tuple("\n".join(way[number] for way in ways.values()) for number in range(3))
    for one in hidden:
        if not findable(one):
            continue
        spelled = [(name, way, spelling) for name, way, spelling in _spellings(one) if spelling in every[way]]
        for where, forms in ways.items() if spelled else ():
            found = next((name for name, way, spelling in spelled if spelling in forms[way]), None)
            if found is not None:
                yield Leak(one, where, found)


def told_together(answers: Iterable[tuple[str, str]], texts: Mapping[str, str]) -> Iterator[tuple[str, Leak]]:
    """Yield questions, and where an answer that is too short to be looked for by itself stands beside its question.

    Args:
        answers: question and answer, as `tellable` gives them.
        texts: name to text.
    """
    ways = {name: _folded(text) for name, text in texts.items()}
    every = "\n".join(ways.values())
    for question, answer in answers:
        asked = _folded(question)
        for where, way in ways.items() if asked in every else ():
            if asked in way and stands(answer, texts[where], question):
                yield question, Leak(answer, where, "beside its question")


def stands(answer: str, text: str, question: str) -> bool:
    """Say whether an answer stands as a word in a text, outside of the question; the numbers of lists are no words, nor
    are those in which an item counts what it was made of."""
    left = _folded(COUNTED.sub(" ", NUMBERED.sub("", text))).replace(_folded(question), " ")
    return re.search(rf"(?<![\w.]){re.escape(_folded(answer))}(?!\w|\.\d)", left) is not None


def tellable(answers: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return the questions whose answer is too short to be looked for by itself; one that has several different answers
    does not tell which one is meant, and is left out."""
    found: dict[str, set[str]] = {}
    for question, answer in answers:
        if answer.strip() and not findable(answer):
            found.setdefault(question, set()).add(answer)
    return [(question, next(iter(own))) for question, own in found.items() if len(own) == 1 and findable(question)]


def _spellings(text: str) -> Iterator[tuple[str, int, str]]:
    """Yield name, form of the text to look into (0 folded, 1 joined and folded, 2 joined), and what to look for."""
    folded = _folded(text)
    yield "as it is", 0, folded
    yield "backwards", 0, folded[::-1]
    for one in dict.fromkeys((text.strip(), folded)):
        data = one.encode()
        yield "hex", 1, data.hex()
        for lead in range(3):
            for sixtyfour in _base64(data, lead):
                yield "base64", 2, sixtyfour


def _base64(data: bytes, lead: int) -> Iterator[str]:
    """Yield the part of a base64 text that does not hang on what stands around the data.

    Args:
        data: what is spelled.
        lead: bytes before it, modulo 3.
    """
    # The first and last groups mix with their neighbours: 3 bytes are 4 letters.
    start = -lead % 3
    whole = data[start : start + (len(data) - start) // 3 * 3]
    if len(whole) >= 6:
        plain = base64.b64encode(whole).decode()
        yield plain
        if (other := base64.urlsafe_b64encode(whole).decode()) != plain:
            yield other


def _folded(text: str) -> str:
    return " ".join(text.casefold().split())


def _joined(text: str) -> str:
    return "".join(text.split())
