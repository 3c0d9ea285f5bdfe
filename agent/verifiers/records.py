"""Verdicts that were given afterwards: files beside the run, one per verifier, which change nothing in its store."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from pydantic import ValidationError

from ...core import Usage, Verdict, Wire, content_id
from ...errors import StoreError, boundary
from ...whole import read_records

FOLDER = "verdicts"


class Record(Wire):
    """One verdict on one attempt."""

    trajectory_id: str
    verdict: Verdict
    usage: Usage = Usage()
    at: float = 0.0
    siblings: int | None = None
    """Attempts at its task that had ended by then, with its own; None where it does not go by them, or is not known."""


class Read(NamedTuple):
    """What a file holds."""

    records: dict[str, Record]
    """By trajectory id; the latest of each."""
    damaged: int
    """Lines that are no records; a process that was killed leaves one at most."""


class Verdicts:
    """The verdicts beside a run.

    Args:
        folder: of the run, or where they are to be kept.
    """

    def __init__(self, folder: Path) -> None:
        self.beside, self._folder = folder, folder / FOLDER

    def judges(self) -> list[str]:
        """Return under which names verdicts were given, ordered."""
        found = []
        for path in sorted(self._folder.glob("*.jsonl")):
            with boundary(StoreError, f"reading verdicts {path}", OSError):
                lines = read_records(path, torn=True)
            try:
                found.append(str(json.loads(lines[0])["by"]))
            except (IndexError, ValueError, KeyError, TypeError):
                continue
        return sorted(found)

    def read(self, by: str) -> Read:
        """Return the verdicts that were given under a name."""
        records, damaged = self._records(by)
        return Read({one.trajectory_id: one for one in records}, damaged)

    def used(self, by: str) -> Usage:
        """Return what asking took for all that was said under a name, also where something else was said later."""
        return sum((one.usage for one in self._records(by)[0]), Usage())

    def _records(self, by: str) -> tuple[list[Record], int]:
        """Return the records in the order in which they were given, and how many lines are damaged."""
        path = self._path(by)
        if not path.is_file():
            return [], 0
        with boundary(StoreError, f"reading verdicts {path}", OSError):
            lines = read_records(path, torn=True)
        records, damaged = list[Record](), 0
        for line in lines[1:]:
            try:
                records.append(Record.model_validate_json(line))
            except ValidationError:
                damaged += bool(line.strip())
        return records, damaged

    def begin(self, by: str) -> None:
        """Make the file of a name where there is none: it then says that all of nothing was judged."""
        path = self._path(by)
        if not path.is_file():
            self._append(by, "")

    def add(self, by: str, record: Record) -> None:
        """Append one verdict; it is in the file when this returns."""
        self._append(by, f"{record.model_dump_json()}\n")

    def _append(self, by: str, line: str) -> None:
        path = self._path(by)
        with boundary(StoreError, f"writing verdicts {path}", OSError):
            path.parent.mkdir(parents=True, exist_ok=True)
            new = not path.is_file() or not path.stat().st_size
            # A line that a killed process left unfinished ends here, and is told as damaged.
            torn = not new and not path.read_bytes().endswith(b"\n")
            with path.open("a", encoding="utf-8") as file:
                head = json.dumps({"by": by, "schema_version": 1}) + "\n" if new else "\n" if torn else ""
                file.write(head + line)

    def all(self) -> Iterator[tuple[str, Read]]:
        """Yield every name with its verdicts."""
        for by in self.judges():
            yield by, self.read(by)

    def _path(self, by: str) -> Path:
        plain = re.sub(r"[^A-Za-z0-9_.-]", "-", by)[:60]
        return self._folder / (f"{plain}.jsonl" if plain == by else f"{plain}-{content_id(by)[:8]}.jsonl")
