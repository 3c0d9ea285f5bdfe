"""The files of a WebShop data set: found, and read one product after the other."""

from __future__ import annotations

import codecs
import hashlib
import json
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...errors import ConfigError
from .products import AGAIN, Catalogue, make_catalogue

ITEMS = ("items_shuffle_1000.json", "items_shuffle.json")
"""The published product files, in the order in which a folder is searched for them."""
HUMAN = "items_human_ins.json"
CHUNK = 4_000_000
LONGEST_ROW = 64_000_000
GZIP = b"\x1f\x8b"


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
        _refuse_packed(items)
        beside = items.name.replace("items_shuffle", "items_ins_v2")
        known = Path(instructions).expanduser() if instructions else items.with_name(beside)
        if not known.is_file() or known == items:
            raise ConfigError(
                f"WebShop data: there is no file of instructions for {items}: {known}.",
                hint="Put it beside the products, or pass --set taskset.options.instructions=FILE.",
            )
        return cls(items, known, items.with_name(HUMAN))


def _refuse_packed(path: Path) -> None:
    with suppress(OSError), path.open("rb") as file:
        if file.read(len(GZIP)) == GZIP:
            raise ConfigError(f"WebShop data: {path} is compressed.", hint="Unpack it first: gunzip FILE.")


_HINT = (
    "Pass --data DIR with items_shuffle_1000.json, items_ins_v2_1000.json and items_human_ins.json of the "
    "WebShop release; without --data a generated shop is played."
)


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


def _read_object(path: Path, digest: hashlib._Hash) -> dict[str, Any]:
    try:
        content = path.read_bytes()
        found = json.loads(content)
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}.") from error
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{path} is not JSON: {error}.", hint=AGAIN) from error
    if not isinstance(found, dict):
        raise ConfigError(f"{path} holds no instructions: a JSON object from product id to instructions was expected.")
    digest.update(content)
    return found


def _stream(path: Path, digest: hashlib._Hash) -> Iterator[Any]:
    """Yield the rows of a JSON array without holding more than a few of them: the full file has several gigabytes."""
    scan = json.JSONDecoder().raw_decode
    decoder = codecs.getincrementaldecoder("utf-8-sig")()
    text, opened = "", False
    try:
        with path.open("rb") as file:
            while chunk := file.read(CHUNK):
                digest.update(chunk)
                text += decoder.decode(chunk)
                if not opened:
                    text = text.lstrip()
                    if not text.startswith("["):
                        raise ConfigError(f"{path} holds no products: a JSON array was expected.", hint=AGAIN)
                    text, opened = text[1:], True
                at = 0
                while (start := _next_row(text, at)) is not None:
                    try:
                        row, at = scan(text, start)
                    except (ValueError, RecursionError):  # The rest of this row is in the next chunk.
                        break
                    yield row
                text = text[at:]
                if len(text) > LONGEST_ROW:
                    break
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is not text in UTF-8: {error}.", hint=AGAIN) from error
    if text.strip() != "]":
        raise ConfigError(f"{path} ends, or stops making sense, in the middle of a product.", hint=AGAIN)


_BETWEEN = re.compile(r"[\s,]*")


def _next_row(text: str, at: int) -> int | None:
    gap = _BETWEEN.match(text, at)
    start = gap.end() if gap else at
    return None if start >= len(text) or text[start] == "]" else start
