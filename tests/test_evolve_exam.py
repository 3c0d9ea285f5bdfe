"""What students are measured by: the exam, sets of tasks, progress; by hand, without any training."""

import asyncio

import doors
import pytest
from doors import door
from figures import episode
from lamarck.agent.proposers.proposer import Outcome
from lamarck.cli.evolve import check
from lamarck.cli.evolve import run as evolve
from lamarck.cli.evolving.exam import exam_of
from lamarck.cli.evolving.home import Home
from lamarck.cli.evolving.progress import Exam, Measured, Student, with_progress
from lamarck.cli.evolving.proposing import Proposing
from lamarck.cli.evolving.verifying import Verifying
from lamarck.config_evolve import EvolveConfig
from lamarck.config_propose import ProposeConfig
from lamarck.errors import ConfigError
from lamarck.evals.figures.outcomes import outcome_of, samples_of
from lamarck.evals.proposed.known import said as says

SETTINGS = {
    "gated": False,
    "learn.weights": False,
    "held_out.split": "test",
    "propose.by": "doors:Teacher",
    "propose.model": "scripted:unasked.jsonl",
    "propose.reward": "progress",
    "propose.students.sets": 2,
    "run.model.name": "embedded",
    "run.taskset.name": "doors:Doors",
    "run.taskset.options": {},
}


def exam(lost="", **solved):
    return Exam(solved=solved, why=lost)


def test_progress_by_hand(tmp_path):
    """Compared are the tasks that both have an outcome of."""
    student = Student(ids=("x", "y")).examined(exam(a=0.5, b=0.0, c=1.0), exam(a=1.0, b=0.5, d=1.0), 10)
    assert (student.progress, student.updates, student.measured) == (0.5, 10, True)
    nobody = Student(ids=("z",)).examined(exam(a=1.0), exam(a=1.0, lost="2 of 8 attempts have no outcome"), 10)
    assert nobody.progress is None and nobody.measured and "2 of 8" in nobody.why
    assert Student(ids=()).examined(exam(a=1.0), exam(b=1.0), 1).progress is None
    outcomes = [Outcome(task_id=one, attempts=1, solved=1) for one in "xyz"]
    assert with_progress(tmp_path, outcomes) == tuple(outcomes)
    Measured(parent=exam(a=1.0), students=(student, nobody)).write(tmp_path)
    assert [one.progress for one in with_progress(tmp_path, outcomes)] == [0.5, 0.5, None]


def test_what_infrastructure_has_taken_is_no_measurement():
    tries = [("a", True), ("a", False), ("b", True), ("b", True), ("c", False)]
    ended = [outcome_of(episode(task, sample=n % 2, success=won, tokens=4)) for n, (task, won) in enumerate(tries)]
    found, solved = Exam.of(samples_of(ended), 3), {"a": 0.5, "b": 1.0, "c": 0.0}
    assert (found.solved, found.mean, found.why, found.usage.tokens) == (solved, 0.5, "", 20)
    lost = outcome_of(episode("c", sample=1, failed=True)), outcome_of(episode("d", failed=True))
    found = Exam.of(samples_of([*ended, *lost]), 4)
    assert (found.solved, found.why) == (solved, "")  # a quarter may be lost
    assert "2 of 5 tasks have no outcome, more than 25 %" in Exam.of(samples_of([*ended, *lost]), 5).why
    assert "1 of 3" in Exam.of(samples_of(ended[:4]), 3).why
    unknown = [outcome_of(episode("a", success=None))]
    assert Exam.of(samples_of(unknown), 1).why == "no attempt has an outcome"


@pytest.mark.parametrize(("tasks", "sets", "sizes"), [(8, 2, [4, 4]), (7, 3, [2, 2, 3]), (2, 3, [1, 1]), (0, 2, [])])
def test_tasks_are_dealt_in_order(tasks, sets, sizes):
    ids = [str(number) for number in range(tasks)]
    found = Measured.dealt(ids, sets)
    assert [len(one.ids) for one in found.students] == sizes
    assert [ident for one in found.students for ident in one.ids] == ids
    assert not any(one.measured for one in found.students)


