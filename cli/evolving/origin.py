"""What a release has learned from, and what of that is not known here: held-out tasks must not be among it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from ...errors import ConfigError
from ...evals.gate.held_out import seen_in
from ...release_memory import FILE, entries
from ...releases import Releases
from ...store import Store
from ...weights import read_manifest, trained_on
from .home import Home
from .lived import runs_of

OF_RELEASE = re.compile(r"([0-9a-f]{8,64})=(.+)")
"""A place that `held_out.seen` names for a release that was imported."""


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
        named: as in `held_out.seen`.

    Raises:
        ConfigError, StoreError: one of them is not there or cannot be read.
    """
    records = home.kept()
    seen = seen_in(runs_of(home).values())
    unknown: list[str] = []
    made = {one.candidate for one in records if one.candidate != one.parent}
    first, begun = next((row.release_id for row in releases.log.rows()), None), False
    at: str | None = release_id
    while at is not None:
        release = releases.get(at)
        begun = begun or release.id == first
        if release.id not in made:
            found = _brought(releases, release.id)
            seen |= {name: where for name, where in found.seen.items() if name not in seen}
            unknown += () if _cleared(named, release.id, begun) else found.unknown
        at = release.parent if release.parent is not None and _here(releases, release.parent) else None
    return Origin(seen | told_by(named), tuple(unknown))


def told_by(named: Sequence[str]) -> dict[str, str]:
    """Return the names of all tasks in what `held_out.seen` names, and where each was found.

    Raises:
        ConfigError: one is not there, or tells of no task: nothing is known by it.
        StoreError: one cannot be read.
    """
    found: dict[str, str] = {}
    for _, place in map(whose, named):
        there = seen_in([Path(place)])
        if not there:
            raise ConfigError(
                f"held_out.seen names {place}, which tells of no task.",
                hint="A memory keeps none: name the runs that it learned from.",
            )
        found = there | found
    return found


def whose(text: str) -> tuple[str, str]:
    """Return what one entry of `held_out.seen` says: how the id of the release begins, empty for the first, and the
    place."""
    found = OF_RELEASE.fullmatch(text)
    return (found[1], found[2]) if found is not None else ("", text)


def _cleared(named: Sequence[str], release_id: str, begun: bool) -> bool:
    """Say whether it is named what a release has learned from.

    Args:
        named: as in `held_out.seen`.
        release_id: which.
        begun: whether the evolution began with it, or with what grew from it.
    """
    return any(release_id.startswith(ident) if ident else begun for ident, _ in map(whose, named))


def _brought(releases: Releases, release_id: str) -> Origin:
    """Return what a release has learned from that did not come to be here."""
    release, folder = releases.get(release_id), releases.folder(release_id)
    found = of_adapter(folder / "adapter", "adapter") if release.adapter is not None else Origin()
    found = replace(found, unknown=tuple(f"{one} of release {release_id[:12]}" for one in found.unknown))
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
