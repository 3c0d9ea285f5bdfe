"""A release as a folder: made whole or not at all, never changed, and checked against what its id says.

release.json   the `Release`; its id is the hash of what it says
player.toml    how it plays: the part of a run's settings that is inherited
prompts/       the text of every prompt, so that a later version of ours plays it with the same words
adapter/       trained weights, where there are any
memory/        items, their values, made tools, where there are any; its index is built when it is first used
sums.json      hashes of what follows from the rest, but not bit by bit: the vectors of the memory
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from pydantic import JsonValue, ValidationError

from .config import BY_VERDICT, ModelConfig, RepairConfig, RunConfig, SolverConfig
from .config_memory import MemoryConfig
from .config_tools import SandboxConfig, ToolsConfig
from .config_tree import Tree, place
from .config_verify import VerifyConfig
from .core import Release
from .errors import ConfigError, LamarckError, StoreError, boundary
from .release_memory import FILE, copy_memory, memory_id, vector_sums
from .rundir import FREE, flatten
from .weights import ADAPTER_CONFIG, ADAPTER_WEIGHTS, MANIFEST, read_manifest

RELEASE, PLAYER, SUMS = "release.json", "player.toml", "sums.json"
PARTS = frozenset({"model.adapter", "memory.path", "memory.store", "memory.index", "solver.prompts"})
"""Settings that say where a part of a release is; a release brings its own."""
OWN = FREE | {
    "memory.patience_s",
    "model.api_base",
    "sandbox.allow_unsafe",
    "sandbox.most",
    "sandbox.patience_s",
    "sandbox.url",
    "sandbox.warm",
    "tools.approve",
    "tools.documents",
    "verify.record",
    "verify.trust.agreement",
    "verify.withhold",
}
"""Settings of the machine and of who uses it, which are nobody's to inherit: keys, servers, interpreters, patience.

An imported release must not say where a key is sent or which program is started for it."""


class Player(Tree):
    """How a release plays: sections of a `RunConfig`, without what is the machine's or the user's own."""

    model: ModelConfig = ModelConfig()
    solver: SolverConfig = SolverConfig()
    repair: RepairConfig = RepairConfig()
    verify: VerifyConfig = VerifyConfig()
    """At its defaults where it does not send the solver back: who else judges is the run's own affair."""
    memory: MemoryConfig = MemoryConfig()
    tools: ToolsConfig = ToolsConfig()
    sandbox: SandboxConfig = SandboxConfig()

    @classmethod
    def of(cls, config: RunConfig, *, remembers: bool) -> Self:
        """Return how a run plays.

        Args:
            config: of the run.
            remembers: whether the release has a memory; it is then frozen.
        """
        tree: dict[str, Any] = {}
        for key, value in _inherited(config, set(cls.model_fields)).items():
            place(tree, key, value)
        tree["memory"]["mode"] = "read" if remembers else "off"
        return cls.model_validate(tree)

    def flat(self) -> dict[str, Any]:
        """Return the settings as dotted keys, without those that are not a release's."""
        return _inherited(self, set(type(self).model_fields))

    def programs(self) -> list[str]:
        """Return what playing it starts on this machine or hands to a program, beside the model."""
        return [*self.tools.mcp, *(f"vllm serve {argument}" for argument in self.model.vllm.arguments)]


def _inherited(config: RunConfig | Player, sections: set[str]) -> dict[str, Any]:
    if config.repair.by not in BY_VERDICT:
        sections = sections - {"verify"}
    found = flatten(config.model_dump(mode="json", include=sections))
    return {key: value for key, value in found.items() if key not in OWN | PARTS}


def memory_settings(config: MemoryConfig) -> dict[str, JsonValue]:
    """Return what a release says of how its memory works."""
    return config.model_dump(mode="json", exclude={"path", "store", "index", "patience_s"})


@dataclass(frozen=True)
class Draft:
    """What a release is made of; `cli.wire_release.draft_of` makes one of a run, `Releases.child` one of a release."""

    player: Player
    base_model: str
    prompts: Mapping[str, str]
    """Name to text of every prompt."""
    settings: Mapping[str, JsonValue] = field(default_factory=dict)
    """As a run's release has them: what the player's settings amount to, the weights under the model, ..."""
    tools: tuple[str, ...] = ()
    skills: tuple[str, ...] = ()
    parent: str | None = None
    adapter: Path | None = None
    """Folder of an adapter."""
    memory: Path | None = None
    """Folder of a memory."""


