"""A small shop of our own invention, in the form of the published files, so that a shop can be played without any data.

Products come in lines of near-twins: the same kind of thing from the same brand, in nearly the same words. A twin has
two other attributes, or other option values, or costs too much. A goal says which twin is meant, mostly by what the
search engine does not see, since it reads the first bullet point only: item pages have to be opened and read.
"""

from __future__ import annotations

import functools
import json
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Any

from ...errors import ConfigError

PRODUCTS = 200
"""Products of a shop if nobody says otherwise."""
TWINS = (4, 6)
"""Products of one line, the least and the most."""
KNOWN = 4
"""Attributes of a product."""
WISHED = (3, 4)
"""Attributes that an instruction asks for."""
ASKED_FOR = 0.5
"""Share of the products that somebody is sent for; the first of each line always is, one that costs more never."""
RANGED = 0.2
"""Share of the products whose price is a range."""
DEARER = (50, 90)
"""Dollars by which a dear twin costs more; the cap of a goal is at most 40 above a price, of which a range has 6."""
ID_LETTERS = "ABCDEFGHJKLMNPQRSTUVWXYZ0123456789"


@dataclass(frozen=True)
class MadeShop:
    """A shop as the published files hold one."""

    items: list[dict[str, Any]]
    """Rows of products. `nouns` is ours: the nouns of the name, so that no language model is needed for the reward."""
    instructions: dict[str, dict[str, Any]]
    """Product id to attributes, and for some an instruction."""
    human: dict[str, list[dict[str, Any]]]
    """Product id to wishes in a person's form: options by value alone."""


@dataclass(frozen=True)
class _Twin:
    """What tells a product from the others of its line."""

    attributes: tuple[str, ...]
    options: Mapping[str, tuple[str, ...]]
    price: float
    dear: bool = False


@dataclass(frozen=True)
class _Line:
    """What near-twins share."""

    kind: Mapping[str, Any]
    brand: str
    name: str
    stuff: str
    opening: str
    closing: str
    first: int
    """Number of its first product."""


def make_shop(seed: int = 0, products: int = PRODUCTS) -> MadeShop:
    """Make a shop; the same arguments give the same shop, and a larger one begins with the smaller.

    Args:
        seed: of everything that is drawn.
        products: how many.

    Raises:
        ConfigError: fewer than one product is wanted.
    """
    if products < 1:
        raise ConfigError(f"a shop needs at least one product, not {products}.")
    made = MadeShop([], {}, {})
    for number, (line, twin) in enumerate(_twins(seed, products)):
        draw = random.Random(f"webshop/{seed}/product/{number}")
        asin = _asin(number, seed)
        made.items.append(_row(line, twin, asin, number, draw))
        known: dict[str, Any] = {"attributes": list(twin.attributes)}
        if line.first == number or (not twin.dear and draw.random() < ASKED_FOR):
            wished = draw.sample(twin.attributes, draw.randint(*WISHED))
            known |= {"instruction": _instruction(line.kind, wished), "instruction_attributes": wished}
            made.human[asin] = [_wish(line.kind, twin, asin, draw)]
        made.instructions[asin] = known
    return made


def _twins(seed: int, products: int) -> Iterator[tuple[_Line, _Twin]]:
    """Yield the products of one line after the other, every kind in turn."""
    words = _words()
    order = list(words["kinds"])
    random.Random(f"webshop/{seed}/order").shuffle(order)
    number = 0
    for index in range(products):
        draw = random.Random(f"webshop/{seed}/line/{index}")
        kind = order[index % len(order)]
        line = _Line(
            kind,
            draw.choice(words["brands"]),
            draw.choice(kind["names"]),
            draw.choice(kind["stuff"]),
            draw.choice(words["openings"]).format(draw.choice(kind["for"])),
            draw.choice(words["closings"]),
            first=number,
        )
        for twin in _line_twins(kind, draw):
            if number == products:
                return
            yield line, twin
            number += 1


def _line_twins(kind: Mapping[str, Any], draw: random.Random) -> Iterator[_Twin]:
    """Yield a product and its twins, each of which differs from it in one respect: attributes, options or price."""
    every = [*kind["is"], *kind["has"]]
    low, high = kind["price"]
    # Two of each sort, so that an instruction has something to say in front of the thing and behind it.
    attributes = (*draw.sample(kind["is"], 2), *draw.sample(kind["has"], 2))
    options = {name: _some(values, draw, least=2) for name, values in kind["options"].items()}
    first = _Twin(attributes, options, _price(low, low + (high - low) * 0.6, draw))
    yield first
    respects = ["attributes", "options", "price"]
    draw.shuffle(respects)
    for turn in range(draw.randint(*TWINS) - 1):
        respect = respects[turn % len(respects)]
        if respect == "attributes":
            others = [attribute for attribute in every if attribute not in attributes]
            changed = (*draw.sample(attributes, KNOWN - 2), *draw.sample(others, 2))
            yield _Twin(changed, options, _near(first.price, draw))
        elif respect == "options":
            changed_options = {name: _other(kind["options"][name], had, draw) for name, had in options.items()}
            yield _Twin(attributes, changed_options, first.price)
        else:
            yield _Twin(attributes, options, round(first.price + draw.randint(*DEARER), 2), dear=True)


