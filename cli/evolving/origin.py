"""What a release has learned from, and what of that is not known here: held-out tasks must not be among it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ...errors import ConfigError
from ...evals.gate.held_out import seen_in
from ...release_memory import FILE, entries
from ...releases import Releases
from ...rundir import RunDirectory
from ...store import Store
from ...weights import read_manifest, trained_on
from .collecting import COLLECT
from .home import Home


@dataclass(frozen=True)
class Origin:
    """What was learned from."""

    seen: Mapping[str, str] = field(default_factory=dict)
    """Names of tasks by their contents, and where each was seen."""
    unknown: tuple[str, ...] = ()
    """What has learned from something that is not known here, in words."""


def of_adapter(folder: Path, called: str) -> Origin:
    """Return what an adapter was trained on, by its own manifest.

    Raises:
        ConfigError: there is none, or it is damaged.
    """
    manifest = read_manifest(folder)
    names = trained_on(manifest)
    called = f"{called} {manifest.id[:12]}"
    return Origin(unknown=(called,)) if names is None else Origin(dict.fromkeys(names, f"what {called} was trained on"))


def of_release(home: Home, releases: Releases, release_id: str, named: Sequence[str] = ()) -> Origin:
    """Return what a release has learned from: the generations here, and what it was begun with or came in with.

    Args:
        home: of the evolution.
        releases: of the same home.
        release_id: which.
        named: runs, memories and stores that what did not come to be here has learned from; with them it is known.

    Raises:
        ConfigError, StoreError: one of them is not there or cannot be read.
    """
    records = home.kept()
    runs = [home.generation(one.number) / COLLECT for one in records]
    seen = seen_in([run for run in runs if RunDirectory(run).exists()])
    unknown: list[str] = []
    made = {one.candidate for one in records if one.candidate != one.parent}
    at: str | None = release_id
    while at is not None:
        release = releases.get(at)
        if release.id not in made:
            found = _brought(releases, release.id)
            seen |= {name: where for name, where in found.seen.items() if name not in seen}
            unknown += found.unknown
        at = release.parent if release.parent is not None and _here(releases, release.parent) else None
    seen |= seen_in([Path(place) for place in named])
    return Origin(seen, () if named else tuple(unknown))


def _brought(releases: Releases, release_id: str) -> Origin:
    """Return what a release has learned from that did not come to be here."""
    release, folder = releases.get(release_id), releases.folder(release_id)
    found = of_adapter(folder / "adapter", "adapter") if release.adapter is not None else Origin()
    if release.memory_snapshot is not None:
        with Store.open(folder / "memory" / FILE, create=False) as store:
            if next(iter(entries(store)), None) is not None:
                return Origin(found.seen, (*found.unknown, f"the memory of release {release_id[:12]}"))
    return found


def _here(releases: Releases, release_id: str) -> bool:
    try:
        releases.get(release_id)
    except ConfigError:
        return False
    return True
