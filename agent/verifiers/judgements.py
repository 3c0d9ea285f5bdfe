"""What models were asked when they judged the attempts of a run: a file beside its store, which says nothing to it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from pydantic import ValidationError

from ...core import Wire
from ...errors import StoreError, boundary
from ..hooks import Judgement

FILE = "judgements.jsonl"


class Entry(Wire):
    """The judgements of one attempt."""

    trajectory_id: str
    heard: tuple[Judgement, ...]


class Judgements:
    """The judgements beside a run; one process writes.

    Args:
        folder: of the run, or where its verdicts are to be kept.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / FILE

    def add(self, trajectory_id: str, heard: Sequence[Judgement]) -> None:
        """Append those of an attempt; they are in the file when this returns.

        Raises:
            StoreError: it cannot be written.
        """
        entry = Entry(trajectory_id=trajectory_id, heard=tuple(heard))
        line = entry.model_dump_json().encode() + b"\n"
        with boundary(StoreError, f"writing judgements {self._path}", OSError), self._path.open("a+b") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - 1))
            # A line that a killed process left unfinished ends here, and is passed over.
            file.write(line if file.read() in (b"", b"\n") else b"\n" + line)

    def read(self) -> dict[str, tuple[Judgement, ...]]:
        """Return what there is, by attempt; of one that was judged again after a kill, the latest.

        Raises:
            StoreError: it cannot be read.
        """
        if not self._path.is_file():
            return {}
        with boundary(StoreError, f"reading judgements {self._path}", OSError):
            lines = self._path.read_bytes().split(b"\n")
        found: dict[str, tuple[Judgement, ...]] = {}
        for line in lines:
            try:
                entry = Entry.model_validate_json(line)
            except ValidationError:
                continue
            found[entry.trajectory_id] = entry.heard
        return found
