"""Computations as they stand in a text: chains such as `2 * 3 + 4 = 6 + 4 = 10`, with units, percent and currency."""

from __future__ import annotations

import re
from collections.abc import Iterator
from fractions import Fraction
from typing import NamedTuple

from ...errors import ToolError
from .arithmetic import value_of
from .tokens import NUMBER, Token, runs

RESULT = re.compile(rf"=\s*+(?:[$€£]\s*+)?({NUMBER.pattern})")
ANNOTATED = re.compile(r"(?P<before>(?:=\s*+)?(?:[$€£]\s*+)?)<<(?P<inner>[^<>]*)>>(?P<after>\s*[$€£]?[0-9.])?")
"""How GSM8K writes what a calculator says: `48/2 = <<48/2=24>>24`."""
TERM = r"[sm(]*+np?+w{0,6}+\)*+p?+w{0,6}+"
SIDE = re.compile(rf"{TERM}(?:[so]{TERM})*+")
"""One side by the kinds of its tokens: numbers, with a unit of a few words behind them, joined by operations. Nothing
is given back, or an answer that goes round in circles would be read in ever more ways."""
LONGEST = 150
"""Words of a side, at most; and characters of a number."""
RATIOS = frozenset(map(Fraction, (2, 3, 4, 7, 10, 12, 16, 20, 24, 30, 36, 52, 60, 100, 365, 1000, 1440, 3600)))
"""What may lie between two sides that are in different units, such as 240 minutes and 4 hours."""


class Side(NamedTuple):
    """What stands between two equals signs."""

    expression: str
    """As the calculator reads it."""
    plain: str
    """The same with percent signs left out: 75 where the expression is 75/100."""
    first: Fraction
    """Its first number."""
    numbers: tuple[Fraction, ...]
    places: int
    """Decimal places that are written, the most of any of its numbers."""
    computes: bool
    """Whether there is anything to be done."""
    unit: str
    """Its last word, or `$`."""


class Equation(NamedTuple):
    """One computation as it stands in a text, and the side of its chain that is to be equal to it."""

    left: str
    """As a person writes it, with `*` and `/`."""
    right: Fraction
    numbers: tuple[Fraction, ...]
    """The numbers on its left side."""
    sides: tuple[Side, Side]
    """Both, as they were read."""

    def holds(self, value: Fraction, tolerance: Fraction) -> bool:
        """Say whether the right side is what the left one comes to.

        A result may be rounded, up or down, to the places in which it is written; 75 % is .75 and 75; sides in
        different units, both of them named, may be as far apart as units are. Where one goes on computing in the
        same line, as in `5 + 3 = 8 * 2 = 16`, it is the first number of the right side that is compared.

        Args:
            value: of the left side.
            tolerance: relative difference that counts as rounding beside that.
        """
        left, right = self.sides
        rights = {self.right, *_value(right.plain)}
        lefts = {value, *(_value(left.plain) if _as_it_stands(left) else ())}
        if any(close(one, other, right.places, tolerance) for one in lefts for other in rights):
            return True
        if right.computes and close(value, right.first, right.places, tolerance):
            return True
        apart = _apart(left.unit, right.unit) and value and self.right
        return bool(apart) and ({value / self.right, self.right / value} & RATIOS != set())


def equations(text: str) -> list[Equation]:
    """Return the computations in a text, in order: each side of a chain with what was last computed before it."""
    found = []
    for chain in _chains(ANNOTATED.sub(_written_out, text)):
        left: Side | None = None
        for side in chain:
            if left is not None and (right := _value(side.expression)):
                found.append(Equation(left.expression, next(iter(right)), left.numbers, (left, side)))
            if side.computes:
                left = side
            elif left is not None and side.unit and side.unit != left.unit:
                # From here on it is in another unit: `240 minutes = 4 hours`.
                left = None if left.unit else left._replace(unit=side.unit)
    return found


def results_in(text: str) -> list[Fraction]:
    """Return the numbers that stand behind an equals sign, whether or not what stands before it can be computed."""
    return [_number(number) for number in RESULT.findall(text) if len(number) < LONGEST]


def numbers_in(text: str) -> set[Fraction]:
    """Return all numbers in a text, without their signs."""
    return {_number(number) for number in NUMBER.findall(text) if len(number) < LONGEST}


def _apart(one: str, other: str) -> bool:
    """Say whether these are two units, so that there may be a ratio between them. Dollars have one with cents alone."""
    if not one or not other or one == other:
        return False
    return "$" not in (one, other) or any(unit.startswith(("cent", "penn")) for unit in (one, other))


def _written_out(match: re.Match[str]) -> str:
    """Return a calculator's annotation as part of the chain it stands in, or as one of its own."""
    before, inner, after = match["before"], match["inner"], match["after"] or ""
    joins, goes_on = "=" in before, after and "=" in inner
    return f"{before}{'' if joins else ' ; '}{inner}{' = ' if goes_on else ' ; '}{after}"


