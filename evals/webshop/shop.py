"""A shop: products, goals, a search engine and nouns, shared by all its shoppers."""

from __future__ import annotations

import random
import threading
from collections.abc import Sequence
from importlib.util import find_spec
from typing import Protocol

from ...errors import ConfigError
from .goals import Goal, Kind, make_goals
from .nouns import Nouns
from .products import Catalogue, Product

FOUND = 50
"""Products a search returns at most."""


class Engine(Protocol):
    """What finds products by words."""

    def search(self, query: str, k: int = FOUND) -> Sequence[str]:
        """Return the ids of at most `k` products, the best first."""
        ...


class Shop:
    """Nothing in a shop changes once it is open, so any number of threads may shop in it.

    Args:
        catalogue: what it sells.
        engine: finds products; WebShop's ranking, built at the first search, if not given.
        nouns: gives the nouns of names; from table or spaCy if not given.

    Raises:
        ConfigError: a package is not installed, or the nouns of a name cannot be had.
    """

    def __init__(self, catalogue: Catalogue, engine: Engine | None = None, nouns: Nouns | None = None) -> None:
        _require("rapidfuzz", *(["numpy"] if engine is None else []))
        self.catalogue = catalogue
        self.nouns = nouns or Nouns()
        self.nouns.require(catalogue.products)
        self._by_id = {product.asin: product for product in catalogue.products}
        self._engine = engine
        self._goals: dict[Kind, tuple[Goal, ...]] = {}
        self._lock = threading.Lock()

    @property
    def products(self) -> tuple[Product, ...]:
        """What is sold, in the order of the file."""
        return self.catalogue.products

    @property
    def engine(self) -> Engine:
        """The search engine."""
        if self._engine is None:
            with self._lock:
                self._engine = self._engine or _build(self.products)
        return self._engine

    def goals(self, kind: Kind) -> tuple[Goal, ...]:
        """Return the goals of one kind, by their published number.

        Raises:
            ConfigError: the data has none.
        """
        with self._lock:
            if kind not in self._goals:
                self._goals[kind] = tuple(make_goals(self.catalogue, kind))
            return self._goals[kind]

    def product(self, asin: str) -> Product:
        """Return the product of an id."""
        return self._by_id[asin]

    def find(self, words: str, draw: random.Random) -> tuple[Product, ...]:
        """Return what a search finds, the best first.

        The original has back doors, kept here: `<r>` draws products, `<a>`, `<c>` and `<q>` list those of an
        attribute, a category or a query. (There `<a>`, and `<c>` without a word, end in an exception, and `<r>` draws
        anew for every page of results; here a search is drawn once.)
        """
        first, _, rest = words.partition(" ")
        match first:
            case "<r>":
                return tuple(draw.sample(self.products, min(FOUND, len(self.products))))
            case "<a>":
                return tuple(product for product in self.products if rest.strip() in product.attributes)
            case "<c>":
                wanted = rest.partition(" ")[0].strip()
                return tuple(product for product in self.products if product.category == wanted)
            case "<q>":
                return tuple(product for product in self.products if product.query == rest.strip())
        found = (self._by_id.get(asin) for asin in self.engine.search(words, FOUND))
        return tuple(product for product in found if product is not None)


def _require(*packages: str) -> None:
    """Refuse to open rather than to fail at the first search, or at the purchase when an episode is played."""
    missing = [name for name in packages if find_spec(name) is None]
    if missing:
        raise ConfigError(
            f"WebShop needs {' and '.join(missing)}, not installed here.",
            hint='Install the extra: pip install "lamarck-agents[webshop]".',
        )


def _build(products: Sequence[Product]) -> Engine:
    from .search import Index

    return Index.open([(product.asin, product.document) for product in products])
