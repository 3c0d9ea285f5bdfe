"""Adapters as folders: written whole or not at all, known by what is in them."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import JsonValue

from ..errors import TrainingError, boundary
from ..weights import (
    ADAPTER_CONFIG,
    ADAPTER_WEIGHTS,
    MANIFEST,
    NEW,
    OLD,
    Manifest,
    adapter_id,
    beside,
    check_base,
    mend,
    policy_version,
    read_manifest,
    weights_id,
)

if TYPE_CHECKING:
    from peft import PeftModel

__all__ = ["Adapter", "check_base", "save", "weights_id"]


@dataclass(frozen=True)
class Adapter:
    """A trained adapter in a folder."""

    folder: Path
    id: str
    """32 hex digits, by content."""
    base_model: str
    base_weights: str
    """12 hex digits: `weights_id` of the model it was trained on."""
    parent: str | None
    """Id of the adapter it goes on from."""
    kind: str
    """sft, dpo, kto or grpo."""

    @classmethod
    def read(cls, folder: str | Path) -> Adapter:
        """Read an adapter and make sure that it is what its manifest says.

        Raises:
            ConfigError: the folder is missing, holds no adapter, or the files are not those of the manifest.
        """
        return cls._of(Path(folder), read_manifest(folder))

    @classmethod
    def _of(cls, folder: Path, manifest: Manifest) -> Adapter:
        return cls(
            folder=folder,
            id=manifest.id,
            base_model=manifest.base_model,
            base_weights=manifest.base_weights,
            parent=manifest.parent,
            kind=manifest.kind,
        )

    @property
    def policy_version(self) -> str:
        """What a step says that was sampled with it."""
        return policy_version(self.base_weights, self.id)


def save(
    model: PeftModel,
    folder: str | Path,
    *,
    base_model: str,
    base_weights: str,
    parent: str | None,
    kind: str,
    provenance: Mapping[str, JsonValue] | None = None,
) -> Adapter:
    """Write an adapter into a folder of its own, which is then whole or as it was.

    Args:
        model: a peft model with a LoRA adapter named `default`.
        folder: is replaced where it holds an adapter already.
        base_model: name of the model under the adapter.
        base_weights: its `weights_id`.
        parent: id of the adapter that training began with.
        kind: how it was trained.
        provenance: where it comes from, for people and tables.

    Raises:
        TrainingError: it cannot be written, some of it is not finite, or the folder holds something else.
    """
    folder = Path(folder)
    mend(folder)
    # A model of the package index has a manifest of that name too.
    ours = (folder / MANIFEST).is_file() and (folder / ADAPTER_CONFIG).is_file()
    if folder.exists() and not ours and (not folder.is_dir() or any(folder.iterdir())):
        raise TrainingError(f"{folder} is or holds something that is no adapter.", hint="Choose another folder.")
    with boundary(TrainingError, f"cannot write adapter {folder}", Exception, hint="Is the disk full?"):
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{folder.name}-", dir=folder.parent) as work:
            made = Path(work) / NEW
            model.save_pretrained(str(made), selected_adapters=["default"])
            _check_numbers(made / ADAPTER_WEIGHTS, folder)
            manifest = Manifest(
                id=adapter_id(made),
                kind=kind,
                base_model=base_model,
                base_weights=base_weights,
                parent=parent,
                provenance=dict(provenance or {}),
            )
            (made / MANIFEST).write_text(manifest.model_dump_json(indent=2) + "\n", encoding="utf-8")
            (made / "README.md").unlink(missing_ok=True)  # peft's, empty but for headings
            _replace(made, folder, Path(work) / OLD)
    return Adapter._of(folder, manifest)


def tidy(folder: Path) -> None:
    """Finish or remove what a process left beside an adapter that was killed while it wrote it.

    Nothing else may be writing there.
    """
    mend(folder)
    for work in beside(folder):
        if folder.is_dir() or not (work / OLD).is_dir():  # else the new one found no place, and these are all there is
            shutil.rmtree(work, ignore_errors=True)


def _check_numbers(weights: Path, folder: Path) -> None:
    """Read what was written: it has to be whole, and numbers throughout."""
    import torch
    from safetensors.torch import load_file

    for name, value in load_file(weights).items():
        if not bool(torch.isfinite(value).all()):
            raise TrainingError(
                f"adapter {folder} is not written: {name} holds values that are not finite.",
                hint="Start a new stage with a lower learning rate.",
            )


def _replace(made: Path, folder: Path, old: Path) -> None:
    """Put one folder in the place of another; on a failure in between the old one comes back.

    A process that is killed in between leaves both beside; whoever reads next puts the new one in place (`mend`).
    """
    if folder.exists():
        folder.rename(old)
    try:
        made.rename(folder)
    except OSError:
        if not made.exists() and folder.is_dir():
            return  # a reader was faster
        if old.exists():
            old.rename(folder)
        raise
    shutil.rmtree(old, ignore_errors=True)