def _chains(text: str) -> Iterator[list[Side]]:
    """Yield the sides that equals signs join. A side that is only part of what was meant is left out."""
    chain: list[Side] = []
    for run in runs(text):
        parts = _split(run)
        for number, part in enumerate(parts):
            first, last = number == 0, number == len(parts) - 1
            whole = _side(part, 0, len(part)) if part else None
            if whole is not None and not first and not last:
                chain.append(whole)
                continue
            if not first and (head := _prefix(part)) is not None:
                chain.append(head)
            if not first:
                yield chain
                chain = []
            if not last and (tail := _suffix(part)) is not None:
                chain = [tail]
        yield chain
        chain = []


def _split(run: list[Token]) -> list[list[Token]]:
    parts: list[list[Token]] = [[]]
    for token in run:
        if token.kind == "=":
            parts.append([])
        else:
            parts[-1].append(token)
    return parts if len(parts) > 1 else []


def _prefix(part: list[Token]) -> Side | None:
    """Return the longest side that a part begins with, if what follows is no operation that belongs to it."""
    for end in range(min(len(part), LONGEST), 0, -1):
        side = _side(part, 0, end)
        if side is not None:
            # `24 ounces to fill 3` is whole; `6 - y`, `24 / y` and `3 000` are not to be read.
            rest = "".join(token.kind for token in part[end : end + 2])
            open_ended = part[end - 1].kind != "w" and rest[:1] in ("n", "v", "(")
            return None if open_ended or re.match("s[vnm]|o", rest) else side
    return None


def _suffix(part: list[Token]) -> Side | None:
    """Return the longest side that a part ends with, if what precedes it is no operation that belongs to it."""
    for start in range(max(0, len(part) - LONGEST), len(part)):
        side = _side(part, start, len(part))
        if side is None:
            continue
        before = part[start - 1] if start else None
        # At the beginning of a line these are marks of a list.
        if before is None or (start == 1 and before.kind in "os") or before.kind == "w":
            return side
        listed = before.kind == ")" and not any(token.kind == "(" for token in part[:start])
        return side if listed else None
    return None


def _side(part: list[Token], start: int, end: int) -> Side | None:
    """Return what these tokens compute, or None where they are no computation."""
    tokens = part[start:end]
    if not SIDE.fullmatch("".join(token.kind for token in tokens)):
        return None
    if tokens[0].kind == "s" and len(tokens) > 1 and tokens[1].start > tokens[0].end:
        return None  # a dash, or a mark of a list
    plain = _expression([token for token in tokens if token.kind != "p"])
    expression = _expression(tokens)
    if not _value(plain):
        return None
    words = [token.text.lower() for token in tokens if token.kind == "w"]
    unit = words[-1] if words else "$" if any(token.kind == "m" for token in tokens) else ""
    written = [token.text for token in tokens if token.kind == "n"]
    numbers = tuple(map(_number, written))
    places = max(len(number.partition(".")[2]) for number in written)
    return Side(expression, plain, numbers[0], numbers, places, len(numbers) > 1, unit)


def _expression(tokens: list[Token]) -> str:
    """Return what the calculator is to compute: without units and currency, `20%` as (20 / 100)."""
    kept, found, closes = [token for token in tokens if token.kind not in "wm"], "", -1
    for at, token in enumerate(kept):
        text = token.text.replace(",", "").replace("[", "(").replace("]", ")")
        if token.kind in "so":
            found += f" {text} " if found and found[-1] not in "( " else text
        elif token.kind != "n":
            found += text if token.kind != "p" else ""
        elif at + 1 < len(kept) and kept[at + 1].kind == "p":
            found += f"({text} / 100)"
        elif at != closes and _is_fraction(kept, at):
            found, closes = f"{found}({text}", at + 2
        else:
            found += text
        if at == closes:
            found += ")"
    return found


def _is_fraction(tokens: list[Token], at: int) -> bool:
    """Say whether a fraction such as 1/5 begins here: in `2 / 1/5` it is one number, and in `6/1/5` there is none."""
    three = tokens[at : at + 3]
    if "".join(token.kind for token in three) != "non" or three[1].text != "/":
        return False
    close = three[0].end == three[1].start and three[1].end == three[2].start
    before = tokens[at - 1] if at else None
    return close and before is not None and before.text == "/" and before.end < three[0].start


def _number(text: str) -> Fraction:
    return Fraction(text.replace(",", ""))


def _value(expression: str) -> set[Fraction]:
    """Return the value of an expression in a set of its own; an empty one where it has none."""
    try:
        return {value_of(expression)}
    except ToolError:
        return set()


def _as_it_stands(side: Side) -> bool:
    """Say whether its percent signs may be meant as words: 100% - 25% is 75, and 1/5 * 100% is 20."""
    if side.plain == side.expression:
        return False
    return "(100 / 100)" in side.expression or not any(sign in side.plain for sign in "*/")


def close(value: Fraction, other: Fraction, places: int, tolerance: Fraction) -> bool:
    """Say whether a number is what a value is written as, rounded up or down where it has more places than those."""
    apart, unit = abs(value - other), Fraction(1, 10**places)
    if apart <= tolerance * max(Fraction(1), abs(value)):
        return True
    return (value / unit).denominator != 1 and apart < unit