def test_a_set_without_another_is_not_measured():
    (alone,) = Measured.dealt(["x"], 2).students
    assert alone.measured and alone.progress is None and "no other set" in alone.why
    (wanted,) = Measured.dealt(["x"], 1).students
    assert not wanted.measured
    assert Measured(students=()).figures()["why"] == "no task was made"


def test_the_exam_is_drawn_once_and_of_nothing_that_is_held_out():
    given = [door(number) for number in range(12)]
    wanted = ProposeConfig.model_validate({"by": "household", "seed": 3, "students": {"sets": 2, "tasks": 4}})
    found = exam_of(lambda: given, (), wanted)
    assert len(found) == 4 and found == exam_of(lambda: given, (), wanted)
    assert found != exam_of(lambda: given, (), wanted.model_copy(update={"seed": 4}))
    copies = [task.model_copy(update={"id": f"copy/{n}", "split": "test"}) for n, task in enumerate(given[1:])]
    assert exam_of(lambda: given, copies, wanted) == (given[0],)
    with pytest.raises(ConfigError, match="all 11 given tasks say what a held-out one says"):
        exam_of(lambda: given[1:], copies, wanted)
    assert exam_of(lambda: pytest.fail("asked"), (), ProposeConfig()) == ()


@pytest.mark.parametrize("by", ["relabelled", "doors:Teacher"])
def test_the_exam_leaves_given_tasks_to_who_may_play_them(by):
    copies = [door(0).model_copy(update={"id": f"copy/{n}"}) for n in range(6)]
    wanted = ProposeConfig.model_validate({"by": by, "students": {"sets": 2, "tasks": 4}})
    with pytest.raises(ConfigError, match=r"propose\.students\.tasks is 4, which leaves none of the 6 given tasks"):
        exam_of(lambda: copies, (), wanted)
    assert len(exam_of(lambda: [*copies, door(1), door(2), door(3), door(4)], (), wanted)) == 4


def test_an_exam_of_all_given_tasks_is_refused_at_the_start(tmp_path):
    config, home = EvolveConfig.load(None, SETTINGS | {"propose.students.tasks": 12}), Home(tmp_path / "home")
    check(config)
    with pytest.raises(ConfigError, match=r"propose\.students\.tasks is 12"):
        evolve(config, home, resume=False, quiet=True)
    assert not home.path.exists()


def test_nobody_may_choose_what_says_the_same_as_the_exam(tmp_path, monkeypatch):
    tasks = doors.Doors.tasks

    def twice(self, split, **more):
        found = tasks(self, split, **more)
        return [*found, *(task.model_copy(update={"id": f"copy/{task.id}"}) for task in found)]

    monkeypatch.setattr(doors.Doors, "tasks", twice)
    (tmp_path / "unasked.jsonl").write_text('"unasked"\n')
    monkeypatch.chdir(tmp_path)
    config, home = EvolveConfig.load(None, SETTINGS), Home(tmp_path / "home")
    proposing = Proposing(home, config, Verifying(home, config))

    async def choice():
        async with proposing._proposer(config.propose, [], None) as teacher:
            return teacher.materials.tasks

    told = {says(task) for task in proposing.exam()}
    assert told and (found := asyncio.run(choice())) and not told & {says(task) for task in found}


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        ({"propose.students.sets": 1}, "reward is progress, and propose.students.sets is 1"),
        ({"propose.tasks": 1}, "propose.tasks is 1, and what a set of tasks teaches is measured beside another"),
        ({"propose.by": "bandit"}, "students.sets is 2, and propose.by = bandit makes no tasks"),
        (
            {"learn.by": "verdict", "run.verify.by": "rule", "run.verify.withhold": True},
            "propose.students measures by how the world says",
        ),
        ({"run.model.name": "random"}, "students.sets is 2, and the weights of random cannot be trained"),
        (
            {
                "propose.model": None,
                "propose.students.sets": 1,
                "propose.options": {"rule_options": {"gain": "progress"}},
            },
            "rule_options.gain is progress, doors:Teacher makes its tasks, and propose.students.sets is 1",
        ),
    ],
)
def test_students_that_measure_nothing_are_refused(settings, line):
    with pytest.raises(ConfigError, match=line):
        check(EvolveConfig.load(None, SETTINGS | settings))
