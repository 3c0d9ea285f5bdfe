"""The exam of students: given tasks that their progress is measured on, and when it can be measured at all."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from itertools import islice

from ...agent.proposers.admission import HeldOut
from ...agent.proposers.finding import CURRICULA
from ...config_evolve import EvolveConfig
from ...config_propose import ProposeConfig
from ...core import Task
from ...errors import ConfigError
from ...evals.proposed.known import said
from ...evals.proposed.table import INVENTED

LEAST = 2
"""Sets of tasks that are compared where progress is paid for."""


def exam_of(given: Callable[[], Sequence[Task]], held_out: Sequence[Task], wanted: ProposeConfig) -> tuple[Task, ...]:
    """Return the given tasks that students are measured on, the same each time; none where there are no students.

    What the gate looks at must not decide what is learned from, so no task is among them that says what a held-out one
    says.

    Args:
        given: gives the tasks to draw from; not asked where there are no students.
        held_out: tasks that are held out.
        wanted: how many, and the seed.

    Raises:
        ConfigError: there is no such task, or no other is left where given ones may be played.
    """
    if not wanted.students.sets:
        return ()
    tasks, kept = given(), HeldOut([said(task) for task in held_out], near=1.0)
    order = random.Random(f"{wanted.seed}/exam").sample(list(tasks), len(tasks))
    free = (task for task in order if not kept.has(said(task)))
    found = tuple(islice(free, wanted.students.tasks))
    if not found:
        raise ConfigError(
            f"students have nothing to be measured on: all {len(tasks)} given tasks say what a held-out one says.",
            hint="Name other given tasks by --taskset and --split, or set propose.students.sets = 0.",
        )
    exam = HeldOut([said(task) for task in found], near=1.0)
    if wanted.by not in INVENTED and all(exam.has(said(task)) for task in free):
        raise ConfigError(
            f"propose.students.tasks is {wanted.students.tasks}, which leaves none of the {len(tasks)} given tasks to "
            f"be played, as propose.by = {wanted.by} may want.",
            hint="Lower propose.students.tasks, or name more given tasks by --taskset, --split and run.taskset.limit.",
        )
    return found


def check_students(config: EvolveConfig) -> None:
    """Refuse progress that would not be measured, and students who cannot measure it.

    Raises:
        ConfigError: it is asked for, or they cannot.
    """
    wanted, run = config.propose, config.run
    _check_paid(wanted)
    if not wanted.students.sets:
        return
    if wanted.students.sets >= LEAST > wanted.tasks:
        raise ConfigError(
            f"propose.tasks is {wanted.tasks}, and what a set of tasks teaches is measured beside another.",
            hint="Set propose.tasks = 2 or more.",
        )
    if wanted.by in CURRICULA:
        raise ConfigError(
            f"propose.students.sets is {wanted.students.sets}, and propose.by = {wanted.by} makes no tasks that a "
            "student could be trained on.",
            hint="Leave students out; propose.by = bandit with propose.options.gain = progress goes by the progress at "
            "given tasks.",
        )
    if config.learn.by == "verdict":
        raise ConfigError(
            "propose.students measures by how the world says that attempts ended, and learn.by is verdict.",
            hint="Leave students out, or set learn.by = environment where the truth may be learned from.",
        )
    if not run.model.name.startswith(("embedded", "vllm:")):
        raise ConfigError(
            f"propose.students.sets is {wanted.students.sets}, and the weights of {run.model.name} cannot be trained "
            "here.",
            hint="Leave students out, or take --model embedded, embedded:FOLDER or vllm:FOLDER.",
        )


def _check_paid(wanted: ProposeConfig) -> None:
    """Refuse to pay for progress without students: tasks that are made may just have become easier.

    Raises:
        ConfigError: it is asked for.
    """
    rule, sets = wanted.options.get("rule_options"), wanted.students.sets
    if sets >= LEAST:
        return
    if wanted.model is not None and wanted.reward == "progress":
        raise ConfigError(
            f"propose.reward is progress, and propose.students.sets is {sets}: what a set of tasks teaches is measured "
            "beside another.",
            hint="Set propose.students.sets = 2 or more, or propose.reward = learnability, azr or another.",
        )
    if isinstance(rule, dict) and rule.get("gain") == "progress":
        raise ConfigError(
            f"propose.options.rule_options.gain is progress, {wanted.by} makes its tasks, and propose.students.sets is "
            f"{sets}: progress at tasks that are made is measured by students.",
            hint="Set propose.students.sets = 2 or more, leave it out, or set propose.by = bandit with "
            "propose.options.gain = progress.",
        )
