"""What weights are called: ids by content, and the manifest that an adapter bears.

Both the model that serves an adapter and the stage that trained it read this, and neither knows the other.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal, Protocol

from pydantic import Field, JsonValue, ValidationError

from .core import Wire, content_id
from .errors import ConfigError

MANIFEST = "lamarck.json"
ADAPTER_CONFIG = "adapter_config.json"
ADAPTER_WEIGHTS = "adapter_model.safetensors"
NEW, OLD = "new", "old"
"""The adapter that takes a folder's place, and the one that was there, while they change places."""
COMPUTES = (
    "alpha_pattern",
    "bias",
    "exclude_modules",
    "fan_in_fan_out",
    "layer_replication",
    "layers_pattern",
    "layers_to_transform",
    "lora_alpha",
    "lora_bias",
    "modules_to_save",
    "peft_type",
    "r",
    "rank_pattern",
    "target_modules",
    "target_parameters",
    "trainable_token_indices",
    "use_dora",
    "use_rslora",
)
"""Fields of peft's configuration that change what the model computes. Dropout, the way the first weights were drawn,
paths and versions do not."""
UNORDERED = frozenset({"exclude_modules", "modules_to_save", "target_modules", "target_parameters"})
"""Sets that peft writes in whatever order they come."""


class OnBase(Protocol):
    """An adapter that knows the weights it was trained on."""

    @property
    def id(self) -> str: ...
    @property
    def base_model(self) -> str: ...
    @property
    def base_weights(self) -> str: ...


class Manifest(Wire):
    """`lamarck.json` of an adapter: what it is, by content, and what it was made for."""

    schema_version: Literal[1] = 1
    id: str
    """32 hex digits: hash of the adapter's weights and of what its configuration makes of them."""
    kind: str
    """How it was trained: sft, dpo, kto or grpo."""
    base_model: str
    base_weights: str
    """`weights_id` of the model it was trained on."""
    parent: str | None = None
    """Id of the adapter it goes on from."""
    provenance: dict[str, JsonValue] = Field(default_factory=dict)
    """Where it comes from (runs, seed, version, ...). Not part of the id."""

    @property
    def policy_version(self) -> str:
        """What a step says that was sampled with it."""
        return policy_version(self.base_weights, self.id)


def trained_on(manifest: Manifest) -> frozenset[str] | None:
    """Return the names of all tasks that an adapter, and those that it goes on from, were trained on.

    They are hashes of contents (see `task_contents`); None where the manifest does not tell.
    """
    found = manifest.provenance.get("tasks")
    return frozenset(map(str, found)) if isinstance(found, list) else None


def policy_version(weights: str, adapter: str | None) -> str:
    """Return the name of a policy: the weights, and behind a `+` the adapter on them."""
    return weights if adapter is None else f"{weights}+{adapter[:12]}"


def check_base(adapter: OnBase, name: str, weights: str) -> None:
    """Make sure that these are the weights an adapter was trained on.

    Raises:
        ConfigError: they are others; it names both.
    """
    if weights != adapter.base_weights:
        raise ConfigError(
            f"adapter {adapter.id[:12]} was trained on {adapter.base_model} (weights {adapter.base_weights}), "
            f"not on {name} (weights {weights}).",
            hint="Use it with the model it was trained on.",
        )


def weights_id(folder: str | Path) -> str:
    """Return 12 hex digits that name the weights in a model's folder (SHA-256 of its safetensors files in order).

    Raises:
        ConfigError: there are none, or they cannot be read.
    """
    files = sorted(Path(folder).glob("*.safetensors"))
    if not files:
        raise ConfigError(
            f"there are no weights in {folder}.", hint="It has to be a folder with a model's .safetensors files."
        )
    return _sha256(files)[:12]


