"""Rows of a data file: JSON lines, or one JSON list."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from ...errors import ConfigError

T = TypeVar("T")


def read_rows(file: Path, what: str, read: Callable[[Any], T], *, hint: str = "") -> list[T]:
    """Return the rows of a file, each as `read` reads it.

    Args:
        file: JSON lines, or one JSON list.
        what: what the rows are, for the error.
        read: may raise KeyError, TypeError or ValueError at a row that is none.
        hint: behind the error.

    Raises:
        ConfigError: the file cannot be read or has no rows; or a row is none, and which.
    """
    where = f"cannot read {what} from {file}"
    try:
        text = file.read_text(encoding="utf-8")
        rows = _rows(text)
    except (OSError, ValueError) as error:
        raise ConfigError(f"{where}: {_reason(error)}.", hint=hint) from None
    found = []
    for name, row in rows:
        try:
            # A torn line is the likeliest fault of a file that was copied, so lines are parsed one by one.
            found.append(read(json.loads(row) if isinstance(row, str) else row))
        except (KeyError, TypeError, ValueError) as error:
            raise ConfigError(f"{where}, {name}: {_reason(error)}.", hint=hint) from None
    if not found:
        raise ConfigError(f"{where}: it is empty.", hint=hint)
    return found


def _rows(text: str) -> Iterator[tuple[str, Any]]:
    """Return rows, of lines still as text, with what each is called."""
    if text.lstrip().startswith("["):
        rows = json.loads(text)
        return ((f"row {n}", row) for n, row in enumerate(rows, 1))
    # Not `splitlines`, which would also part a text at the separators that JSON lets stand in it.
    lines = text.split("\n")
    return ((f"line {n}", line) for n, line in enumerate(lines, 1) if line.strip())


def _reason(error: Exception) -> str:
    if isinstance(error, json.JSONDecodeError):
        return f"no JSON, {error.msg} at column {error.colno}"
    if isinstance(error, OSError):
        return f"{error.strerror or error}"
    return f"{type(error).__name__} {error}"
