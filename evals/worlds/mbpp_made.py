"""Programming problems made on the spot, in the form of MBPP's: a sentence, asserts, and code that passes them."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any, NamedTuple

TESTS = 4


class Problem(NamedTuple):
    """One programming problem."""

    ident: str
    """Which one it is; unlike for any other problem, of whatever file."""
    kind: str
    text: str
    code: str
    """A solution."""
    tests: tuple[str, ...]
    """Assert statements."""
    setup: str = ""
    """What the tests need to have run before them."""


class _Kind(NamedTuple):
    function: str
    text: str
    code: str
    arguments: Callable[[random.Random], Any]


def _numbers(draw: random.Random) -> list[int]:
    return [draw.randint(-20, 60) for _ in range(draw.randint(4, 9))]


def _words(draw: random.Random) -> str:
    return " ".join("".join(draw.choice("abcdeilnorst") for _ in range(draw.randint(2, 7))) for _ in range(5))


KINDS = (
    _Kind(
        "sum_of_multiples",
        "Write a function sum_of_multiples(limit) that adds up all whole numbers from 1 to below limit which {a} or "
        "{b} divides.",
        "def sum_of_multiples(limit):\n    return sum(n for n in range(1, limit) if n % {a} == 0 or n % {b} == 0)",
        lambda draw: draw.randint(1, 200),
    ),
    _Kind(
        "rotated",
        "Write a function rotated(items) that returns a list with the items moved {a} places to the left; those that "
        "leave at the front come back at the end.",
        "def rotated(items):\n    if not items:\n        return []\n    k = {a} % len(items)\n"
        "    return items[k:] + items[:k]",
        _numbers,
    ),
    _Kind(
        "clamped",
        "Write a function clamped(numbers) that returns a list with every number below {a} raised to {a} and every "
        "number above {c} lowered to {c}.",
        "def clamped(numbers):\n    return [min(max(n, {a}), {c}) for n in numbers]",
        _numbers,
    ),
    _Kind(
        "smallest",
        "Write a function smallest(numbers) that returns the {a} smallest different numbers of a list, in ascending "
        "order; fewer where there are not as many.",
        "def smallest(numbers):\n    return sorted(set(numbers))[:{a}]",
        _numbers,
    ),
    _Kind(
        "shifted",
        "Write a function shifted(text) that moves each letter from a to z on by {c} places in the alphabet, from z "
        "on to a, and leaves everything else as it is.",
        "def shifted(text):\n    letters = 'abcdefghijklmnopqrstuvwxyz'\n"
        "    return ''.join(letters[(letters.index(s) + {c}) % 26] if s in letters else s for s in text)",
        _words,
    ),
    _Kind(
        "totals",
        "Write a function totals(numbers) that returns the running totals of a list as a list; after a total above "
        "{c} the next one starts from 0 again.",
        "def totals(numbers):\n    found, total = [], 0\n    for n in numbers:\n        total += n\n"
        "        found.append(total)\n        if total > {c}:\n            total = 0\n    return found",
        _numbers,
    ),
    _Kind(
        "digit_sum",
        "Write a function digit_sum(number) that returns the sum of the digits of a whole number from 0 on, written "
        "in base {a}.",
        "def digit_sum(number):\n    total = 0\n    while number:\n        number, digit = divmod(number, {a})\n"
        "        total += digit\n    return total",
        lambda draw: draw.randint(0, 5000),
    ),
    _Kind(
        "long_words",
        "Write a function long_words(text) that returns the words of a text with more than {a} letters, the last one "
        "first.",
        "def long_words(text):\n    return [word for word in text.split() if len(word) > {a}][::-1]",
        _words,
    ),
)


def made(split: str, seed: int, number: int) -> Problem:
    """Return a problem, the same everywhere."""
    draw = random.Random(f"mbpp/{split}/{seed}/{number}")
    kind = KINDS[number % len(KINDS)]
    values = {"a": draw.randint(2, 5), "b": draw.randint(6, 9), "c": draw.randint(10, 24)}
    code = kind.code.format(**values)
    space: dict[str, Any] = {}
    exec(code, space)
    given = [kind.arguments(draw) for _ in range(TESTS)]
    tests = tuple(f"assert {kind.function}({value!r}) == {space[kind.function](value)!r}" for value in given)
    return Problem(f"{split}/{seed}/{number}", kind.function, kind.text.format(**values), code, tests)
