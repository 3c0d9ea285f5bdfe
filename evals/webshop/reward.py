"""What a purchase is worth, to the digit of the published formula."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import resources

from .goals import Goal
from .products import Product

SAME = 85
"""Two phrases are the same above this rounded percentage."""
CATEGORIES_SHARED = 2
NOUNS_OF = Callable[[Product], Sequence[str]]


@dataclass(frozen=True, slots=True)
class Reward:
    """A reward and what it is made of."""

    value: float
    kind: float
    """How far the product is of the wanted kind: 1, 0.5, 0.1 or 0."""
    attributes: int
    """How many wanted attributes the product has."""
    options: int
    """How many wanted options were chosen."""
    price: bool
    """Whether it costs no more than the cap."""
    title_share: float
    """Share of the wanted name's nouns that are in the bought one's name."""


def reward_of(product: Product, goal: Goal, chosen: Sequence[str], nouns: NOUNS_OF) -> Reward:
    """Return what buying a product with some option values is worth.

    reward = kind * (attributes + options + [price <= cap]) / (wanted attributes + wanted options + 1): Yao et al. 2022,
    "WebShop", equation 1 in words; thresholds and the order of the cases are those of its released code.

    Args:
        product: what is bought.
        goal: what was wanted.
        chosen: the option values chosen, one for each option name.
        nouns: gives the nouns of a product's name, lower-cased, repeated ones repeated.
    """
    share = _title_share(nouns(product), nouns(goal.product))
    kind = _kind(product, goal.product, share)
    attributes = sum(_has_attribute(product, wanted) for wanted in goal.attributes)
    options = _options_met(chosen, goal.options)
    price = product.price <= goal.price_upper
    value = (attributes + options + price) / (len(goal.attributes) + len(goal.options) + 1)
    return Reward(value * kind, kind, attributes, options, price, share)


def _title_share(bought: Sequence[str], wanted: Sequence[str]) -> float:
    return len(set(bought) & set(wanted)) / len(wanted) if wanted else 0.2


def _kind(bought: Product, wanted: Product, share: float) -> float:
    if share == 0.0:
        return 0.0
    if share < 0.1:
        return 0.1
    shared = _parts(bought.product_category) & _parts(wanted.product_category)
    same = bought.query == wanted.query or len(shared) >= CATEGORIES_SHARED or share > 0.2
    return 1.0 if same else 0.5


@functools.lru_cache(maxsize=4096)
def _parts(product_category: str) -> frozenset[str]:
    return frozenset(part.strip() for part in product_category.split("›"))


def _has_attribute(product: Product, wanted: str) -> bool:
    if any(alike(own, wanted) for own in product.attributes):
        return True
    texts = (product.name, " ".join(product.bullets), product.description)
    return any(wanted in text.lower() for text in texts)


def _options_met(chosen: Sequence[str], wanted: Sequence[str | tuple[str, str]]) -> int:
    plain = [plain_color(value) for value in chosen]
    met = 0
    for option in wanted:
        # A synthetic goal's pair is never searched for a colour inside its words, only compared with whole ones, and is
        # matched by how Python writes it. That is what the published code comes to, and 6,910 goals are scored by it.
        text = plain_color(option) if isinstance(option, str) else _plain_pair(option)
        met += any(alike(value, text) for value in plain)
    return met


def _plain_pair(pair: tuple[str, str]) -> str:
    return next((color for color in colors() if color in pair), None) or str(pair)


def plain_color(value: str) -> str:
    """Return the first colour of the list that is in an option value, or the value."""
    return next((color for color in colors() if color in value), value)


@functools.lru_cache(maxsize=1)
def colors() -> tuple[str, ...]:
    """Return the colours that option values are reduced to; their order decides."""
    text = resources.files(__package__).joinpath("colors.txt").read_text(encoding="utf-8")
    return tuple(line for line in text.splitlines() if line and not line.startswith("#"))


# thefuzz, with which rewards were published, drops these characters before it compares.
_LATIN = dict.fromkeys(range(128, 256))


@functools.lru_cache(maxsize=65536)
def alike(one: str, other: str) -> bool:
    """Say whether two phrases are the same but for order, repetition and a few letters."""
    from rapidfuzz import fuzz, utils

    left, right = (utils.default_process(text.translate(_LATIN)) for text in (one, other))
    return round(fuzz.token_set_ratio(left, right)) > SAME
