"""Products of a WebShop data set, cut down to what a shopper can see or be paid for."""

from __future__ import annotations

import hashlib
import random
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

from ...errors import ConfigError

UNPRICED = 100.0
"""Price in dollars of a product whose row names none."""
LONGEST_ID = 10
AGAIN = "The file may be torn: fetch it again."


@dataclass(frozen=True, slots=True)
class Request:
    """One wish a person wrote down for a product."""

    text: str
    attributes: tuple[str, ...]
    options: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Product:
    """One product. `price` is what it costs; `tag` is what the shop shows, which may be a range."""

    asin: str
    name: str
    description: str
    bullets: tuple[str, ...]
    tag: str
    price: float
    options: Mapping[str, tuple[str, ...]]
    """Option name to its values, in the order of the page."""
    attributes: tuple[str, ...]
    category: str
    query: str
    product_category: str
    wish: str | None
    """The synthetic instruction, without options and price."""
    wished: tuple[str, ...]
    """The attributes that the synthetic instruction asks for."""
    requests: tuple[Request, ...]
    nouns: tuple[str, ...] | None
    """Nouns of the name where the data brings them along; see `nouns.py`."""

    @property
    def document(self) -> str:
        """What the search engine sees of the product."""
        options = ", and ".join(f"{name}: {', '.join(values)}" for name, values in self.options.items())
        first = self.bullets[0] if self.bullets else ""
        return " ".join((self.name, self.description, first, options)).lower()


@dataclass(frozen=True)
class Catalogue:
    """Products in file order, and how to come by the same ones again."""

    products: tuple[Product, ...]
    digest: str
    """Hash of what was read and of the seed of the prices."""
    random_state: object
    """State of the generator after the prices; the caps of the goals are drawn from here on."""


def make_catalogue(
    rows: Iterable[Any],
    instructions: Mapping[str, Any],
    human: Mapping[str, Any],
    *,
    digest: hashlib._Hash,
    seed: int = 0,
    limit: int | None = None,
    source: str = "the products",
) -> Catalogue:
    """Return the products in published rows.

    Rows without a usable id and repeated ids are left out, as in the original. `digest` is read when all rows are.

    Raises:
        ConfigError: a row is none of the published form.
    """
    draw = random.Random(seed)
    products: dict[str, Product] = {}
    for number, row in enumerate(rows):
        if limit is not None and number >= limit:
            break
        try:
            asin = row["asin"]
            if asin == "nan" or len(asin) > LONGEST_ID or asin in products:
                continue
            products[asin] = _product(row, instructions.get(asin, {}), human.get(asin, ()), draw)
        except (KeyError, TypeError, AttributeError, ValueError, InvalidOperation) as error:
            what = f"{type(error).__name__}: {error}"
            raise ConfigError(f"{source}, product {number + 1}: not a row of WebShop ({what}).", hint=AGAIN) from error
    if not products:
        raise ConfigError(f"{source}: there is no product in it.", hint=AGAIN)
    digest.update(f"{seed}/{limit}".encode())
    return Catalogue(tuple(products.values()), digest.hexdigest(), draw.getstate())


def _product(
    row: Mapping[str, Any], known: Mapping[str, Any], requests: Sequence[Mapping[str, Any]], draw: random.Random
) -> Product:
    bullets = row["small_description"]
    prices = _prices(row.get("pricing"))
    nouns = row.get("nouns")
    return Product(
        asin=row["asin"],
        name=_text(row["name"]),
        description=_text(row["full_description"] or ""),
        bullets=tuple(map(_text, bullets if isinstance(bullets, list) else [bullets])),
        tag=" to ".join(f"${price}" for price in prices),
        price=draw.uniform(*prices) if len(prices) == 2 else prices[0],
        options=_options(row["customization_options"]),
        attributes=_shared(known["attributes"]) if "attributes" in known else ("DUMMY_ATTR",),
        category=sys.intern(row["category"]),
        query=sys.intern(row["query"].lower().strip()),
        product_category=sys.intern(row["product_category"]),
        wish=known.get("instruction"),
        wished=_shared(known.get("instruction_attributes") or ()),
        requests=tuple(
            Request(
                _text(one["instruction"]), _shared(one["instruction_attributes"]), _shared(one["instruction_options"])
            )
            for one in requests
        ),
        nouns=None if nouns is None else tuple(str(noun).lower() for noun in nouns),
    )


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"a text was expected, not {value!r:.40}")
    return value


def _prices(text: str | None) -> tuple[float, ...]:
    """Return the price, or the ends of the range, in a text such as `$1,299.00 - $1,500.00`."""
    found = [float(Decimal(re.sub(r"[^\d.]", "", part))) for part in (text or "").split("$")[1:]]
    return tuple(found[:2]) or (UNPRICED,)


def _options(given: Mapping[str, Sequence[Mapping[str, Any]] | None] | str | None) -> dict[str, tuple[str, ...]]:
    if not given:
        return {}
    if isinstance(given, str):
        raise TypeError("customization_options is a string")
    return {
        sys.intern(name.lower()): tuple(
            sys.intern(value["value"].strip().replace("/", " | ").lower()) for value in values
        )
        for name, values in given.items()
        if values is not None
    }


def _shared(words: Iterable[str]) -> tuple[str, ...]:
    """Keep one copy of a phrase that a million products share."""
    return tuple(sys.intern(word) for word in words)
