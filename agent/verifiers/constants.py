"""Numbers that a text gives without figures: words for numbers, what units are made of, shares of a hundred."""

from __future__ import annotations

import re
from fractions import Fraction

from .equations import numbers_in

WORD = re.compile(r"[^\W\d_]+")
FRACTION = re.compile(r"(?<![0-9/])([0-9]+)\s?/\s?([0-9]+)(?![0-9/])")
TO_TEN = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
TEENS = ("eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen")
TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
COUNTS = {word: n for n, word in enumerate((*TO_TEN, *TEENS), 1)} | {word: 10 * n for n, word in enumerate(TENS, 2)}
GIVEN = {
    "1": "a an next once each another single",
    "2": "half halve halves halved twice double doubled doubling both pair couple twin average second pint weekend",
    "3": "third thrice triple tripled trio foot feet yard triangle",
    "4": "quarter fourth quadruple week weekly month monthly gallon quart square",
    "5": "fifth weekday nickel",
    "6": "sixth",
    "7": "seventh day daily week weekly",
    "8": "eighth pint cup",
    "10": "tenth decade dime",
    "12": "dozen month monthly year yearly annual inch inches foot feet",
    "16": "ounce pound gallon cup",
    "20": "score",
    "24": "hour hourly day",
    "25": "quarter",
    "30": "daily month monthly",
    "36": "yard",
    "52": "week weekly year yearly annual",
    "60": "second minute hour",
    "100": "hundred century percent percentage cent penny pennies dollar centimeter meter",
    "128": "gallon",
    "365": "year yearly annual",
    "1000": "thousand meter kilometer km gram kilogram kg liter ml",
    "2000": "ton",
    "5280": "mile",
    "1000000": "million",
    "1/2": "half halve halves halved",
    "1/3": "third",
    "2/3": "third",
    "1/4": "quarter fourth",
    "3/4": "quarter fourth",
    "1/5": "fifth",
    "1/10": "tenth dime",
    "1/20": "nickel",
    "1/100": "penny pennies",
}
"""Numbers, and the words that let one compute with them."""
MEANT = {
    word: frozenset(Fraction(number) for number, words in GIVEN.items() if word in words.split())
    for word in " ".join(GIVEN.values()).split()
}


def constants_in(text: str) -> set[Fraction]:
    """Return the numbers that a text gives by words: `twice` gives 2, `minutes` 60, `%` 100."""
    words = [word.lower() for word in WORD.findall(text)]
    found = {Fraction(100)} if "%" in text else set[Fraction]()
    for word, after in zip(words, [*words[1:], ""], strict=False):
        found |= MEANT.get(word) or MEANT.get(word.removesuffix("s")) or frozenset()
        if word in COUNTS:
            found.add(Fraction(COUNTS[word]))
            if word in TENS and COUNTS.get(after, 10) < 10:
                found.add(Fraction(COUNTS[word] + COUNTS[after]))
    return found


def told(text: str) -> set[Fraction]:
    """Return the numbers that a task gives: in figures, by words, as fractions, and of shares of a hundred the rest."""
    numbers = numbers_in(text)
    found = numbers | constants_in(text)
    found |= {Fraction(int(a), int(b)) for a, b in FRACTION.findall(text) if int(b)}
    if Fraction(100) in found:
        shares = {number for number in numbers if number <= 100}
        found |= {part for n in shares for part in (n / 100, 100 - n, 100 + n, 1 - n / 100, 1 + n / 100)}
    return found
