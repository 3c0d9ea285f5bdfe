"""Releases: everything an agent inherits under one id, in a tree, one of them in force."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any

import sqlalchemy as sa

from .core import Release
from .core_evolution import GateReport
from .errors import ConfigError, StoreError, boundary
from .promotions import Promotion, Promotions, heads, licence
from .release_files import Draft, Player, build, damage, memory_settings
from .release_memory import FILE, compare
from .release_shelf import Shelf
from .release_tree import Change, Node, grown
from .rundir import flatten
from .store import Store
from .store_tables import RELEASES

BACK = re.compile(r"head(?:~(\d{1,6}))?")
AMOUNTS = frozenset({"base_weights", "served_by", "tools.documents"})
"""What stands in the settings of a release, and its player does not say."""


class Releases:
    """The releases of one home. Open it with `Releases.open`; use it as a context manager.

    A release is made in a folder beside its place and renamed once; it is never changed. What is in force is the last
    row of an append-only log. So a process that is killed leaves either nothing or a whole release, and either the
    old head or the new one.
    """

    def __init__(self, home: Path, store: Store, clock: Callable[[], float] = time.time) -> None:
        self.home = home
        self.store = store
        self.log = Promotions(store, clock)
        self._shelf = Shelf(home)
        self._clock = clock

    @classmethod
    def open(cls, home: str | Path, *, create: bool = False, clock: Callable[[], float] = time.time) -> Releases:
        """Open the releases in a folder, and tidy up after processes that were killed.

        Raises:
            ConfigError: there are none, and `create` is not set.
            StoreError: the folder or its store cannot be read or written.
        """
        home = Path(home)
        if not create and not ((home / FILE).is_file() and (home / "releases").is_dir()):
            raise ConfigError(f"there are no releases in {home}.", hint="`lamarck evolve --out HOME` makes some.")
        with boundary(StoreError, f"cannot make {home}", OSError):
            (home / "releases").mkdir(parents=True, exist_ok=True)
        found = cls(home, Store.open(home / FILE, create=create), clock)
        try:
            found._settle()
        except BaseException:
            found.close()
            raise
        return found

    def __enter__(self) -> Releases:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the store."""
        self.store.close()

    def folder(self, release_id: str) -> Path:
        """Return where the files of a release are."""
        return self._shelf.folder(release_id)

    # Making.

    def put(self, draft: Draft) -> Release:
        """Make a release; the same content again is the same release.

        Raises:
            ConfigError: a part is missing or damaged, the parts do not go together, or the parent is not here.
            StoreError: it cannot be written, or is there already and damaged.
        """
        if draft.parent is not None:
            draft = replace(draft, parent=self.get(draft.parent).id)
        return self.admit(lambda folder: build(draft, folder, created_at=round(self._clock(), 3)))[0]

    def admit(self, make: Callable[[Path], Release]) -> tuple[Release, bool]:
        """Let a release be made in a folder of its own and take it in; return it, and whether it is new here.

        Args:
            make: writes the files into the folder it is given, which is not there yet, and returns the release.
        """
        release, new = self._shelf.admit(make)
        self.store.put_release(release)
        return release, new

    def child(self, parent: str, *, memory: Path | None = None, adapter: Path | None = None) -> Draft:
        """Return a draft that plays as its parent does.

        Args:
            parent: any release here.
            memory: folder of a memory instead of the parent's; None keeps that one.
            adapter: folder of an adapter instead of the parent's; None keeps that one.

        Raises:
            ConfigError: there is no such release, or it is damaged.
        """
        release = self.get(parent)
        self.check(release.id)
        folder, player = self.folder(release.id), self.player(release.id)
        settings = {key: value for key, value in release.settings.items() if key != "player"}
        kept = folder / "memory" if release.memory_snapshot is not None else None
        if memory is not None and kept is None:
            player = player.model_copy(update={"memory": player.memory.model_copy(update={"mode": "read"})})
            settings["memory"] = memory_settings(player.memory)
        return Draft(
            player=player,
            base_model=release.base_model,
            prompts={name: (folder / "prompts" / f"{name}.md").read_bytes().decode() for name in release.prompts},
            settings=settings,
            tools=release.tools,
            skills=release.skills,
            parent=release.id,
            adapter=adapter or (folder / "adapter" if release.adapter is not None else None),
            memory=memory or kept,
        )

    # Reading.

    def get(self, which: str) -> Release:
        """Return a release by its id, the beginning of it, `head`, or `head~N` for the Nth head before.

        Its `gate_report` is the one by which it was promoted last.

        Raises:
            ConfigError: there is none, or there are several.
        """
        rows = self.log.rows()
        if (back := BACK.fullmatch(which)) is not None:
            line, steps = heads(rows), int(back[1] or 0)
            if steps >= len(line):
                said = "nothing was promoted yet" if not line else f"there were {len(line)} heads"
                raise ConfigError(f"{self.home} has no {which}: {said}.", hint="Name a release by its id.")
            which = line[-1 - steps]
        found = [release for release in self._known() if which and release.id.startswith(which.lower())]
        if len(found) != 1:
            ids = ", ".join(release.id[:12] for release in found[:5])
            said = f"there are several: {ids}" if found else "there is none"
            raise ConfigError(
                f"{self.home} has no one release {which!r}: {said}.", hint="`lamarck release ls` lists them."
            )
        by = [row.report_id for row in rows if row.release_id == found[0].id and row.report_id is not None]
        return found[0].model_copy(update={"gate_report": by[-1] if by else None})

    def player(self, release_id: str) -> Player:
        """Return how a release plays."""
        return Player.load(self.folder(release_id) / "player.toml")

    def tree(self) -> list[Node]:
        """Return all releases, each behind its parent, siblings in the order in which they were made."""
        return grown(self._known(), self.log.rows(), self.log.decided())

    def diff(self, old: str, new: str, top: int = 5) -> Change:
        """Return what is not the same in two releases.

        Raises:
            ConfigError: one is not here or damaged.
        """
        pair = self.get(old), self.get(new)
        for one in pair:
            self.check(one.id)
        was, now = (self._settings(one) for one in pair)
        a, b = pair
        return Change(
            old=a,
            new=b,
            settings={key: (was.get(key), now.get(key)) for key in sorted(was | now) if was.get(key) != now.get(key)},
            memory=compare(self._memory(a), self._memory(b), top=top),
            tools=(tuple(t for t in a.tools if t not in b.tools), tuple(t for t in b.tools if t not in a.tools)),
            prompts=tuple(sorted(n for n in a.prompts | b.prompts if a.prompts.get(n) != b.prompts.get(n))),
        )

    def verify(self, which: str) -> str | None:
        """Say in one line what of a release is damaged, or None where all of it is as its id says."""
        release = self.get(which)
        return damage(self.folder(release.id), release.id)

    def check(self, release_id: str, error: type[ConfigError] | type[StoreError] = ConfigError) -> None:
        """Refuse a release that is damaged.

        Raises:
            ConfigError: (or `error`) it is.
        """
        self._shelf.check(release_id, error)

    # What is in force.

    def head(self) -> Release | None:
        """Return the release in force, or None where nothing was promoted yet."""
        return self.get("head") if self.log.rows() else None

    def begin(self, which: str) -> Promotion:
        """Make the first release the head, with which there is nothing to compare; once only.

        Raises:
            ConfigError: there is a head already.
        """
        release, rows = self.get(which), self.log.rows()
        if rows and rows[0].release_id == release.id:
            return rows[0]
        if rows:
            raise ConfigError(f"{self.home} has a head already; {release.id[:12]} has to be promoted.")
        self.check(release.id)
        return self.log.append(release.id, "begin", expect=None)

    def put_report(self, report: GateReport) -> None:
        """Store a gate's report; it promotes nothing."""
        self.log.put_report(report)

    def promote(self, which: str, report: str | None = None, *, force: str = "") -> Promotion:
        """Make a release the head, if a report of the gate says so; doing it again changes nothing.

        A report compares with one head and serves once: who is told to go on after a roll-back does not undo it.

        Args:
            which: the candidate.
            report: id of the report; the latest on this candidate if not given.
            force: why it shall be the head without one; stands in the log.

        Raises:
            ConfigError: there is no such report, it says otherwise, or compares with another head; or it is damaged.
            StoreError: the head was moved meanwhile (kind `conflict`), or the report was used before (kind `used`).
        """
        release, rows = self.get(which), self.log.rows()
        head = rows[-1] if rows else None
        before = head.release_id if head is not None else None
        if force.strip():
            if head is not None and before == release.id:
                return head
            self.check(release.id)
            return self.log.append(release.id, "force", expect=before, reason=force.strip())
        reports = self.log.decided(release.id)
        found = licence(release.id, [one for one in reports if report is None or one.id.startswith(report)], rows)
        if isinstance(found, Promotion):
            return found
        self.check(release.id)
        return self.log.append(release.id, "promote", expect=before, report_id=found.id)

    def rollback(self, which: str | None = None, *, reason: str = "") -> Promotion:
        """Make an earlier head the head again, with its memory, adapter, tools and prompts as they were.

        Args:
            which: which; the head before this one if not given. The head itself changes nothing.
            reason: stands in the log.

        Raises:
            ConfigError: there is no earlier head, or this release never was one; or it is damaged.
            StoreError: kind `conflict`: the head was moved meanwhile.
        """
        rows = self.log.rows()
        if not rows:
            raise ConfigError(f"nothing was promoted in {self.home} yet; there is nothing to roll back.")
        release = self.get(which if which is not None else "head~1")
        if release.id == rows[-1].release_id:
            return rows[-1]
        if not any(row.release_id == release.id for row in rows):
            raise ConfigError(f"release {release.id[:12]} was never the head.", hint="It has to be promoted.")
        self.check(release.id)
        return self.log.append(release.id, "rollback", expect=rows[-1].release_id, reason=reason)

    # The rest.

    def _memory(self, release: Release) -> Path | None:
        return self.folder(release.id) / "memory" / FILE if release.memory_snapshot is not None else None

    def _settings(self, release: Release) -> dict[str, Any]:
        """Return how a release plays, with what its settings amount to and the player does not say."""
        beside = {key: value for key, value in flatten(dict(release.settings)).items() if key in AMOUNTS}
        return self.player(release.id).flat() | beside

    def _known(self) -> list[Release]:
        """Return the releases that were put here, oldest first; those of mere runs have no player."""
        bodies = self.store.read(sa.select(RELEASES.c.body).order_by(RELEASES.c.created_at, RELEASES.c.id)).scalars()
        found = [Release.model_validate_json(body) for body in bodies]
        return [release for release in found if "player" in release.settings]

    def _settle(self) -> None:
        """Remove what killed processes left half-made, and enter what they had made but not yet entered."""
        self._shelf.tidy()
        for release in self._shelf.others({release.id[:12] for release in self._known()}):
            self.store.put_release(release)
