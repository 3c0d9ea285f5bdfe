"""Items as files: JSON lines, also gzipped, with values, counts and provenance.

What episodes without an item showed (the measured effect) stays behind; it is measured anew where the items go.
"""

from __future__ import annotations

import gzip
import math
import os
import zlib
from pathlib import Path

from pydantic import ValidationError

from ..core import Item, content_id
from ..errors import ConfigError, StoreError, boundary
from ..store_io import ImportReport, why
from .bank import Memory

BATCH = 500
SUFFIXES = (".jsonl", ".jsonl.gz")


def export_items(memory: Memory, path: str | Path) -> int:
    """Write all items, retired ones too, to a .jsonl or .jsonl.gz file; return how many.

    Raises:
        ConfigError: the suffix is another.
        StoreError: the file cannot be written; nothing is left behind then.
    """
    path = _checked(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    count = 0
    try:
        with boundary(StoreError, f"cannot write {path}", OSError):
            with gzip.open(temporary, "wb") if path.suffix == ".gz" else temporary.open("wb") as file:
                lineage = memory.lineage
                for light in memory.reading.lights(lineage):
                    item = memory.reading.items([light.id], lineage, whole=True)[light.id]
                    file.write(item.model_dump_json().encode() + b"\n")
                    count += 1
            temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    return count


def import_items(memory: Memory, path: str | Path, *, merge: bool = True) -> ImportReport:
    """Read items into a memory. What is there already is left alone; what is broken is named, the rest taken.

    Raises:
        ConfigError: the file is missing or of another kind.
    """
    path = _checked(path)
    if not path.is_file():
        raise ConfigError(f"there is no file {path}.")
    report = ImportReport()
    batch: list[Item] = []

    def take() -> None:
        done = memory.remember(batch, merge=merge)
        report.new += len(done.new)
        report.same += len(batch) - len(done.new)
        batch.clear()

    with (
        boundary(ConfigError, f"cannot read {path}", OSError, EOFError, zlib.error),
        gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as file,
    ):
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            try:
                item = checked_item(Item.model_validate_json(line))
            except (ValidationError, ValueError) as error:
                report.refused.append(f"{path}, entry {number}: {why(error)}")
                continue
            expected = content_id("item", item.kind, item.applies, item.content)
            batch.append(item if item.id == expected else item.model_copy(update={"id": expected}))
            if len(batch) == BATCH:
                take()
        take()
    return report


def checked_item(item: Item) -> Item:
    """Return an item whose figures can be reckoned with.

    Raises:
        ValueError: a value is not finite or beyond what rewards in [-1, 1] lead to, or a count is negative.
    """
    if not math.isfinite(item.q_value) or abs(item.q_value) > 2.0:
        raise ValueError(f"q_value is {item.q_value}, not within [-2, 2]")
    if not math.isfinite(item.uncertainty) or not 0.0 <= item.uncertainty <= 2.0:
        raise ValueError(f"uncertainty is {item.uncertainty}, not within [0, 2]")
    counts = (item.retrieval_count, item.reward_count, item.success_count)
    if min(counts) < 0 or item.success_count > item.reward_count:
        raise ValueError("its counts do not add up")
    (item.applies + item.content).encode()
    return item


def _checked(path: str | Path) -> Path:
    path = Path(path)
    if not path.name.endswith(SUFFIXES):
        raise ConfigError(f"cannot tell the format of {path}.", hint="Name it .jsonl or .jsonl.gz.")
    return path