def check_model(folder: str | Path) -> None:
    """Make sure that a folder looks like a model's, before anything heavy is loaded.

    Raises:
        ConfigError: it is missing, an adapter's, or lacks its configuration or its weights.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise ConfigError(f"there is no model folder {folder}.", hint="Name `embedded`, or one with a model.")
    if (folder / ADAPTER_CONFIG).is_file() and not (folder / "config.json").is_file():
        raise ConfigError(
            f"{folder} is an adapter, not a model.", hint="Name the model it was trained on, and this as its adapter."
        )
    if not (folder / "config.json").is_file():
        raise ConfigError(
            f"{folder} is no model folder: it has no config.json.",
            hint="Name one that transformers' save_pretrained made.",
        )
    if not any(folder.glob("*.safetensors")):
        raise ConfigError(f"there are no weights in {folder}.", hint="They have to be .safetensors files.")


def adapter_id(folder: str | Path) -> str:
    """Return 32 hex digits that name the adapter in a folder by what is in it.

    Raises:
        ConfigError: there is none, it is no LoRA, or it cannot be read.
    """
    folder = Path(folder)
    if not (folder.is_dir() or mend(folder)):
        raise ConfigError(f"there is no adapter in {folder}: the folder is not there.", hint=_HINT)
    for name in (ADAPTER_CONFIG, ADAPTER_WEIGHTS):
        if not (folder / name).is_file():
            raise ConfigError(f"there is no adapter in {folder}: it has no {name}.", hint=_HINT)
    try:
        config: Any = json.loads((folder / ADAPTER_CONFIG).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"the adapter in {folder} is damaged: {ADAPTER_CONFIG} cannot be read: {error}.") from error
    if not isinstance(config, dict) or config.get("peft_type") != "LORA":
        kind = config.get("peft_type") if isinstance(config, dict) else None
        raise ConfigError(f"the adapter in {folder} is no LoRA but {kind}; only those are served.")
    return content_id(_computes(config), _sha256([folder / ADAPTER_WEIGHTS]))


def beside(folder: Path) -> list[Path]:
    """Return where adapters are made that take the place of the one in `folder`: `.NAME-*` beside it."""
    try:
        return sorted(place for place in folder.parent.iterdir() if place.name.startswith(f".{folder.name}-"))
    except OSError:
        return []


def mend(folder: Path) -> bool:
    """Finish a replacement that was cut off after the old adapter was moved away and before the new one was there.

    Returns:
        Whether there was one. The new adapter was whole before the old one was moved.
    """
    for work in beside(folder):
        if (work / OLD).is_dir() and (work / NEW).is_dir() and not folder.exists():
            try:
                (work / NEW).rename(folder)
            except OSError:  # not ours to write, or another process was faster
                return folder.is_dir()
            shutil.rmtree(work, ignore_errors=True)
            return True
    return False


def read_manifest(folder: str | Path) -> Manifest:
    """Return the manifest of an adapter whose files are those it was written for.

    Raises:
        ConfigError: the folder is missing, holds no adapter or one without a manifest, or was changed since.
    """
    folder = Path(folder)
    found = adapter_id(folder)
    file = folder / MANIFEST
    try:
        manifest = Manifest.model_validate_json(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(
            f"the adapter in {folder} has no {MANIFEST}, which says what weights it was trained on.", hint=_HINT
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read {file}: {getattr(error, 'strerror', None) or error}.") from error
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"])) or "the file"
        raise ConfigError(f"{file} is no adapter's manifest: {where}: {first['msg'].lower()}.", hint=_HINT) from None
    if found != manifest.id:
        raise ConfigError(
            f"the adapter in {folder} is damaged or was changed: its files are {found[:12]}, its manifest names "
            f"{manifest.id[:12]}.",
            hint="Copy it again whole, or take another checkpoint.",
        )
    return manifest


_HINT = "Name a folder that `lamarck train` made, such as OUT/best."


def _computes(config: dict[str, Any]) -> dict[str, Any]:
    """Return what counts of peft's configuration; a field at nothing is as one that is not there."""
    kept = {key: config.get(key) for key in COMPUTES}
    return {
        key: sorted(value) if key in UNORDERED and isinstance(value, list) else value
        for key, value in kept.items()
        if value not in (None, False, [], {})
    }


def _sha256(files: Iterable[Path]) -> str:
    digest = hashlib.sha256()
    for file in files:
        try:
            with file.open("rb") as stream:
                while block := stream.read(1 << 20):
                    digest.update(block)
        except OSError as error:
            raise ConfigError(f"cannot read {file}: {error.strerror}.") from error
    return digest.hexdigest()
