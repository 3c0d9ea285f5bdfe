"""What students gained by the tasks of a generation, written down on the way: a student is measured once.

generations/NNN/students.json    the parent's exam, each set of tasks, what its student came to
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from statistics import fmean
from typing import Any

from pydantic import ValidationError

from ...agent.evolution.generation import Figures
from ...agent.proposers.proposer import Outcome
from ...agent.proposers.rewards import progress
from ...core import Usage, Wire
from ...errors import ConfigError
from ...evals.figures.outcomes import Sample, by_task, values
from .exam import LEAST
from .home import write

FILE = "students.json"
MOST_LOST = 0.25
"""Share of the tasks of an exam that may have no outcome."""


class Exam(Wire):
    """What came of the given tasks that students are measured on, for the parent or for a student."""

    solved: dict[str, float]
    """Task -> share of its attempts that solved it; those that infrastructure ended are none."""
    why: str = ""
    """Why it measures nothing, where it does not."""
    usage: Usage = Usage()

    @classmethod
    def of(cls, samples: Sequence[Sample], tasks: int) -> Exam:
        """Return what samples came to, at so many tasks."""
        found = {ident: known for ident, ended in by_task(samples).items() if (known := values(ended))}
        lost, why = tasks - len(found), "" if found else "no attempt has an outcome"
        if found and lost > MOST_LOST * tasks:
            why = f"{lost} of {tasks} tasks have no outcome, more than {100 * MOST_LOST:g} %"
        used = sum((one.usage for sample in samples for one in sample.attempts), Usage())
        return cls(solved={ident: fmean(known) for ident, known in sorted(found.items())}, why=why, usage=used)

    @property
    def mean(self) -> float | None:
        """Success rate, each task weighing the same; None where there is none."""
        return fmean(self.solved.values()) if self.solved else None


class Student(Wire):
    """A set of tasks, and the student that was trained on it."""

    ids: tuple[str, ...]
    measured: bool = False
    """Whether it is known what came of it, be it that it could not be measured."""
    updates: int = 0
    exam: Exam | None = None
    """None where it was not played: the student is the parent, or there is nothing to compare with."""
    progress: float | None = None
    """Mean over the tasks of both exams; None where it could not be measured."""
    why: str = ""
    """Why not, or why nothing was trained."""

    def untaught(self, why: str) -> Student:
        """Return it where all that was played teaches nothing, so that the student is the parent."""
        return self.model_copy(update={"measured": True, "progress": 0.0, "why": why})

    def unmeasured(self, why: str) -> Student:
        """Return it where there is nothing to compare with, or it is not known what its tasks would have taught."""
        return self.model_copy(update={"measured": True, "why": why})

    def examined(self, before: Exam, after: Exam, updates: int) -> Student:
        """Return it with what it came to after its training, compared with the parent task by task."""
        both = sorted(before.solved.keys() & after.solved.keys())
        why = after.why or ("" if both else "no task has an outcome before and after")
        gain = None if why else progress(*(fmean(exam.solved[one] for one in both) for exam in (before, after)))
        new: dict[str, Any] = {"exam": after, "progress": gain, "why": why, "updates": updates}
        return self.model_copy(update={"measured": True, **new})


class Measured(Wire):
    """What is known so far of a generation's tasks."""

    parent: Exam | None = None
    """None until it was played."""
    students: tuple[Student, ...]

    @classmethod
    def dealt(cls, ids: Sequence[str], sets: int) -> Measured:
        """Deal tasks into sets, in their order and as evenly as can be; where there are too few, into fewer.

        What is to be measured beside another and is alone is not measured.
        """
        cuts = [len(ids) * number // sets for number in range(sets + 1)]
        parts = (tuple(ids[start:end]) for start, end in pairwise(cuts))
        students = tuple(Student(ids=part) for part in parts if part)
        if len(students) < min(LEAST, sets):
            students = tuple(one.unmeasured("no other set was made to measure it beside") for one in students)
        return cls(students=students)

    @classmethod
    def read(cls, folder: Path) -> Measured | None:
        """Return what is written down in the folder of a generation, or None.

        Raises:
            ConfigError: it cannot be read.
        """
        file = folder / FILE
        if not file.exists():
            return None
        try:
            return cls.model_validate_json(file.read_text(encoding="utf-8"))
        except (OSError, ValidationError, UnicodeDecodeError) as error:
            raise ConfigError(
                f"{file} cannot be read, so it is not known what the tasks of this generation have taught.",
                hint="Remove it while the generation goes on; --resume measures that anew.",
            ) from error

    def write(self, folder: Path) -> None:
        """Write it into the folder of the generation, whole or not at all."""
        write(folder / FILE, self.model_dump_json(indent=2) + "\n")

    def having(self, number: int, student: Student) -> Measured:
        """Return it with another student in the place of the one of this number."""
        return self.model_copy(update={"students": (*self.students[:number], student, *self.students[number + 1 :])})

    def told(self, outcomes: Sequence[Outcome]) -> tuple[Outcome, ...]:
        """Return outcomes of the generation's tasks with the progress of the set that each is of."""
        worth = {ident: one.progress for one in self.students for ident in one.ids}
        return tuple(one.model_copy(update={"progress": worth.get(one.task_id)}) for one in outcomes)

    @property
    def usage(self) -> Usage:
        """What all exams took."""
        exams = [self.parent, *(one.exam for one in self.students)]
        return sum((one.usage for one in exams if one is not None), Usage())

    def figures(self) -> Figures:
        """Return it for the record of the generation."""
        parent = self.parent
        return {
            "tasks": len(parent.solved) if parent is not None else 0,
            "before": parent.mean if parent is not None else None,
            "sets": [
                {
                    "tasks": len(one.ids),
                    "updates": one.updates,
                    "after": one.exam.mean if one.exam is not None else None,
                    "progress": one.progress,
                    **({"why": one.why} if one.why else {}),
                }
                for one in self.students
            ],
            "tokens": self.usage.tokens,
            "cost_usd": round(self.usage.cost_usd, 6),
            **({} if self.students else {"why": "no task was made"}),
        }


def with_progress(folder: Path, outcomes: Sequence[Outcome]) -> tuple[Outcome, ...]:
    """Return the outcomes of a generation's tasks with the progress of students, where there were any.

    Raises:
        ConfigError: what is written down of them cannot be read.
    """
    found = Measured.read(folder)
    return found.told(outcomes) if found is not None else tuple(outcomes)
