"""What installed packages have registered under names that a configuration uses, and the files it is made of."""

from __future__ import annotations

from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec
from pathlib import Path

OURS = "lamarck"
KINDS = ("tasksets", "proposers", "verifiers", "rewards", "credits", "objectives", "probes", "tools")
"""Entry-point groups, behind `lamarck.`."""


def registered() -> dict[str, list[EntryPoint]]:
    """Return the entry points that other packages have for us, by name: of tasksets, verifiers, rewards and so on."""
    found: dict[str, list[EntryPoint]] = {}
    every = entry_points()
    for kind in KINDS:
        for point in every.select(group=f"{OURS}.{kind}"):
            if point.module.partition(".")[0] != OURS:
                found.setdefault(point.name, []).append(point)
    return found


def files_of(point: EntryPoint) -> list[Path]:
    """Return the file of an entry point's module, and all Python files of its distribution: it may lean on them.

    Of a distribution that is installed from where it is developed, the first is all that is known.
    """
    own = file_of(point.module)
    beside = [Path(str(file.locate())) for file in (point.dist.files if point.dist is not None else None) or ()]
    found = [*([own] if own is not None else []), *(file for file in beside if file.suffix == ".py")]
    return [file for file in dict.fromkeys(found) if file.is_file()]


def file_of(module: str) -> Path | None:
    """Return the file of a module; None where there is none that can be found."""
    try:
        spec = find_spec(module)
    except (ImportError, ValueError):
        return None
    return Path(spec.origin) if spec is not None and spec.origin is not None else None
