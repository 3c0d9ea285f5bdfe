"""A run as figures need it: what was to be played, what came of it, and nothing that does not fit into memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from ...config import RunConfig
from ...core import Release, Task, Trajectory
from ...errors import ConfigError
from ...rundir import RunDirectory
from ...store import Store
from ...task_contents import said
from ..metrics import Tally
from .allocated import Allocated, allocated
from .compare import Side
from .evaluation import FILE, Evaluation
from .outcomes import Outcome, Sample, outcome_of, samples_of
from .pick import Candidate, PickedFigures, candidate_of, pick, picked_figures, rule_of
from .summary import RESAMPLES, Figures, by_category, figures, infrastructure


@dataclass
class Played:
    """What a run amounts to. Read one with `Played.read`."""

    path: Path
    run_id: str
    config: RunConfig
    release: Release | None
    evaluation: Evaluation | None
    """None for runs of versions that did not write one."""
    tasks: dict[str, Task]
    """The tasks that were begun, by id."""
    samples: tuple[Sample, ...]
    planned: int
    total: Tally = field(default_factory=Tally)
    categories: dict[str, Tally] = field(default_factory=dict)
    candidates: tuple[Candidate, ...] = ()
    """Where the configuration says how one sample of each task is picked; else empty."""
    allocated: Allocated | None = None
    """Where samples were allocated by answers."""

    @classmethod
    def read(cls, directory: RunDirectory, config: RunConfig | None = None) -> Played:
        """Read a run, one trajectory at a time.

        Args:
            directory: of the run.
            config: its configuration, where it is at hand.

        Raises:
            ConfigError: there is no run, or none of its episodes has ended.
        """
        config = config or directory.load_config()
        with Store.open(directory.store_url(config), create=False) as store:
            rows = store.attempts(directory.run_id)
            begun = {(row.task_id, row.sample) for row in rows}
            # An attempt that waits for its end or for its repair has no outcome yet.
            pending = {(row.task_id, row.sample) for row in rows if row.open}
            headers = [
                header
                for header in store.headers(run_id=directory.run_id)
                if (header.task.id, header.sample) not in pending
            ]
            if not headers:
                raise ConfigError(f"run {directory.path} has no finished episode yet.")
            sums = _added_up(store, directory, headers, picks=rule_of(config.collect) != "none")
            release_id = headers[0].release_id
            release = store.get_release(release_id) if release_id else None
        found = directory.path / FILE
        evaluation = Evaluation.read(found) if found.exists() else None
        samples = tuple(samples_of(sums.outcomes))
        known = [*(evaluation.tasks if evaluation is not None else ()), *(header.task.id for header in headers)]
        spread = allocated(samples, sums.candidates, dict.fromkeys(known), config.collect)
        planned = evaluation.planned if evaluation is not None else 0
        if spread is not None:
            # How many there will be hangs on the answers; of a run that goes on, the next ones are missing.
            planned = spread.used + spread.left
        return cls(
            path=directory.path,
            run_id=directory.run_id,
            config=config,
            release=release,
            evaluation=evaluation,
            tasks={header.task.id: header.task for header in headers},
            samples=samples,
            planned=max(len(begun), planned),
            total=sums.total,
            categories=dict(sorted(sums.categories.items())),
            candidates=tuple(sums.candidates),
            allocated=spread,
        )

    def figures(self, *, ks: tuple[int, ...] = (), resamples: int = RESAMPLES, seed: int = 0) -> Figures:
        """Return the figures over all samples."""
        return figures(self.samples, planned=self.planned, ks=ks, resamples=resamples, seed=seed)

    def by_category(self, *, ks: tuple[int, ...] = (), resamples: int = RESAMPLES, seed: int = 0) -> dict[str, Figures]:
        """Return the figures of each category."""
        return by_category(self.samples, ks=ks, resamples=resamples, seed=seed)

    def picked(self, *, seed: int = 0) -> PickedFigures | None:
        """Return how good the picked samples are, or None where nothing is picked.

        Raises:
            ConfigError: the samples hold nothing to pick by.
        """
        rule = rule_of(self.config.collect)
        return None if rule == "none" or not self.candidates else picked_figures(self.candidates, rule, seed=seed)

    def side(self, name: str) -> Side:
        """Return the run as one side of a comparison; of a best-of-n run, the picked sample of each task stands for it.

        Raises:
            ConfigError: the samples hold nothing to pick by.
        """
        lost = infrastructure(self.samples, self.planned)
        rule = rule_of(self.config.collect)
        if rule == "none" or not self.candidates:
            return Side(name, self.samples, lost)
        chosen = {one.chosen.trajectory_id for one in pick(self.candidates, rule)}
        attempts = [one for sample in self.samples for one in sample.attempts if one.trajectory_id in chosen]
        return Side(name, tuple(Sample(one.task_id, 0, (one,)) for one in attempts), lost)


def different(runs: Sequence[RunDirectory]) -> None:
    """Make sure that no run is named twice, be it by two paths or as a copy.

    Raises:
        ConfigError: one is.
    """
    ids = [run.run_id if run.exists() else str(run.path) for run in runs]
    twice = [str(run.path) for run, ident in zip(runs, ids, strict=True) if ids.count(ident) > 1]
    if twice:
        raise ConfigError(f"{' and '.join(twice)} are the same run.", hint="Name each run once.")


def same_tasks(first: Played, second: Played) -> None:
    """Make sure that two runs are about the same tasks, as far as both have them.

    Raises:
        ConfigError: they are of other tasksets or splits, share no task, or a task was another one.
    """
    one, two = (f"{run.config.taskset.name}/{run.config.taskset.split}" for run in (first, second))
    if one != two:
        raise ConfigError(f"{first.path} is about {one} and {second.path} about {two}; runs share a taskset and split.")
    names, others = (run.evaluation.tasks if run.evaluation is not None else {} for run in (first, second))
    common = first.tasks.keys() & second.tasks.keys()
    if not common:
        raise ConfigError(f"{first.path} and {second.path} have no task in common.")
    for ident in sorted(common):
        same = said(first.tasks[ident]) == said(second.tasks[ident])
        if not same or (ident in names and ident in others and names[ident] != others[ident]):
            raise ConfigError(
                f"task {ident} was another one in {second.path} than in {first.path}: its contents differ.",
                hint="Play both on the same data.",
            )
    data = [run.evaluation.data for run in (first, second) if run.evaluation is not None]
    if len(set(data)) > 1:
        raise ConfigError(f"{first.path} and {second.path} were played on different data of taskset {one}.")


class _Sums(NamedTuple):
    """What the attempts of a run add up to."""

    total: Tally
    categories: dict[str, Tally]
    outcomes: list[Outcome]
    candidates: list[Candidate]


def _added_up(store: Store, directory: RunDirectory, headers: list[Trajectory], *, picks: bool) -> _Sums:
    """Read the steps of each attempt, one after the other; `picks` says that what was sampled is needed."""
    # Imported here: it brings the agent's parts with it, which comparing and reporting can start without.
    from ...agent.verifiers.sealed import unsealing

    sums, superseded = _Sums(Tally(), {}, [], []), _superseded(headers)
    with unsealing(directory.path) as unseal:
        for header in headers:
            # Only picking goes by what was sampled; prompts and tokens are nine tenths of a step.
            steps = store.steps_of(header.id, brief=not picks)
            trajectory = unseal(header.model_copy(update={"steps": steps}))
            sums.outcomes.append(outcome_of(trajectory))
            candidate = candidate_of(trajectory) if picks else None
            if candidate is not None:
                sums.candidates.append(candidate)
            for tally in (sums.total, sums.categories.setdefault(header.task.category or "(none)", Tally())):
                if header.id in superseded:
                    tally.usage = tally.usage + header.usage
                else:
                    tally.add(trajectory)
    return sums


def _superseded(headers: list[Trajectory]) -> set[str]:
    """Return the ids of attempts that ended by themselves and were repaired: a sample counts once, by its last."""
    last: dict[tuple[str, int], Trajectory] = {}
    ended = [header for header in headers if header.failure is None]
    for header in ended:
        key = (header.task.id, header.sample)
        if key not in last or last[key].attempt < header.attempt:
            last[key] = header
    return {header.id for header in ended} - {header.id for header in last.values()}