def build(draft: Draft, folder: Path, *, created_at: float) -> Release:
    """Make the files of a release in a folder that is not there yet, and return it.

    Raises:
        ConfigError: a part is missing or damaged, or the parts do not go together.
        StoreError: it cannot be written.
    """
    _check(draft)
    adapter = snapshot = None
    sums: dict[str, Any] = {}
    with boundary(StoreError, f"cannot write release {folder.name}", OSError):
        folder.mkdir()
        if draft.adapter is not None:
            adapter = _copy_adapter(draft.adapter, folder / "adapter")
        if draft.memory is not None:
            file = folder / "memory" / FILE
            copy_memory(draft.memory / FILE, file)
            snapshot, sums["vectors"] = memory_id(file), vector_sums(file)
        (folder / "prompts").mkdir()
        for name, text in draft.prompts.items():
            (folder / "prompts" / f"{name}.md").write_bytes(text.encode())
        player = draft.player.dump_toml()
        (folder / PLAYER).write_bytes(player.encode())
        (folder / SUMS).write_text(json.dumps(sums, indent=2) + "\n", encoding="utf-8")
        release = Release.of(
            parent=draft.parent,
            base_model=draft.base_model,
            adapter=adapter,
            memory_snapshot=snapshot,
            skills=draft.skills,
            tools=draft.tools,
            prompts={name: _sha(text.encode()) for name, text in draft.prompts.items()},
            settings={**draft.settings, "player": _sha(player.encode())},
            created_at=created_at,
        )
        (folder / RELEASE).write_text(release.model_dump_json(indent=2) + "\n", encoding="utf-8")
    return release


def _check(draft: Draft) -> None:
    if (draft.memory is not None) != (draft.player.memory.mode == "read"):
        raise ConfigError(
            f"a release {'with' if draft.memory is not None else 'without'} a memory has memory.mode "
            f"{'read' if draft.memory is not None else 'off'}, not {draft.player.memory.mode}."
        )
    if draft.player.tools.make and draft.memory is None:
        raise ConfigError("made tools live in a memory, and this release has none.", hint="Give it one.")


def _copy_adapter(source: Path, target: Path) -> str:
    """Copy an adapter and return its id.

    Its weights are never changed in place: a stage writes a new folder and renames it. So they may share their blocks
    with the original by a hard link; on another file system, or one without links, they are copied.
    """
    wanted = read_manifest(source).id
    target.mkdir()
    for name in (ADAPTER_CONFIG, MANIFEST):
        shutil.copyfile(source / name, target / name)
    try:
        os.link(source / ADAPTER_WEIGHTS, target / ADAPTER_WEIGHTS)
    except OSError:
        shutil.copyfile(source / ADAPTER_WEIGHTS, target / ADAPTER_WEIGHTS)
    if read_manifest(target).id != wanted:
        raise ConfigError(f"adapter {source} was changed while it was copied.", hint="Try again.")
    return wanted


def read_release(folder: Path) -> Release:
    """Return the release that a folder says it is.

    Raises:
        ConfigError: it has no `release.json`, or one that is none.
    """
    file = folder / RELEASE
    try:
        return Release.model_validate_json(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{RELEASE} cannot be read: {getattr(error, 'strerror', None) or error}.") from error
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"])) or "the file"
        raise ConfigError(f"{RELEASE} is no release: {where}: {first['msg'].lower()}.") from None


def damage(folder: Path, release_id: str) -> str | None:
    """Say in one line what of a release is missing or not as its id says, or None where it is whole."""
    if not folder.is_dir():
        return "its folder is gone"
    try:
        release = read_release(folder)
        named = Release.of(**{name: getattr(release, name) for name in Release.model_fields if name not in _UNNAMED})
        if named.id != release_id or release.id != release_id:
            return f"{RELEASE} was changed: it says {named.id[:12]}"
        return (
            _player_damage(folder, release)
            or _prompts_damage(folder, release)
            or _adapter_damage(folder, release)
            or _memory_damage(folder, release)
        )
    except LamarckError as error:
        return error.message.rstrip(".")
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        return f"it cannot be read: {str(error).splitlines()[0] if str(error) else type(error).__name__}"


_UNNAMED = ("id", "created_at")


def _player_damage(folder: Path, release: Release) -> str | None:
    if _sha((folder / PLAYER).read_bytes()) != release.settings.get("player"):
        return f"{PLAYER} was changed"
    Player.load(folder / PLAYER)
    return None


def _prompts_damage(folder: Path, release: Release) -> str | None:
    for name, wanted in release.prompts.items():
        file = folder / "prompts" / f"{name}.md"
        if not file.is_file():
            return f"prompts/{name}.md is missing"
        if _sha(file.read_bytes()) != wanted:
            return f"prompts/{name}.md was changed"
    return None


def _adapter_damage(folder: Path, release: Release) -> str | None:
    there = folder / "adapter"
    if release.adapter is None:
        return "it has an adapter that it should not have" if there.exists() else None
    found = read_manifest(there).id
    return f"its adapter is {found[:12]}, not {release.adapter[:12]}" if found != release.adapter else None


def _memory_damage(folder: Path, release: Release) -> str | None:
    file = folder / "memory" / FILE
    if release.memory_snapshot is None:
        return "it has a memory that it should not have" if file.exists() else None
    if not file.is_file():
        return f"memory/{FILE} is missing"
    found = memory_id(file)
    if found != release.memory_snapshot:
        return f"its memory was changed: it is {found[:12]}, not {release.memory_snapshot[:12]}"
    wanted = json.loads((folder / SUMS).read_text(encoding="utf-8")).get("vectors", {})
    if vector_sums(file, wanted) != wanted:
        return "the vectors of its memory were changed"
    return None


def _sha(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
