"""Files that are there whole or not at all, also after a kill or a loss of power."""

from __future__ import annotations

import os
from pathlib import Path


def write_whole(path: Path, text: str) -> None:
    """Write a file beside its place and rename it; its folder is made. What was there stays until then.

    Raises:
        OSError: it cannot be written; nothing is left behind.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with beside.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


def read_records(path: Path, *, torn: bool = False) -> list[str]:
    """Return the lines of a file of JSON lines.

    Only a newline ends one: texts in JSON may hold the other separators that `str.splitlines` goes by, such as U+2028.

    Args:
        path: the file.
        torn: a killed process may have cut a line within a letter, which must cost that line alone; the rest of the
            letter is then U+FFFD.

    Raises:
        OSError: it cannot be read.
        UnicodeDecodeError: it is no text, and not `torn`.
    """
    lines = path.read_bytes().decode("utf-8", "replace" if torn else "strict").split("\n")
    return lines if lines[-1] else lines[:-1]
