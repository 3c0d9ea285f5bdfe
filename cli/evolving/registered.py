"""What installed packages have registered under names that a configuration uses, and the files it is made of."""

from __future__ import annotations

from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from ...errors import ConfigError, boundary

OURS = "lamarck"
KINDS = ("tasksets", "proposers", "verifiers", "rewards", "credits", "objectives", "probes", "tools")
"""Entry-point groups, behind `lamarck.`."""


class Named(NamedTuple):
    """Something by the name that a configuration gives it."""

    kind: str
    """One of `KINDS`: a verifier is no tool of the same name."""
    name: str


def registered() -> dict[Named, list[EntryPoint]]:
    """Return the entry points that other packages have for us: of tasksets, verifiers, rewards and so on."""
    found: dict[Named, list[EntryPoint]] = {}
    every = entry_points()
    for kind in KINDS:
        for point in every.select(group=f"{OURS}.{kind}"):
            if point.module.partition(".")[0] != OURS:
                found.setdefault(Named(kind, point.name), []).append(point)
    return found


def files_of(point: EntryPoint) -> list[Path]:
    """Return the file of an entry point's module, and all files of its distribution: it may lean on code and data.

    What is compiled of them and the folder that describes the distribution are left out. Of one that is installed from
    where it is developed, the module's file is all that is known.

    Raises:
        ConfigError: see `file_of`.
    """
    own = file_of(point.module)
    files = (point.dist.files if point.dist is not None else None) or ()
    beside = [Path(str(file.locate())) for file in files if not any(map(_left_out, file.parts))]
    return [file for file in dict.fromkeys([*([own] if own is not None else []), *beside]) if file.is_file()]


def _left_out(part: str) -> bool:
    return part == "__pycache__" or part.endswith((".pyc", ".dist-info", ".egg-info"))


def file_of(module: str) -> Path | None:
    """Return the file of a module; None where there is none that can be found.

    Raises:
        ConfigError: the package that it lies in does not import.
    """
    # The package is imported for that; it is somebody else's, and may raise anything.
    with boundary(ConfigError, f"cannot import what module {module} lies in"):
        try:
            spec = find_spec(module)
        except (ImportError, ValueError):
            return None
    return Path(spec.origin) if spec is not None and spec.origin is not None else None
