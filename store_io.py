"""Trajectories as files: JSON lines (also gzipped) and Parquet, without loss in either direction."""

from __future__ import annotations

import gzip
import json
import os
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Literal

from pydantic import ValidationError

from .core import SCHEMA_VERSION, Trajectory
from .errors import ConfigError, StoreError, boundary
from .store import Store

COLUMNS = (
    "id",
    "run_id",
    "group_id",
    "release_id",
    "sample",
    "attempt",
    "stop",
    "reward",
    "success",
    "score",
    "seconds",
)
"""Fields of a trajectory that a Parquet file holds as columns of their own, beside the whole as JSON."""


@dataclass
class ImportReport:
    """What an import did."""

    new: int = 0
    same: int = 0
    refused: list[str] = field(default_factory=list)
    """One line for each entry that was not taken, with its number and why."""


def export_trajectories(store: Store, path: str | Path, **wanted: Any) -> int:
    """Write trajectories to a .jsonl, .jsonl.gz or .parquet file; return how many. Takes what `headers` takes.

    Raises:
        ConfigError: the suffix is another, or an extra is missing.
        StoreError: the file cannot be written; nothing is left behind then.
    """
    path = Path(path)
    write = _writer(path)
    with whole_file(path) as temporary:
        return write(store.trajectories(**wanted), temporary)


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Give a place to write to, which becomes `path` at the end, or is removed if anything goes wrong.

    Raises:
        StoreError: the file cannot be written.
    """
    # Its suffix stays, since it says how the file is written.
    temporary = path.with_name(f".tmp.{os.getpid()}.{path.name}")
    try:
        with boundary(StoreError, f"cannot write {path}", OSError):
            yield temporary
            temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def open_lines(path: Path, mode: Literal["rb", "wb"]) -> BinaryIO | gzip.GzipFile:
    """Open a file of lines, compressed where its name ends in .gz."""
    return gzip.open(path, mode) if path.suffix == ".gz" else path.open(mode)


def import_trajectories(
    store: Store, path: str | Path, read: Callable[[str | bytes], Trajectory] | None = None
) -> ImportReport:
    """Read trajectories into a store. What is there already is left alone; what is broken is named, the rest taken.

    Args:
        store: where to.
        path: the file.
        read: makes a trajectory of one entry, or raises ValueError; `read_trajectory` if not given.

    Raises:
        ConfigError: the file is missing or of another kind.
    """
    path = Path(path)
    report = ImportReport()
    for number, text in entries(path):
        try:
            fresh = store.finish((read or read_trajectory)(text))
        except (ValueError, OverflowError, RecursionError, StoreError) as error:
            report.refused.append(f"{path}, entry {number}: {why(error)}")
            continue
        report.new += fresh
        report.same += not fresh
    return report


def read_trajectory(text: str | bytes) -> Trajectory:
    """Read one trajectory from JSON.

    Raises:
        ValueError: it is no JSON, no trajectory, or of a newer schema.
    """
    data = json.loads(text)
    version = data.get("schema_version", 1) if isinstance(data, dict) else None
    if isinstance(version, int) and version > SCHEMA_VERSION:
        raise ValueError(f"written by a newer Lamarck (schema {version}, this one reads {SCHEMA_VERSION})")
    return Trajectory.model_validate_json(text)


def _writer(path: Path) -> Callable[[Iterable[Trajectory], Path], int]:
    if path.name.endswith((".jsonl", ".jsonl.gz")):
        return _write_jsonl
    if path.suffix == ".parquet":
        return _write_parquet
    raise ConfigError(f"cannot tell the format of {path}.", hint="Name it .jsonl, .jsonl.gz or .parquet.")


def _write_jsonl(trajectories: Iterable[Trajectory], path: Path) -> int:
    count = 0
    with open_lines(path, "wb") as file:
        for trajectory in trajectories:
            file.write(trajectory.model_dump_json().encode() + b"\n")
            count += 1
    return count


def _write_parquet(trajectories: Iterable[Trajectory], path: Path) -> int:
    pa, pq = parquet()
    rows = [_row(trajectory) for trajectory in trajectories]
    schema = pa.schema(
        [(name, pa.string()) for name in ("id", "run_id", "group_id", "release_id", "stop", "task_id", "goal")]
        + [(name, pa.string()) for name in ("split", "category", "model", "trajectory")]
        + [(name, pa.int64()) for name in ("sample", "attempt", "steps", "tokens")]
        + [(name, pa.float64()) for name in ("reward", "score", "seconds")]
        + [("success", pa.bool_()), ("failed", pa.bool_()), ("actions", pa.list_(pa.string()))]
    )
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), path, compression="zstd")
    return len(rows)


def _row(trajectory: Trajectory) -> dict[str, Any]:
    return {
        **{name: getattr(trajectory, name) for name in COLUMNS},
        "task_id": trajectory.task.id,
        "goal": trajectory.task.goal,
        "split": trajectory.task.split,
        "category": trajectory.task.category,
        "model": trajectory.steps[0].model if trajectory.steps else "",
        "steps": len(trajectory.steps),
        "tokens": trajectory.usage.tokens,
        "failed": trajectory.failure is not None,
        "actions": [step.action or "" for step in trajectory.steps],
        "trajectory": trajectory.model_dump_json(),
    }


def entries(path: Path) -> Iterator[tuple[int, str | bytes]]:
    """Yield the entries of a file with their numbers: lines that are not empty, or rows of a Parquet file.

    Raises:
        ConfigError: the file is missing, unreadable, or of another kind.
    """
    if not path.is_file():
        raise ConfigError(f"there is no file {path}.")
    if path.suffix == ".parquet":
        _, pq = parquet()
        with boundary(ConfigError, f"{path} is no Parquet file of trajectories", OSError, ValueError, KeyError):
            texts = pq.read_table(path, columns=["trajectory"]).column("trajectory").to_pylist()
        # What is no text is no trajectory either, and is named by whoever reads it.
        yield from ((number, text if isinstance(text, str | bytes) else "") for number, text in enumerate(texts, 1))
        return
    _writer(path)
    with (
        boundary(ConfigError, f"cannot read {path}", OSError, EOFError, zlib.error),
        open_lines(path, "rb") as file,
    ):
        for number, line in enumerate(file, 1):
            if line.strip():
                yield number, line


def parquet() -> tuple[Any, Any]:
    """Return pyarrow and its Parquet module.

    Raises:
        ConfigError: it is not installed.
    """
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise ConfigError("Parquet needs pyarrow.", hint="Run: pip install 'lamarck-agents[parquet]'") from error
    return pyarrow, pyarrow.parquet


def why(error: Exception) -> str:
    """Return in a few words why an entry was not taken."""
    if isinstance(error, ValidationError):
        first = error.errors(include_url=False, include_input=False)[0]
        return f"{'.'.join(str(part) for part in first['loc']) or 'entry'}: {first['msg'].lower()}"
    return (str(error).splitlines() or [type(error).__name__])[0]
