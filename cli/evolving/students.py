"""Students: copies of the parent's weights that are trained on a set of its tasks, measured and thrown away.

generations/NNN/students/before       the exam as the parent plays it
generations/NNN/students/1, 2, ...    a student: its training, its exam; gone once it was measured
"""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path

from ...agent.evolution.generation import Figures, Generation
from ...agent.llms import VLLM
from ...config import RunConfig
from ...config_evolve import EvolveConfig
from ...config_training import TrainConfig
from ...errors import TrainingError
from ...evals.figures.played import Played
from ...release_memory import FILE, copy_memory
from ...releases import Releases
from ...roles import SOLVER
from ...rundir import RunDirectory
from ...training.device import let_go
from ...training.headers import ALIKE, NOTHING, UNSOLVED, Header
from ...training.output import TrainDirectory
from ...training.summary import Summary
from ..screen import Screen
from ..train_fit import fitted
from ..train_watch import TrainWatch
from .collecting import COLLECT
from .home import Home
from .playing import PLAYED, as_released, attempts, played
from .progress import Exam, Measured, Student
from .proposing import Proposing

STUDENTS, BEFORE = "students", "before"


class Students:
    """Measures what the tasks that a generation has made teach, after SOAR (2601.18778).

    There a student takes ten updates of reinforcement on what was proposed, its accuracy on fixed hard tasks that the
    proposer does not see is compared with that before, and it is put back. Here it is a copy from the beginning, and is
    trained on the attempts that were played anyway, with the settings of `train`, from the parent on.

    Args:
        home: of the evolution.
        config: its settings.
        releases: of the same home.
        proposing: has the tasks of generations, and the exam.
        quiet: show failures only.
        screen: what bars are part of, where they are not alone.
    """

    def __init__(
        self,
        home: Home,
        config: EvolveConfig,
        releases: Releases,
        proposing: Proposing,
        *,
        quiet: bool,
        screen: Screen | None = None,
    ) -> None:
        self._home, self._config, self._releases = home, config, releases
        self._proposing, self._quiet, self._screen = proposing, quiet, screen

    async def measure(self, now: Generation) -> Figures:
        """Measure what is not measured yet, where tasks were made and students are wanted; return the figures.

        From here on no task of the generation is played any more, though infrastructure has ended attempts: what
        students are trained on stays as it is. Done again, also after it was killed, it goes on: nobody is trained
        again, and nothing is played again.

        Raises:
            LamarckError: a student cannot be trained or play.
            KeyboardInterrupt: it was stopped.
        """
        folder, sets = self._home.generation(now.number), self._config.propose.students.sets
        if not sets:
            return {}
        made = self._proposing.self_made(now.number)
        if not made:
            return {STUDENTS: Measured(students=()).figures()}
        (folder / COLLECT / PLAYED).touch()
        found = Measured.read(folder) or Measured.dealt([task.id for task in made], sets)
        if found.parent is None and not all(one.measured for one in found.students):
            found = found.model_copy(update={"parent": await self._exam(now, BEFORE, self._adapter(now))})
            found.write(folder)
        for number, student in enumerate(found.students):
            if not student.measured:
                found = found.having(number, await self._measured(now, found, number))
                found.write(folder)
            shutil.rmtree(self._place(now, str(number + 1)), ignore_errors=True)
        shutil.rmtree(folder / STUDENTS, ignore_errors=True)
        return {STUDENTS: found.figures()}

    async def _measured(self, now: Generation, found: Measured, number: int) -> Student:
        student, before, name = found.students[number], found.parent, str(number + 1)
        assert before is not None
        if before.why:
            return student.unmeasured(f"before training {before.why}")
        try:
            summary = self._trained(now, name, student.ids)
        except TrainingError as error:
            if error.kind == ALIKE and self._whole(now, student.ids):
                return student.untaught(error.message)
            if error.kind in (ALIKE, NOTHING):
                return student.unmeasured(error.message)
            raise
        after = await self._exam(now, name, TrainDirectory(self._place(now, name) / "train").best)
        return student.examined(before, after, summary.steps)

    def _whole(self, now: Generation, ids: tuple[str, ...]) -> bool:
        """Say whether all samples of these tasks are there and can be trained on, whatever came of them.

        Where they are not dealt evenly (`run.collect.allocate`), one of each task will do.
        """
        config, collect = self._training(now, ids), self._config.run.collect
        run = RunDirectory(self._home.generation(now.number) / COLLECT)
        able = {(one.task.id, one.sample) for one in attempts(run) if Header.of(one).unfit(config) in (None, UNSOLVED)}
        samples, least = Counter(ident for ident, _ in able), collect.samples if collect.allocate == "uniform" else 1
        return all(samples[ident] >= least for ident in ids)

    def _trained(self, now: Generation, name: str, ids: tuple[str, ...]) -> Summary:
        """Train a student on the attempts at these tasks, or go on with it."""
        directory = TrainDirectory(self._place(now, name) / "train")
        if directory.summary_path.is_file():
            return Summary.read(directory.summary_path)
        label = f"generation {now.number}: training student {name} of {self._config.propose.students.sets}"
        try:
            with TrainWatch(label, quiet=self._quiet, screen=self._screen) as watch:
                summary = fitted(self._training(now, ids), directory, watch, resume=directory.exists())
        finally:
            let_go()
        if summary.interrupted or watch.interrupted():
            raise KeyboardInterrupt
        return summary

    def _training(self, now: Generation, ids: tuple[str, ...]) -> TrainConfig:
        """Return how a student is trained: as the weights are, from the parent on, on these tasks of the generation."""
        config, start = self._config.train, self._adapter(now)
        updates = self._config.propose.students.updates
        return config.model_copy(
            update={
                "stores": (str(self._home.generation(now.number) / COLLECT),),
                "model": self._config.run.model.name.removeprefix(VLLM),
                "start": str(start) if start is not None else None,
                "seed": config.seed + now.number,
                "samples": config.samples.model_copy(update={"tasks": ids, "roles": (SOLVER,)}),
                "optimizer": config.optimizer.model_copy(update={"max_steps": updates}),
                # A set is small, and who is thrown away needs no curves.
                "validate_share": 0.0,
                "report_to": (),
            }
        )

    async def _exam(self, now: Generation, name: str, adapter: Path | None) -> Exam:
        """Let the parent play the exam with an adapter, its own or a student's."""
        place = self._place(now, name)
        label = f"generation {now.number}: exam, " + ("before training" if name == BEFORE else f"student {name}")
        config = self._playing(now, place, adapter)
        run = await played(config, place / "exam", label, quiet=self._quiet, screen=self._screen)
        return Exam.of(Played.read(run).samples, len(config.taskset.ids))

    def _playing(self, now: Generation, place: Path, adapter: Path | None) -> RunConfig:
        """Return how the exam is played: as the parent plays, with this adapter and a copy of the parent's memory.

        It is no release, so it is not called by the name of one; nor may it write to what belongs to one.
        """
        ids = tuple(task.id for task in self._proposing.exam())
        tasks = self._config.run.taskset.model_copy(update={"ids": ids, "limit": None})
        samples = self._config.propose.students.samples
        found = as_released(self._home.path, now.parent, tasks, self._config.run, samples)
        memory = found.memory
        if memory.path is not None:
            memory = memory.model_copy(update={"path": str(_copied(Path(memory.path), place / "memory"))})
        model = found.model.model_copy(update={"adapter": str(adapter) if adapter is not None else None})
        return found.model_copy(update={"release": None, "memory": memory, "model": model})

    def _adapter(self, now: Generation) -> Path | None:
        """Return the folder of the parent's adapter, or None."""
        parent = self._releases.get(now.parent)
        return self._releases.folder(parent.id) / "adapter" if parent.adapter is not None else None

    def _place(self, now: Generation, name: str) -> Path:
        return self._home.generation(now.number) / STUDENTS / name


def _copied(memory: Path, place: Path) -> Path:
    """Return a copy of a release's memory, made once and whole."""
    if not place.exists():
        beside = place.with_name(f".{place.name}-new")
        shutil.rmtree(beside, ignore_errors=True)
        beside.mkdir(parents=True)
        copy_memory(memory / FILE, beside / FILE)
        beside.rename(place)
    return place
