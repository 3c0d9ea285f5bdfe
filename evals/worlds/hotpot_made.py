"""Two-step questions over ten short paragraphs made on the spot, in the form of HotpotQA's distractor setting."""

from __future__ import annotations

import random
from typing import NamedTuple

ONSETS = ("b", "br", "d", "f", "g", "h", "k", "l", "m", "n", "p", "r", "s", "t", "v", "z")
VOWELS = ("a", "e", "i", "o", "u", "ei", "au")
CODAS = ("l", "n", "r", "s", "t", "ck", "ld", "m")
CRAFTS = ("painter", "composer", "botanist", "sculptor", "poet", "astronomer", "weaver", "clockmaker")
RIVERS = ("Orla", "Senn", "Tammer", "Visk", "Ulde")


class Question(NamedTuple):
    """One question with its paragraphs."""

    ident: str
    question: str
    answer: str
    kind: str
    """`bridge`: the second paragraph is found through the first; `comparison`: two are compared."""
    paragraphs: tuple[tuple[str, tuple[str, ...]], ...]
    """Title and sentences of each."""
    support: tuple[str, ...]
    """Titles of the paragraphs that hold the answer, in the order in which they are needed."""


def made(split: str, seed: int, number: int) -> Question:
    """Return a question, the same everywhere."""
    draw = random.Random(f"hotpotqa/{split}/{seed}/{number}")
    names = _different(draw, 15)
    people = [f"{first} {last}" for first, last in zip(names[:5], names[5:10], strict=True)]
    towns = names[10:]
    born = draw.sample(range(1701, 1899), 5)
    homes, rivers = [draw.choice(towns) for _ in people], draw.sample(RIVERS, 5)
    pages = [
        (who, (f"{who} was a {craft} who was born in {home} in {year}.", f"The works of {who} are kept by the town."))
        for who, craft, home, year in zip(people, draw.sample(CRAFTS, 5), homes, born, strict=True)
    ]
    pages += [
        (town, (f"{town} is a town with {draw.randint(2, 90)} streets.", f"It lies on the river {river}."))
        for town, river in zip(towns, rivers, strict=True)
    ]
    one, other = draw.sample(range(5), 2)
    if number % 2 == 0:
        kind, support = "bridge", (people[one], homes[one])
        question = f"On which river lies the town where {people[one]} was born?"
        answer = rivers[towns.index(homes[one])]
    else:
        kind, support = "comparison", (people[one], people[other])
        question = f"Was {people[one]} born before {people[other]}?"
        answer = "yes" if born[one] < born[other] else "no"
    draw.shuffle(pages)
    return Question(f"{split}/{seed}/{number}", question, answer, kind, tuple(pages), support)


def _different(draw: random.Random, count: int) -> list[str]:
    found: dict[str, None] = {}
    while len(found) < count:
        parts = (draw.choice(ONSETS), draw.choice(VOWELS), draw.choice(ONSETS), draw.choice(VOWELS), draw.choice(CODAS))
        found["".join(parts).capitalize()] = None
    return list(found)
