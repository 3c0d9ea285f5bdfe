"""What a stage of training reads: attempts from runs, store files and exported files, each of them once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import sqlalchemy as sa

from ..config_training import TrainConfig
from ..core import Trajectory, content_id
from ..errors import ConfigError, StoreError, TrainingError
from ..rundir import RunDirectory
from ..store import Store
from ..store_io import entries, read_trajectory, why
from ..store_tables import TRAJECTORIES
from .headers import NOTHING, UNSOLVED, Header, headers_in, nothing_in
from .outcomes import Outcomes, check_truth
from .shared_ids import SharedIds

Notify = Callable[[str], None]
FILES = (".jsonl", ".jsonl.gz", ".parquet")
TWICE = "read already"
AT_ONCE = 200
"""Attempts that are fetched with one query."""


@dataclass(frozen=True)
class Sources:
    """Attempts to train on. None of them was ended by infrastructure, and each has a step."""

    trajectories: tuple[Trajectory, ...] = ()
    left_out: Mapping[str, int] = field(default_factory=dict)
    """Why attempts were left out, and how many."""
    runs: tuple[str, ...] = ()
    """Ids of the runs they come from."""
    places: tuple[str, ...] = ()
    """Where they were read, in words for a person."""
    folders: tuple[Path, ...] = ()
    """Of runs, beside the stores of the configuration, that may name their tasks by files; see `files_beside`."""

    def groups(self) -> list[list[Trajectory]]:
        """Return attempts that share a baseline, in the order of `trajectories`."""
        return grouped(self.trajectories)


def grouped(trajectories: Iterable[Trajectory]) -> list[list[Trajectory]]:
    """Return attempts by what they share a baseline with; without a group id it is the run and the task."""
    found: dict[str, list[Trajectory]] = {}
    for one in trajectories:
        found.setdefault(one.group_id or content_id(one.run_id, one.task.id), []).append(one)
    return list(found.values())


def ordered(trajectories: Iterable[Trajectory]) -> list[Trajectory]:
    """Return attempts run by run, those of a run by task, sample and attempt.

    So what is trained on comes in the same order whichever of several episodes at once ended or began first, and two
    equal runs end in the same weights.
    """
    found = list(trajectories)
    place = {run_id: n for n, run_id in enumerate(dict.fromkeys(one.run_id for one in found))}
    return sorted(found, key=lambda one: (place[one.run_id], one.task.id, one.sample, one.attempt))


def load_sources(config: TrainConfig, notify: Notify | None = None) -> Sources:
    """Read what `config.stores` name, leave out what is not to be trained on, and count why.

    Of a store only the attempts that are wanted are read whole, so that what is left out costs next to nothing. They
    stand in the order of `config.stores`, and those of one store as `ordered` says.

    Args:
        config: names the stores, the splits and the tasks, and by whose word attempts went well. For kind `sft`
            unsolved attempts are left out too.
        notify: is told what is being read, and of each attempt that cannot be.

    Raises:
        ConfigError: no store is named, one is not there, or is something else; the truth that is to be trained on is
            withheld in it.
        TrainingError: nothing is left (unless fresh attempts are to be collected), or two stores disagree.
        StoreError: a store cannot be opened.
    """
    if not config.stores and not config.live.rounds:
        raise ConfigError("no store is named to train from.", hint="Give --store RUN, a store or an exported file.")
    if config.live.rounds and config.samples.outcome == "verdict":
        raise ConfigError(
            "samples.outcome = verdict is for stored attempts, and live.rounds collects fresh ones.",
            hint="Collect by `lamarck run` with verify.by set, then train.",
        )
    taken = _Taken(config, notify or (lambda text: None))
    for place in config.stores:
        taken.read(place)
    found = Sources(
        tuple(taken.trajectories),
        dict(taken.left_out),
        tuple(dict.fromkeys(one.run_id for one in taken.trajectories)),
        tuple(taken.places),
    )
    if not config.live.rounds:
        some(config, found)
    return found


def some(config: TrainConfig, sources: Sources) -> None:
    """Make sure that there is something to train on.

    Raises:
        TrainingError: there is not; it says what there was, and why none of it counts.
    """
    if sources.trajectories:
        return
    where = " and ".join(sources.places) or "the stores"
    if not sources.left_out:
        hint = "`lamarck run --out DIR` collects some."
        raise TrainingError(f"there is no finished attempt in {where}.", hint=hint, kind=NOTHING)
    reasons = counted(sources.left_out)
    if any(reason.startswith("of split") for reason in sources.left_out):
        hint = f"Training takes samples.splits = {list(config.samples.splits)}; name others, or [] for all."
    elif UNSOLVED in sources.left_out:
        hint = "Imitation needs solved attempts: collect more, or learn from failures by grpo, dpo or kto."
    else:
        hint = "`lamarck show RUN` lists the attempts; collect others."
    kind = nothing_in(sources.left_out) if UNSOLVED in sources.left_out else NOTHING
    raise TrainingError(f"no attempt in {where} can be trained on: {reasons}.", hint=hint, kind=kind)


def counted(left_out: Mapping[str, int]) -> str:
    """Say in words what was left out: `3 ended by infrastructure, 2 of split test`."""
    return ", ".join(f"{count} {reason}" for reason, count in sorted(left_out.items(), key=lambda pair: -pair[1]))


class _Taken:
    """What was read so far."""

    def __init__(self, config: TrainConfig, notify: Notify) -> None:
        self._config, self._notify = config, notify
        self._seen: dict[str, tuple[int, str]] = {}
        self._ids = SharedIds()
        self._outcomes = Outcomes(config.samples)
        self.trajectories: list[Trajectory] = []
        self.left_out: Counter[str] = Counter()
        self.places: list[str] = []

    def read(self, place: str) -> None:
        kind, before = kind_of(place), len(self.trajectories)
        self._notify(f"reading {place}" if "://" not in place else "reading a database")
        if kind == "file":
            self._file(Path(place), self._outcomes.at(None))
        elif kind == "run":
            directory = RunDirectory(place)
            run_id, run = directory.run_id, directory.load_config()
            check_truth(self._config, run, place)
            self._store(directory.store_url(run), run_id, place, self._outcomes.at(directory.path))
        else:
            path = Path(place) / "store.db" if kind == "folder" else place
            self._store(path, None, place, self._outcomes.at(Path(place) if kind == "folder" else None))
        self.trajectories[before:] = ordered(self.trajectories[before:])

    def _store(self, url: str | Path, run_id: str | None, place: str, outcomes: Outcomes) -> None:
        with Store.open(url, create=False) as store:
            self.places.append(place if "://" not in place else store.place)
            wanted = [header.id for header in headers_in(store, run_id, outcomes) if self._wants(header)]
            for start in range(0, len(wanted), AT_ONCE):
                for one in self._whole(store, wanted[start : start + AT_ONCE]):
                    self._take(outcomes.of(one)[0])

    def _whole(self, store: Store, idents: list[str]) -> Iterator[Trajectory]:
        query = sa.select(TRAJECTORIES.c.id, TRAJECTORIES.c.body).where(TRAJECTORIES.c.id.in_(idents))
        bodies = {row.id: row.body for row in store.read(query)}
        for ident in idents:
            try:
                yield Trajectory.model_validate_json(bodies[ident]).model_copy(update={"steps": store.steps_of(ident)})
            except (ValueError, StoreError) as error:
                if isinstance(error, StoreError) and error.kind != "damaged":
                    raise
                del self._seen[ident]  # another store may hold it whole
                self._unreadable(f"trajectory {ident} in {store.place} is damaged and left out: {why(error)}")

    def _file(self, path: Path, outcomes: Outcomes) -> None:
        self.places.append(str(path))
        readable, first = False, ""
        for number, text in entries(path):
            try:
                one = read_trajectory(text)
            except (ValueError, OverflowError, RecursionError) as error:
                line = f"{path}, entry {number}, is no trajectory: {why(error)}"
                first = first or line
                self._unreadable(line)
                continue
            readable = True
            one, silent = outcomes.of(one)
            if self._wants(Header.of(one, silent)):
                self._take(one)
        if first and not readable:
            raise ConfigError(f"{first}.", hint="`lamarck import` reads other formats into a store.")

    def _wants(self, header: Header) -> bool:
        known, place = self._seen.get(header.id, (None, ""))
        content = hash(repr(header))  # of its text, since a reward that is NaN is not equal to itself
        if known is not None:
            if known != content:
                raise TrainingError(
                    f"trajectory {header.id} in {self.places[-1]} is not the one of this id in {place}.",
                    hint="Train from one of the two.",
                )
            self.left_out[TWICE] += 1
            return False
        self._seen[header.id] = content, self.places[-1]
        unfit = header.unfit(self._config)
        if unfit is not None:
            self.left_out[unfit] += 1
        return unfit is None

    def _take(self, one: Trajectory) -> None:
        self.trajectories.append(self._ids.of(one))

    def _unreadable(self, line: str) -> None:
        self.left_out["unreadable"] += 1
        self._notify(line)


def kind_of(place: str) -> Literal["run", "folder", "store", "file"]:
    """Say what a name of the configuration means: a run, a folder with a bare store, a store, or an exported file.

    Raises:
        ConfigError: nothing is there, or a folder without any of it.
    """
    if "://" in place:
        return "store"
    path = Path(place)
    if path.is_dir():
        if RunDirectory(path).exists():
            return "run"
        if (path / "store.db").is_file():
            return "folder"
        raise ConfigError(f"{place} is no run: it has neither run.toml nor store.db.", hint="`lamarck run` makes one.")
    if not path.is_file():
        raise ConfigError(f"there is no run, store or file {place}.", hint="Check --store.")
    return "file" if path.name.endswith(FILES) else "store"