def _some(values: Sequence[str], draw: random.Random, *, least: int) -> tuple[str, ...]:
    """Return some of the values in their own order, not all of them where there are enough."""
    chosen = draw.sample(values, draw.randint(least, max(least, len(values) - 1)))
    return tuple(value for value in values if value in chosen)


def _other(values: Sequence[str], had: Sequence[str], draw: random.Random) -> tuple[str, ...]:
    """Return values of which at least one of `had` is missing and one is new."""
    lost = draw.choice(had)
    new = draw.choice([value for value in values if value not in had] or [lost])
    kept = {value for value in had if value != lost} | {new}
    return tuple(value for value in values if value in kept and (value != lost or len(kept) == 1))


def _price(low: float, high: float, draw: random.Random) -> float:
    return draw.randint(int(low), int(high)) + draw.choice((0.0, 0.49, 0.95, 0.99))


def _near(price: float, draw: random.Random) -> float:
    return round(max(1.0, price + draw.choice((-2.0, -1.0, 0.0, 1.0, 2.0))), 2)


def _row(line: _Line, twin: _Twin, asin: str, number: int, draw: random.Random) -> dict[str, Any]:
    """Return a row as the published product file has them, and the nouns of its name."""
    kind, words = line.kind, _words()
    shown = draw.choice(twin.attributes).title()
    name = f"{line.brand} {line.stuff} {line.name}, {shown}"
    bullets = [line.opening] + [
        draw.choice(words["that_is" if attribute in kind["is"] else "that_has"]).format(attribute)
        for attribute in draw.sample(twin.attributes, KNOWN)
    ]
    tag = f"${twin.price}"
    if draw.random() < RANGED:
        tag += f"${round(twin.price + draw.randint(2, 6), 2)}"
    return {
        "asin": asin,
        "name": name,
        "full_description": line.closing,
        "small_description": bullets,
        "pricing": tag,
        "images": [""],
        "category": kind["category"],
        "query": kind["query"],
        "product_category": " › ".join(kind["path"]),
        "average_rating": "",
        "customization_options": {
            option.title(): [{"value": value, "image": None} for value in values]
            for option, values in twin.options.items()
        },
        "page": number // 10 + 1,
        "nouns": [*line.brand.lower().split(), *line.name.replace("'s", "").lower().split()],
    }


def _instruction(kind: Mapping[str, Any], wished: Sequence[str]) -> str:
    before = [attribute for attribute in wished if attribute in kind["is"]]
    behind = [attribute for attribute in wished if attribute in kind["has"]]
    text = " ".join(part for part in ("Find me", ", ".join(before), kind["query"]) if part)
    return f"{text} with {', '.join(behind)}" if behind else text


def _wish(kind: Mapping[str, Any], twin: _Twin, asin: str, draw: random.Random) -> dict[str, Any]:
    """Return a wish in the words of a person, who names option values but not what they are options of."""
    wished = draw.sample(twin.attributes, 2)
    chosen = [draw.choice(values) for values in twin.options.values()]
    parts = [f"is {attribute}" if attribute in kind["is"] else f"has {attribute}" for attribute in wished]
    thing = f"{kind['one']} that {' and '.join(parts)}. i want it in {' and '.join(chosen)}"
    return {
        "asin": asin,
        "instruction": draw.choice(_words()["wishes"]).format(thing) + ".",
        "attributes": list(twin.attributes),
        "options": [f"{name}: {value}" for name, value in zip(twin.options, chosen, strict=True)],
        "instruction_attributes": wished,
        "instruction_options": chosen,
    }


def _asin(number: int, seed: int) -> str:
    """Return an id of ten signs that says nothing: a shuffled number, different for each."""
    base = len(ID_LETTERS)
    # An odd factor that shares no divisor with 34**6 makes this a permutation of all numbers below it.
    code = (number * 1_103_515_245 + (seed % base**6) * 12_345 + 54_321) % base**6
    signs = ""
    for _ in range(6):
        code, digit = divmod(code, base)
        signs = ID_LETTERS[digit] + signs
    return f"LM00{signs}"


@functools.cache
def _words() -> dict[str, Any]:
    text = resources.files(__package__).joinpath("generate.json").read_text(encoding="utf-8")
    found: dict[str, Any] = json.loads(text)
    return found
