"""What shoppers are sent for: synthetic and human goals, in the order in which WebShop numbers them."""

from __future__ import annotations

import itertools
import random
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from ...errors import ConfigError
from .products import Catalogue, Product

Kind = Literal["synthetic", "human"]
SHUFFLE_SEED = 233
"""The original's own; the published split is by the index after this shuffle."""
CAPS = tuple(10.0 * n for n in range(1, 100))
"""Price caps in dollars that a goal may have."""
NO_CAP = 1_000_000


@dataclass(frozen=True, slots=True)
class Goal:
    """What is to be bought, and what the purchase is compared with."""

    product: Product
    request: str
    """What is wanted, in words, without options and price."""
    attributes: tuple[str, ...]
    options: tuple[tuple[str, str], ...] | tuple[str, ...]
    """Pairs of name and value (synthetic), or values alone (human): the reward tells the two apart."""
    price_upper: float
    kind: Kind
    weight: float = 1

    @property
    def words(self) -> str:
        """The instruction without its price clause."""
        pairs = [f"{option[0]}: {option[1]}" for option in self.options if not isinstance(option, str)]
        return f"{self.request} with {', and '.join(pairs)}" if pairs else self.request

    @property
    def instruction(self) -> str:
        """The instruction as the shopper reads it."""
        if self.price_upper >= NO_CAP:
            return self.words
        return f"{self.words}, and price lower than {self.price_upper:.2f} dollars"

    @property
    def values(self) -> tuple[str, ...]:
        """The values of the options alone."""
        return tuple(option if isinstance(option, str) else option[1] for option in self.options)

    def row(self) -> dict[str, Any]:
        """Return the goal as the original holds it, for publishing a list of goals beside a result."""
        pairs = dict(option for option in self.options if not isinstance(option, str))
        return {
            "asin": self.product.asin,
            "category": self.product.category,
            "query": self.product.query,
            "name": self.product.name,
            "product_category": self.product.product_category,
            "instruction_text": self.instruction,
            "attributes": list(self.attributes),
            "price_upper": self.price_upper,
            "goal_options": list(self.options) if self.kind == "human" else pairs,
            "weight": self.weight,
        }


def make_goals(catalogue: Catalogue, kind: Kind) -> list[Goal]:
    """Return the goals of a catalogue; the index in this list is what WebShop calls a session's number.

    The caps go on with the generator that drew the prices, so one seed fixes both. The original draws them from a
    generator that nobody seeds: seeded with 0 it gives these very goals.

    Raises:
        ConfigError: the data has no goal of this kind.
    """
    draw = random.Random()
    draw.setstate(catalogue.random_state)  # type: ignore[arg-type]
    made = _human(catalogue.products, draw) if kind == "human" else _synthetic(catalogue.products, draw)
    goals = list(made)
    if kind == "synthetic":
        goals = _weighted(goals)
    if not goals:
        raise ConfigError(f"this WebShop data has no {kind} goal.", hint="Human ones need items_human_ins.json.")
    random.Random(SHUFFLE_SEED).shuffle(goals)
    return goals


def _synthetic(products: Sequence[Product], draw: random.Random) -> Iterator[Goal]:
    """One goal per combination of option values of each product that has an instruction."""
    for product in products:
        if product.wish is None:
            continue
        if not product.wished:
            raise ConfigError(f"WebShop product {product.asin} has an instruction that asks for no attribute.")
        cap = _cap(product.price, draw)
        names = sorted(product.options)
        for values in itertools.product(*(product.options[name] for name in names)):
            yield Goal(product, product.wish, product.wished, tuple(zip(names, values, strict=True)), cap, "synthetic")


def _human(products: Sequence[Product], draw: random.Random) -> Iterator[Goal]:
    """One goal per instruction that a person wrote and that asks for at least one attribute."""
    for product in products:
        for request in product.requests:
            if request.attributes:
                cap = _cap(product.price, draw)
                yield Goal(product, request.text.strip("."), request.attributes, request.options, cap, "human")


def _cap(price: float, draw: random.Random) -> float:
    """Return the larger of two of the next four caps above a price."""
    above = [cap for cap in CAPS if cap > price][:4]
    return max(draw.sample(above, 2)) if len(above) >= 2 else NO_CAP


def _weighted(goals: Sequence[Goal]) -> list[Goal]:
    """Weigh each goal by the mean rarity of what it asks for; the original draws sessions by it."""
    counts = Counter(attribute for goal in goals for attribute in goal.attributes)
    return [
        replace(goal, weight=sum(1.0 / counts[attribute] for attribute in goal.attributes) / len(goal.attributes))
        for goal in goals
    ]
