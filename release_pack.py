"""A release as one file that can be handed on: a gzipped tar with the release's files and nothing else.

What comes in is not trusted. The archive is read block by block; only plain files of names that a release has are
taken, within bounds, so that links, devices, odd paths and headers of absurd size never reach the disk. Then everything
is checked against the id, as any release is.
"""

from __future__ import annotations

import gzip
import re
import shutil
import tarfile
import tempfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from .core import Release
from .errors import ConfigError, StoreError, boundary
from .release_files import PLAYER, RELEASE, SUMS, Player, damage, read_release
from .release_memory import FILE, check_rows, copy_memory
from .releases import Releases
from .store_io import whole_file
from .weights import ADAPTER_CONFIG, ADAPTER_WEIGHTS, MANIFEST

BLOCK = 512
SMALL = 4 << 20
"""Largest file of text, in bytes."""
MOST = 64 << 30
"""Largest archive, in bytes of its files."""
MANY = 200
"""Most files."""
LARGE = frozenset({f"adapter/{ADAPTER_WEIGHTS}", f"memory/{FILE}"})
NAMES = LARGE | {RELEASE, PLAYER, SUMS, f"adapter/{ADAPTER_CONFIG}", f"adapter/{MANIFEST}"}
PROMPT = re.compile(r"prompts/[a-z0-9_]{1,60}\.md")


def export(releases: Releases, which: str, file: str | Path) -> Release:
    """Write a release to a .tar.gz file, whole or not at all.

    Raises:
        ConfigError: there is no such release, it is damaged, or the file has another ending.
        StoreError: the file cannot be written.
    """
    file = Path(file)
    if not file.name.endswith((".tar.gz", ".tgz")):
        raise ConfigError(f"cannot tell the format of {file}.", hint="Name it .tar.gz.")
    release = releases.get(which)
    releases.check(release.id)
    folder = releases.folder(release.id)
    with (
        whole_file(file) as temporary,
        tempfile.TemporaryDirectory() as work,
        tarfile.open(temporary, "w:gz", format=tarfile.GNU_FORMAT) as archive,
    ):
        for path in sorted(one for one in folder.rglob("*") if one.is_file()):
            name = path.relative_to(folder).as_posix()
            if not _wanted(name):
                continue  # the index, and what SQLite has beside a store that is open
            if name == f"memory/{FILE}":
                copy_memory(path, Path(work) / FILE)  # somebody may be playing with it
                path = Path(work) / FILE
            archive.add(path, f"{release.id[:12]}/{name}", recursive=False, filter=_plain)
    return release


def import_(releases: Releases, file: str | Path, *, trust: bool = False, most: int = MOST) -> tuple[Release, bool]:
    """Take a release in from a file; return it, and whether it is new here. It is not promoted by that.

    Args:
        releases: where to.
        file: as `export` wrote it.
        trust: take it even if playing it starts programs that it names.
        most: largest size of its files together, in bytes.

    Raises:
        ConfigError: the file is none, holds what a release has not, is too large, or is not what its id says.
        StoreError: it cannot be written.
    """
    file = Path(file)
    if not file.is_file():
        raise ConfigError(f"there is no file {file}.")

    def make(folder: Path) -> Release:
        unpack(file, folder, most)
        release = read_release(folder)
        raw = folder / "memory" / FILE
        if raw.is_file():
            # Rows are taken over into a store of our own making; whatever else was in that file stays behind.
            foreign = raw.with_name("foreign.db")
            raw.rename(foreign)
            copy_memory(foreign, raw)
            check_rows(raw)
            for left in raw.parent.glob("foreign.db*"):
                left.unlink()
        found = damage(folder, release.id)
        if found is not None:
            raise ConfigError(f"{file} is no whole release: {found}.")
        programs = Player.load(folder / PLAYER).programs()
        if programs and not trust:
            raise ConfigError(
                f"release {release.id[:12]} in {file} starts programs of its own when it is played: {programs[0]!r}.",
                hint="Look at what that is, and add --trust if you want it.",
            )
        return release

    with boundary(ConfigError, f"{file} is no release", KeyError, ValueError, kind="damaged"):
        return releases.admit(make)


def unpack(file: Path, folder: Path, most: int = MOST) -> None:
    """Write the files of an archive into a new folder, if they are those of a release.

    Raises:
        ConfigError: it is no such archive, or too large for this disk or for `most`.
        StoreError: they cannot be written.
    """
    with boundary(StoreError, f"cannot write {folder}", OSError):
        folder.mkdir()
        room = min(most, shutil.disk_usage(folder).free)
    seen: set[str] = set()
    with (
        boundary(ConfigError, f"{file} is no archive of a release", EOFError, zlib.error, tarfile.TarError, OSError),
        gzip.open(file, "rb") as stream,
    ):
        for info in _members(stream, file):
            name = _name(info, file)
            if name in seen or len(seen) == MANY:
                raise ConfigError(f"{file} is no archive of a release: {name!r} comes twice, or there are too many.")
            seen.add(name)
            room -= info.size
            if room < 0 or (name not in LARGE and info.size > SMALL):
                raise ConfigError(f"{file} is too large: {name!r} is said to have {info.size:,} bytes.")
            target = folder / name
            target.parent.mkdir(exist_ok=True)
            with target.open("xb") as out:
                _copy(stream, out, info.size)
            stream.read(-info.size % BLOCK)
    if RELEASE not in seen:
        raise ConfigError(f"{file} is no archive of a release: it has no {RELEASE}.")


def _members(stream: gzip.GzipFile, file: Path) -> Iterator[tarfile.TarInfo]:
    """Yield the plain files of an archive.

    `tarfile` would read the headers of long names and the like whole into memory, however large they say they are; a
    release needs none of them.
    """
    while len(block := stream.read(BLOCK)) == BLOCK and any(block):
        info = tarfile.TarInfo.frombuf(block, "utf-8", "strict")
        if info.type not in (tarfile.REGTYPE, tarfile.AREGTYPE) or info.size < 0:
            raise ConfigError(f"{file} is no archive of a release: {info.name[:80]!r} is no plain file.")
        yield info


def _name(info: tarfile.TarInfo, file: Path) -> str:
    top, _, name = info.name.partition("/")
    if not re.fullmatch(r"[0-9a-f]{12}", top) or not _wanted(name):
        raise ConfigError(f"{file} is no archive of a release: {info.name[:80]!r} is no file that a release has.")
    return name


def _wanted(name: str) -> bool:
    return name in NAMES or PROMPT.fullmatch(name) is not None


def _copy(stream: gzip.GzipFile, out: BinaryIO, size: int) -> None:
    while size:
        block = stream.read(min(size, 1 << 20))
        if not block:
            raise EOFError("it ends too early")
        out.write(block)
        size -= len(block)


def _plain(info: tarfile.TarInfo) -> tarfile.TarInfo:
    """Leave out of an archive who made it and when."""
    info.uid = info.gid = info.mtime = 0
    info.uname = info.gname = ""
    info.mode = 0o644
    return info
