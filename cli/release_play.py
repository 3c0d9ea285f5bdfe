"""Playing exactly one release: where it is, what of a configuration it decides, and whether the parts add up to it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from ..config import RunConfig
from ..config_tree import place
from ..core import Release
from ..errors import ConfigError
from ..memory.bank import Memory
from ..release_files import Player
from ..release_memory import FILE, memory_id
from ..releases import Releases
from ..rundir import flatten
from ..store import Store
from ..store_rows import insert_rows
from ..store_tables import TOOL_LOG
from .wire_made import Making

MOVABLE = ("embedded:", "vllm:")
"""Models in a folder, which may lie elsewhere on another machine; the weights say whether it is the same one."""


def find(named: str) -> tuple[Path, str]:
    """Return the home of releases and which of them `HOME` or `HOME@ID` names; the head where none is."""
    home, at, which = named.rpartition("@")
    if not at or Path(named).is_dir():
        return Path(named), "head"
    return Path(home), which or "head"


def with_release(config: RunConfig) -> RunConfig:
    """Return a configuration with everything that its release decides.

    Raises:
        ConfigError: there is no such release, or something that was set would make it another one.
    """
    assert config.release is not None
    home, which = find(config.release)
    if config.baseline is not None:
        raise ConfigError(f"--release plays a release as it is, not as baseline {config.baseline}.", hint=HINT)
    with Releases.open(home) as releases:
        release = releases.get(which)
        wanted = _wanted(releases.player(release.id), release, releases.folder(release.id))
    given = flatten(config.model_dump(mode="json", exclude_unset=True))
    for key, value in given.items():
        if key not in wanted or value == wanted[key]:
            continue
        if not (key == "model.name" and _moved(str(wanted[key]), str(value))):
            raise ConfigError(
                f"--release plays a release as it is: {key} is {wanted[key]!r} in {release.id[:12]}, not {value!r}.",
                hint=HINT,
            )
        wanted[key] = value
    tree = config.model_dump(mode="json")
    for key, value in wanted.items():
        place(tree, key, value)
    return RunConfig.load(None, {**tree, "release": f"{home}@{release.id}"})


def same_release(file: Path, named: str) -> None:
    """Make sure that a run which is resumed was begun with the release that is named.

    Args:
        file: the run's `run.toml`.
        named: HOME or HOME@ID.

    Raises:
        ConfigError: it was begun with another one, or with none; or there is no such release.
    """
    home, which = find(named)
    with Releases.open(home) as releases:
        now = f"{home}@{releases.get(which).id}"
    begun = RunConfig.load(file).release
    if begun != now:
        raise ConfigError(
            f"cannot resume {file.parent}: its release was {begun!r} and is {now!r} now.", hint="Leave out --release."
        )


def check_release(config: RunConfig) -> None:
    """Refuse to play a release that is damaged, before anything is written.

    Raises:
        ConfigError: it is, or is not there.
    """
    if config.release is not None:
        home, which = find(config.release)
        with Releases.open(home) as releases:
            releases.check(releases.get(which).id)


def played(config: RunConfig, found: Release, memory: Memory | None) -> Release:
    """Return the release that a run plays: that of `--release`, if its parts add up to it, else what was found.

    Args:
        config: of the run.
        found: what the parts of this run amount to.
        memory: of the run, open. Its index is made whole, so that the first game and the last ask the same one.

    Raises:
        ConfigError: the parts do not add up; it says which.
    """
    if config.release is None:
        return found
    home, which = find(config.release)
    with Releases.open(home) as releases:
        release = releases.get(which).model_copy(update={"gate_report": None})
        file = releases.folder(release.id) / "memory" / FILE
        snapshot = memory_id(file) if memory is not None else None
    differs = mismatch(release, found.model_copy(update={"memory_snapshot": snapshot}))
    if differs is not None:
        raise ConfigError(f"this run is not release {release.id[:12]}: {differs}.", hint=HINT)
    if memory is not None:
        memory.index.catch_up()
        memory.index.flush()
    return release


def mismatch(release: Release, found: Release) -> str | None:
    """Say in what the parts of a run are not those of a release; None where they are.

    What the release does not speak of, because a later version has added it, is at its default and does not count.
    """
    weights = release.settings.get("base_weights")
    if weights is None and release.base_model != found.base_model:
        return f"it plays with model {release.base_model}, and this is {found.base_model}"
    if weights != found.settings.get("base_weights"):
        return f"the weights of its model are {weights}, and these are {found.settings.get('base_weights')}"
    for part in ("adapter", "memory_snapshot", "tools"):
        was, now = getattr(release, part), getattr(found, part)
        if was != now:
            return f"its {part.partition('_')[0]} is {_short(was)}, and this is {_short(now)}"
    other = [name for name, text in release.prompts.items() if found.prompts.get(name) != text]
    if other:
        return f"prompt {other[0]} is another one"
    was, now = (flatten(dict(one.settings)) for one in (release, found))
    for key, value in was.items():
        if key != "player" and now.get(key) != value:
            return f"{key} is {value!r} in it, and {now.get(key)!r} here"
    return None


def shelved(config: RunConfig, making: Making, memory: Memory | None, store: Store) -> Making:
    """Return where the made tools of a run are kept: those of a release are taken along into the run's own store.

    Each call of a made tool is written beside it, and a release is never changed.

    Raises:
        ConfigError: the store has other made tools in it.
    """
    if config.release is None or memory is None or not config.tools.make:
        return making
    query = sa.select(TOOL_LOG).order_by(TOOL_LOG.c.seq)
    rows = [dict(row) for row in memory.store.read(query).mappings()]
    upto = rows[-1]["seq"] if rows else 0
    store.write("made tools", lambda connection: insert_rows(connection, TOOL_LOG, rows))
    if [dict(row) for row in store.read(query.where(TOOL_LOG.c.seq <= upto)).mappings()] != rows:
        raise ConfigError(f"store {store.place} has other made tools in it.", hint="Use a store of the run's own.")
    return replace(making, store=store, upto=upto)


HINT = "Leave that out, or play without --release."


def _wanted(player: Player, release: Release, folder: Path) -> dict[str, Any]:
    return player.flat() | {
        "model.adapter": str(folder / "adapter") if release.adapter is not None else None,
        "memory.path": str(folder / "memory") if release.memory_snapshot is not None else None,
        "memory.store": None,
        "memory.index": None,
        "solver.prompts": str(folder / "prompts"),
    }


def _moved(wanted: str, given: str) -> bool:
    return any(wanted.startswith(kind) and given.startswith(kind) for kind in MOVABLE)


def _short(value: object) -> str:
    return "none" if value in (None, ()) else value[:12] if isinstance(value, str) else ", ".join(map(str, value))  # type: ignore[call-overload]
