"""Products of a WebShop data set, cut down to what a shopper can see or be paid for."""

from __future__ import annotations

import codecs
import hashlib
import json
import random
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

from ...errors import ConfigError

ITEMS = ("items_shuffle_1000.json", "items_shuffle.json")
"""The published product files, in the order in which a folder is searched for them."""
HUMAN = "items_human_ins.json"
UNPRICED = 100.0
"""Price in dollars of a product whose row names none."""
LONGEST_ID = 10
CHUNK = 4_000_000
LONGEST_ROW = 64_000_000


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
class Files:
    """Where the files of one data set are."""

    items: Path
    instructions: Path
    human: Path

    @classmethod
    def find(cls, data: str | Path, instructions: str | Path | None = None) -> Files:
        """Return the files of a data set.

        Args:
            data: the folder that holds the files, or the product file itself; the others lie beside it.
            instructions: the file of attributes and synthetic instructions, where it is called differently.

        Raises:
            ConfigError: one is not there.
        """
        given = Path(data).expanduser()
        items = next((given / name for name in ITEMS if (given / name).is_file()), given)
        if not items.is_file():
            wanted = " or ".join(ITEMS) if given.is_dir() else "such file or folder"
            raise ConfigError(f"WebShop data {given}: there is no {wanted}.", hint=_HINT)
        beside = items.name.replace("items_shuffle", "items_ins_v2")
        known = Path(instructions).expanduser() if instructions else items.with_name(beside)
        if not known.is_file() or known == items:
            raise ConfigError(
                f"WebShop data: there is no file of instructions for {items}: {known}.",
                hint="Put it beside the products, or pass --set taskset.options.instructions=FILE.",
            )
        return cls(items, known, items.with_name(HUMAN))


_HINT = (
    "Pass --data DIR with items_shuffle_1000.json, items_ins_v2_1000.json and items_human_ins.json of the "
    "WebShop release; without --data a generated shop is played."
)


@dataclass(frozen=True)
class Catalogue:
    """Products in file order, and how to come by the same ones again."""

    products: tuple[Product, ...]
    digest: str
    """Hash of what was read and of the seed of the prices."""
    random_state: object
    """State of the generator after the prices; the caps of the goals are drawn from here on."""


def read_catalogue(files: Files, *, seed: int = 0, limit: int | None = None) -> Catalogue:
    """Read the products of a data set, one row after the other.

    Args:
        files: the files.
        seed: of the generator that draws the price of a product that is tagged with a range.
        limit: read this many rows only.

    Raises:
        ConfigError: a file cannot be read, is torn, or holds something else.
    """
    digest = hashlib.sha256()
    instructions = _read_object(files.instructions, digest)
    human = _read_object(files.human, digest) if files.human.is_file() else {}
    rows = _stream(files.items, digest)
    return make_catalogue(rows, instructions, human, digest=digest, seed=seed, limit=limit, source=str(files.items))


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
            raise ConfigError(f"{source}, product {number + 1}: not a row of WebShop ({what}).", hint=_AGAIN) from error
    if not products:
        raise ConfigError(f"{source}: there is no product in it.", hint=_AGAIN)
    digest.update(f"{seed}/{limit}".encode())
    return Catalogue(tuple(products.values()), digest.hexdigest(), draw.getstate())


_AGAIN = "The file may be torn: fetch it again."


def _product(
    row: Mapping[str, Any], known: Mapping[str, Any], requests: Sequence[Mapping[str, Any]], draw: random.Random
) -> Product:
    bullets = row["small_description"]
    prices = _prices(row.get("pricing"))
    nouns = row.get("nouns")
    return Product(
        asin=row["asin"],
        name=row["name"],
        description=row["full_description"] or "",
        bullets=tuple(bullets) if isinstance(bullets, list) else (bullets,),
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
            Request(one["instruction"], _shared(one["instruction_attributes"]), _shared(one["instruction_options"]))
            for one in requests
        ),
        nouns=None if nouns is None else tuple(str(noun).lower() for noun in nouns),
    )


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


def _read_object(path: Path, digest: hashlib._Hash) -> dict[str, Any]:
    try:
        content = path.read_bytes()
        found = json.loads(content)
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}.") from error
    except ValueError as error:
        raise ConfigError(f"{path} is not JSON: {error}.", hint=_AGAIN) from error
    if not isinstance(found, dict):
        raise ConfigError(f"{path} holds no instructions: a JSON object from product id to instructions was expected.")
    digest.update(content)
    return found


def _stream(path: Path, digest: hashlib._Hash) -> Iterator[Any]:
    """Yield the rows of a JSON array without holding more than a few of them: the full file has several gigabytes."""
    scan = json.JSONDecoder().raw_decode
    decoder = codecs.getincrementaldecoder("utf-8")()
    text, opened = "", False
    try:
        with path.open("rb") as file:
            while chunk := file.read(CHUNK):
                digest.update(chunk)
                text += decoder.decode(chunk)
                if not opened:
                    text = text.lstrip()
                    if not text.startswith("["):
                        raise ConfigError(f"{path} holds no products: a JSON array was expected.", hint=_AGAIN)
                    text, opened = text[1:], True
                at = 0
                while (start := _next_row(text, at)) is not None:
                    try:
                        row, at = scan(text, start)
                    except ValueError:  # The rest of this row is in the next chunk.
                        break
                    yield row
                text = text[at:]
                if len(text) > LONGEST_ROW:
                    break
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is not text in UTF-8: {error}.", hint=_AGAIN) from error
    if text.strip() != "]":
        raise ConfigError(f"{path} ends, or stops making sense, in the middle of a product.", hint=_AGAIN)


_BETWEEN = re.compile(r"[\s,]*")


def _next_row(text: str, at: int) -> int | None:
    gap = _BETWEEN.match(text, at)
    start = gap.end() if gap else at
    return None if start >= len(text) or text[start] == "]" else start
