"""The words that computations in a text are made of: numbers, operations, units, and letters for what is not known."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

NUMBER = re.compile(r"[0-9][0-9,]*(?:\.[0-9]+)?|\.[0-9]+")
DIGITS = re.compile(r"[0-9]:[0-9]")
TOKEN = re.compile(
    rf"(?P<number>{NUMBER.pattern})|(?P<word>[^\W\d_]+(?:['’][^\W\d_]+)?)|(?P<op>\*\*|[-+*/×÷–−])|(?P<equals>=)"
    r"|(?P<open>[(\[])|(?P<close>[)\]])|(?P<percent>%)|(?P<money>[$€£])|(?P<other>\S)|(?P<line>\n)"
)


class Token(NamedTuple):
    """A word of a computation."""

    kind: str
    """One character: n(umber), s(ign), o(peration), m(oney), p(ercent), w(ord), v(ariable), brackets, =, and what ends
    a computation (.)."""
    text: str
    start: int
    end: int


def runs(text: str) -> Iterator[list[Token]]:
    """Yield the tokens between full stops, commas, ends of lines and the like."""
    run: list[Token] = []
    for match in TOKEN.finditer(text):
        token = _token(match, text, run)
        if token.kind == ".":
            yield run
            run = []
            continue
        if token.kind == "(" and run and run[-1].kind in ("n", ")") and run[-1].end == token.start:
            run.append(Token("o", "*", token.start, token.start))
        run.append(token)
    yield run


def _token(match: re.Match[str], text: str, run: list[Token]) -> Token:
    group, said = match.lastgroup, match[0]
    kind = {"number": "n", "equals": "=", "open": "(", "close": ")", "percent": "p", "money": "m"}.get(group or "", ".")
    if said == "/" and run and run[-1].kind in "nw" and text[match.end() : match.end() + 2].isalpha():
        kind = "w"  # of a unit: 5 pills/day
    elif group == "op":
        kind, said = ("s", "-") if said in "-–−" else ("o", said.replace("×", "*").replace("÷", "/"))
    elif group == "word":
        kind, said = _word(said, text, match, run)
    elif said == ":" and DIGITS.fullmatch(text, match.start() - 1, match.end() + 1):
        kind = "v"  # a time of day, or a ratio
    return Token(kind, said, match.start(), match.end())


def _word(said: str, text: str, match: re.Match[str], run: list[Token]) -> tuple[str, str]:
    """Return kind and text of a word: an operation, a unit, or a letter that stands for what is not known yet."""
    behind, ahead = run[-1].kind if run else ".", text[match.end() : match.end() + 4].lstrip()[:1]
    joined = ahead.isdigit() or ahead in ("$", "€", "£", "(", ".")
    if joined and (said in "xX" or said.lower() == "times") and behind in "npw)":
        return "o", "*"
    if joined and said.lower() == "of" and behind in "np)":
        return "o", "*"
    article = said == "a" and text[match.start() - 1 : match.start()].isspace()
    return ("w" if len(said) > 1 or article else "v"), said
