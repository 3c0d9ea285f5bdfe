"""The formats that can be read, by name, and how to tell which one a file is in."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Mapping
from pathlib import Path

from ...core import Trajectory
from ...errors import ConfigError
from ...store_io import entries, read_trajectory
from . import chat, knowagent_alfworld, react_webshop
from .importer import Given, Importer

OWN = "lamarck"
"""What `lamarck export` writes."""
AUTO = "auto"
IMPORTERS: Mapping[str, Importer] = {found.NAME: found for found in (react_webshop, knowagent_alfworld, chat)}
NAMES = (AUTO, OWN, *IMPORTERS)
BOM = b"\xef\xbb\xbf"


def reader(path: Path, name: str = AUTO, given: Given | None = None) -> Callable[[str | bytes], Trajectory]:
    """Return what makes a trajectory of an entry of a file, or raises ValueError; for `store_io.import_trajectories`.

    Args:
        path: the file; read as far as is needed to tell its format.
        name: one of `NAMES`.
        given: what the user says of it.

    Raises:
        ConfigError: the format is not known or cannot be told, or the file cannot be read.
    """
    name = detect(path) if name == AUTO else name
    given = given or Given()
    if name == OWN:
        if given != Given():
            raise ConfigError(f"{path} holds trajectories that say for themselves what they are.")
        return read_trajectory
    if name not in IMPORTERS:
        raise ConfigError(f"there is no format {name!r}; there are: {', '.join(NAMES)}.")
    return functools.partial(_read, IMPORTERS[name], given)


def detect(path: Path) -> str:
    """Return the name of a file's format, by its first entry that is a JSON object.

    Raises:
        ConfigError: it is none of them, or the file cannot be read.
    """
    for _, text in entries(path):
        try:
            entry = json.loads(text)
        except (ValueError, RecursionError):
            continue
        if not isinstance(entry, dict):
            continue
        if {"task", "steps", "stop"} <= entry.keys() or "schema_version" in entry:
            return OWN
        for name, found in IMPORTERS.items():
            if found.recognises(entry):
                return name
        raise ConfigError(
            f"cannot tell the format of {path}: its first entry has the keys {', '.join(sorted(entry)[:8])}.",
            hint=f"Say which it is with --format: {', '.join(NAMES[1:])}.",
        )
    return OWN


def _read(found: Importer, given: Given, text: str | bytes) -> Trajectory:
    return found.read(text.removeprefix(BOM) if isinstance(text, bytes) else text, given)
