"""The folders of releases: each of them made in a folder beside its place and renamed once, then never changed."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Callable, Collection, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from .core import Release
from .errors import ConfigError, StoreError, boundary
from .locks import FileLock
from .release_files import RELEASE, damage, read_release

NEW = ".new-"


class Shelf:
    """The folder `releases` of one home. What of it is known, and what is in force, stands in the home's store."""

    def __init__(self, home: Path) -> None:
        self._home, self._path = home, home / "releases"

    def folder(self, release_id: str) -> Path:
        """Return where the files of a release are."""
        return self._path / release_id[:12]

    def admit(self, make: Callable[[Path], Release]) -> tuple[Release, bool]:
        """Let a release be made in a folder of its own and take it in; return it, and whether it is new here.

        Args:
            make: writes the files into the folder it is given, which is not there yet, and returns the release.

        Raises:
            StoreError: it cannot be written, or is there already and damaged.
        """
        with self._making():
            work = self._path / f"{NEW}{uuid.uuid4().hex[:12]}"
            try:
                release = make(work)
                target = self.folder(release.id)
                new = not target.exists()
                if new:
                    with boundary(StoreError, f"cannot write release {release.id[:12]}", OSError):
                        work.rename(target)
                else:
                    self.check(release.id, StoreError)
                    release = read_release(target)
            finally:
                shutil.rmtree(work, ignore_errors=True)
        return release, new

    def check(self, release_id: str, error: type[ConfigError] | type[StoreError] = ConfigError) -> None:
        """Refuse a release that is damaged.

        Raises:
            ConfigError: (or `error`) it is.
        """
        found = damage(self.folder(release_id), release_id)
        if found is not None:
            raise error(
                f"release {release_id[:12]} in {self._home} is damaged: {found}.",
                hint="Remove its folder and import or put it again; nothing of it is used.",
                kind="damaged",
            )

    def tidy(self) -> None:
        """Remove what killed processes left half-made, unless another is making one."""
        with self._lock() as lock:
            if lock.acquire(wait=False):
                self._sweep()

    def others(self, known: Collection[str]) -> list[Release]:
        """Return the whole releases that are not known: of processes that were killed before they entered them.

        Args:
            known: names of folders.
        """
        folders = [folder for folder in sorted(self._path.iterdir()) if not folder.name.startswith(".")]
        there = [folder for folder in folders if folder.name not in known and (folder / RELEASE).is_file()]
        return [read_release(folder) for folder in there if damage(folder, _named(folder)) is None]

    @contextmanager
    def _making(self) -> Iterator[None]:
        """Keep others from making releases here; what is half-made then is nobody's."""
        with self._lock() as lock:
            lock.acquire()
            self._sweep()
            yield

    def _sweep(self) -> None:
        for left in self._path.glob(f"{NEW}*"):
            shutil.rmtree(left, ignore_errors=True)

    def _lock(self) -> closing[FileLock]:
        with boundary(StoreError, f"cannot write {self._home}", OSError):
            return closing(FileLock(self._path / ".lock"))


def _named(folder: Path) -> str:
    """Return the whole id that a folder says it has; nothing where it says none."""
    try:
        return read_release(folder).id
    except ConfigError:
        return ""
