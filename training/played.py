"""How the attempts that were trained on were played, so that a trained model can be tried at the same sort of tasks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from pydantic import Field, JsonValue

from ..config_tree import parse_assignment, toml_value
from ..core import Trajectory, Wire
from ..errors import LamarckError
from ..rundir import RunDirectory


class Played(Wire):
    """A taskset as a run names it."""

    taskset: str
    options: dict[str, JsonValue] = Field(default_factory=dict)
    """Keyword arguments of the taskset, as in `taskset.options` of the run."""

    @property
    def flags(self) -> list[str]:
        """What gives the options on a command line: `--set taskset.options.KEY=VALUE` for each."""
        return [word for text in _assignments("taskset.options", self.options) for word in ("--set", text)]


def played(places: Sequence[str], attempts: Sequence[Trajectory]) -> Played | None:
    """Return how the run was played that most of the attempts come from, of those whose `run.toml` is there."""
    count = Counter(one.run_id for one in attempts)
    found: dict[str, Played] = {}
    for folder in (folder for place in places for folder in _folders(Path(place))):
        directory = RunDirectory(folder)
        try:
            run, wanted = directory.run_id, directory.load_config().taskset
        except LamarckError:
            continue  # an exported file, or a store alone
        found[run] = Played(taskset=wanted.name, options=wanted.options)
    known = [run for run, _ in count.most_common() if run in found]
    return found[known[0]] if known else None


def _folders(place: Path) -> list[Path]:
    """Return where runs may be: the place itself, beside a store file, or the draws of live rounds below it."""
    if not place.is_dir():
        return [place.parent]
    return [place, *sorted(file.parent for file in place.glob("*/*/run.toml"))]


def _assignments(prefix: str, options: Mapping[str, JsonValue]) -> Iterator[str]:
    for key, value in options.items():
        name = f"{prefix}.{key}"
        if isinstance(value, dict):
            yield from _assignments(name, value)
        elif isinstance(value, str) and parse_assignment(f"{name}={value}")[1] == value:
            yield f"{name}={value}"
        elif value is not None:
            yield f"{name}={toml_value(value)}"
