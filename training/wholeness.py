"""Whether a checkpoint is whole, or was cut off while it was written."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

from ..errors import TrainingError

PACKED = ("optimizer.pt", "scheduler.pt", "rng_state.pth")


def whole(checkpoint: Path) -> bool:
    """Say whether everything that training goes on from is there and readable to its end.

    transformers writes the adapter, the optimizer and, last, the state; a process that is killed leaves a beginning.

    Raises:
        TrainingError: a file is there and cannot be read. That is no reason to take the checkpoint for a torn one.
    """
    try:
        state = _object(checkpoint / "trainer_state.json")
        if state is None or not isinstance(state.get("global_step"), int):
            return False
        if _object(checkpoint / "adapter_config.json") is None:
            return False
        return _tensors(checkpoint / "adapter_model.safetensors") and all(_archive(checkpoint / n) for n in PACKED)
    except FileNotFoundError:
        return False
    except OSError as error:
        raise TrainingError(
            f"cannot read checkpoint {checkpoint}: {error.strerror}.", hint="Mend that, then --resume."
        ) from error


def _object(file: Path) -> dict[str, Any] | None:
    """Return the JSON object in a file, or None where there is none."""
    return _parsed(file.read_bytes())


def _parsed(text: bytes) -> dict[str, Any] | None:
    try:
        found = json.loads(text)
    except ValueError:  # no JSON, or no UTF-8
        return None
    return found if isinstance(found, dict) else None


def _tensors(file: Path) -> bool:
    """Say whether a safetensors file is as long as its header says.

    The format: eight bytes with the length of the header, the header (JSON, offsets into the data), the data.
    """
    size = file.stat().st_size
    with file.open("rb") as stream:
        length = int.from_bytes(stream.read(8), "little")
        header = _parsed(stream.read(length)) if length <= size else None
    if header is None:
        return False
    entries = [entry for name, entry in header.items() if name != "__metadata__"]
    offsets = [entry.get("data_offsets") if isinstance(entry, dict) else None for entry in entries]
    if not all(isinstance(pair, list) and len(pair) == 2 and isinstance(pair[1], int) for pair in offsets):
        return False
    return size == 8 + length + max((pair[1] for pair in offsets if pair), default=0)


def _archive(file: Path) -> bool:
    """Say whether a file of torch.save is whole: a zip archive, whose directory is at its end."""
    try:
        with zipfile.ZipFile(file) as archive:
            return bool(archive.namelist())
    except zipfile.BadZipFile:
        return False
