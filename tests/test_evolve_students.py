"""Progress by students: copies of the parent that are trained on what was proposed, measured, and thrown away."""

import json
import shutil
from types import SimpleNamespace

import pytest
import tiny_folder
import tiny_worlds
from doors import door
from figures import episode
from lamarck.agent.proposers.proposer import Outcome
from lamarck.cli.evolve import check
from lamarck.cli.evolve import run as evolve
from lamarck.cli.evolving import students as module
from lamarck.cli.evolving.exam import exam_of
from lamarck.cli.evolving.home import Home
from lamarck.cli.evolving.playing import attempts
from lamarck.cli.evolving.progress import Exam, Measured, Student, with_progress
from lamarck.cli.evolving.roles import Roles
from lamarck.cli.evolving.verifying import Verifying
from lamarck.cli.evolving.words import said
from lamarck.cli.train_fit import fitted
from lamarck.cli.train_watch import TrainWatch
from lamarck.config_evolve import EvolveConfig
from lamarck.config_propose import ProposeConfig
from lamarck.errors import ConfigError, ModelError, TrainingError
from lamarck.evals.figures.outcomes import outcome_of, samples_of
from lamarck.releases import Releases
from lamarck.rundir import RunDirectory
from lamarck.training.headers import NOTHING
from lamarck.training.output import TrainDirectory
from lamarck.weights import read_manifest

pytestmark = pytest.mark.filterwarnings("ignore")
SETTINGS = {
    "generations": 1,
    "gated": False,
    "learn.weights": False,
    "propose.by": "doors:Teacher",
    "propose.reward": "progress",
    "propose.students.sets": 2,
    "run.taskset.name": "doors:Doors",
    "run.collect.samples": 4,
    "run.solver.max_steps": 1,
    "train.kind": "grpo",
    "train.optimizer.learning_rate": 0.01,
    "train.optimizer.batch": 8,
    "train.optimizer.accumulate": 1,
    "train.adapter.rank": 4,
}


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """Settings of an evolution at doors, and a folder to work in."""
    folder = tmp_path_factory.mktemp("students")
    settings = tiny_worlds.world(folder) | SETTINGS | {"propose.model": f"scripted:{folder / 'proposer.jsonl'}"}
    (folder / "proposer.jsonl").write_text('"unasked"\n')
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        yield folder, settings


def evolved(world, name, *, resume=False, **settings):
    config = EvolveConfig.load(None, world[1] | settings)
    check(config)
    home = Home(world[0] / name)
    records = evolve(config, home, resume=resume, quiet=True)
    return SimpleNamespace(home=home, config=config, records=records)


def watched(patch):
    """Return the labels of what is trained and played by students from now on, and how each was trained."""
    heard, trained = [], []
    fit, play = module.fitted, module.played

    def trains(config, directory, watch, **more):
        heard.append(f"{directory.path.parent.name}: training")
        trained.append(config)
        return fit(config, directory, watch, **more)

    async def plays(config, folder, label, **more):
        heard.append(f"{folder.parent.name}: exam")
        return await play(config, folder, label, **more)

    patch.setattr(module, "fitted", trains)
    patch.setattr(module, "played", plays)
    return heard, trained


@pytest.fixture(scope="module")
def taught(world):
    """A generation that was taught what is true, what is not, and nothing; its parent has an adapter."""
    adapter = world[0] / "begun"
    tiny_folder.adapter(world[0] / "tiny", adapter, scale=0.01)
    with pytest.MonkeyPatch.context() as patch:
        heard, trained = watched(patch)
        more = {"propose.options": {"sets": ["true", "lies", "nothing"], "each": 4}, "propose.students.sets": 3}
        more |= {"propose.students.updates": 6, "run.model.adapter": str(adapter)}
        found = evolved(world, "taught", **more)
    return SimpleNamespace(**vars(found), heard=heard, trained=trained, adapter=adapter)


def attempts_of(found, place):
    return attempts(RunDirectory(found.home.generation(1) / place))


def test_what_is_worth_learning_from_earns_more(taught):
    told = taught.records[0].figures["collect"]["students"]
    true, lies, nothing = told["sets"]
    assert told["before"] < 1 == true["after"] and true["progress"] == pytest.approx(1 - told["before"])
    assert lies["progress"] < 0 == nothing["progress"] < true["progress"], told
    assert [one["updates"] for one in told["sets"]] == [6, 6, 0] and "all got the same" in nothing["why"]
    rewards = {one.final_observation: one.reward for one in attempts_of(taught, "roles/proposer")}
    worth = [one["progress"] for one in told["sets"] for _ in range(4)]
    assert rewards == {f"made/{number}": gain for number, gain in enumerate(worth)}
    assert f"students {100 * true['progress']:+.0f} {100 * lies['progress']:+.0f} +0 points" in said(taught.records[0])


def test_students_begin_as_the_parent_and_leave_nothing_behind(taught):
    parent, begun = taught.records[0].parent, read_manifest(taught.adapter).id
    assert taught.heard == ["before: exam", "1: training", "1: exam", "2: training", "2: exam", "3: training"]
    with Releases.open(taught.home.path) as releases:
        assert releases.get(parent).adapter == begun == read_manifest(releases.folder(parent) / "adapter").id
        assert releases.verify(parent) is None and len(releases.tree()) == 1
        start = str(releases.folder(parent) / "adapter")
    assert {one.start for one in taught.trained} == {start}
    assert [one.samples.tasks for one in taught.trained] == [
        tuple(f"made/{number}" for number in range(first, first + 4)) for first in (0, 4, 8)
    ]
    assert not (taught.home.generation(1) / "students").exists()


def test_the_exam_is_given_out_nowhere(taught):
    exam = Measured.read(taught.home.generation(1)).parent.solved.keys()
    kept = json.loads((taught.home.generation(1) / "propose.json").read_text())["figures"]["kept"]
    assert len(exam) == 8 and all(one.startswith("train/") for one in exam)
    assert exam < set(kept) and {one for one in kept if one.startswith("train/")} == exam
    assert not exam & {one.task.id for one in attempts_of(taught, "collect")}


def test_what_exams_take_is_in_the_budget(taught, world):
    told = taught.records[0].figures["collect"]
    used = sum(one.usage.tokens for one in attempts_of(taught, "collect"))
    assert told["students"]["tokens"] > 0 and told["tokens"] == used + told["students"]["tokens"]


def test_a_set_that_could_not_be_measured_earns_nothing(taught, tmp_path):
    home = Home(shutil.copytree(taught.home.path, tmp_path / "home"))
    folder = home.generation(1)
    found = Measured.read(folder)
    found.having(1, Student(ids=found.students[1].ids).unmeasured("of an outage")).write(folder)
    shutil.rmtree(folder / "roles")
    figures = Roles(home, taught.config, Verifying(home, taught.config)).keep(taught.records[0])
    assert figures["roles"]["proposer"]["attempts"] == 8
    assert figures["roles"]["proposer"]["left_out"] == {"of sets whose progress could not be measured": 4}
    paid = {one.final_observation for one in attempts(RunDirectory(folder / "roles" / "proposer"))}
    assert paid == {f"made/{number}" for number in (*range(4), *range(8, 12))}


def test_killed_it_goes_on_and_does_nothing_twice(world, monkeypatch):
    """Killed in the exam of the second student, then where the second was measured and its folder is still there."""
    more = {"propose.options": {"each": 2}, "propose.students.updates": 2, "propose.students.tasks": 2}
    more |= {"run.verify.by": "doors:Eye"}
    heard, _ = watched(monkeypatch)
    play, remove = module.played, shutil.rmtree

    async def dying(config, folder, label, **parts):
        if folder.parent.name == "2":
            raise ModelError("as if killed")
        return await play(config, folder, label, **parts)

    def gone(place, *parts, **rest):
        if place.name == "2" and place.parent.name == "students":
            raise ModelError("as if killed")
        remove(place, *parts, **rest)

    with monkeypatch.context() as patch, pytest.raises(ModelError):
        patch.setattr(module, "played", dying)
        evolved(world, "killed", **more)
    assert heard == ["before: exam", "1: training", "1: exam", "2: training"]
    heard.clear()
    with monkeypatch.context() as patch, pytest.raises(ModelError):
        patch.setattr(module.shutil, "rmtree", gone)
        evolved(world, "killed", resume=True, **more)
    assert heard == ["2: exam"]
    heard.clear()
    found = evolved(world, "killed", resume=True, **more, generations=2)
    assert heard == ["before: exam", "1: training", "1: exam", "2: training", "2: exam"]  # of the second generation
    assert not any((found.home.generation(number) / "students").exists() for number in (1, 2))
    first = Measured.read(found.home.generation(1))
    assert found.records[0].figures["verify"]["students"] == first.figures()
    # The proposer is told of it before it proposes again.
    state = json.loads((found.home.generation(2) / "propose.json").read_text())["state"]
    worth = [one.progress for one in first.students for _ in range(2)]
    assert state["progress"] == {f"made/{number}": gain for number, gain in enumerate(worth)}


# By hand.


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
    tries = [("a", True), ("a", False), ("b", True), ("b", True)]
    ended = [outcome_of(episode(task, sample=n % 2, success=won, tokens=5)) for n, (task, won) in enumerate(tries)]
    found = Exam.of(samples_of(ended), 4)
    assert (found.solved, found.mean, found.why, found.usage.tokens) == ({"a": 0.5, "b": 1.0}, 0.75, "", 20)
    lost = outcome_of(episode("b", sample=1, failed=True))
    assert "1 of 4 attempts have no outcome, more than 5 %" in Exam.of(samples_of([*ended[:3], lost]), 4).why
    assert "1 of 4" in Exam.of(samples_of(ended[:3]), 4).why
    unknown = [outcome_of(episode("a", success=None))]
    assert Exam.of(samples_of(unknown), 1).why == "no attempt has an outcome"


@pytest.mark.parametrize("kind", ["sft", "dpo", "kto", "grpo"])
def test_whoever_trains_says_that_there_is_nothing_to_learn(taught, world, kind, tmp_path):
    """Of the last set, where nothing helps."""
    config = taught.trained[2].model_copy(update={"kind": kind, "start": None})
    with pytest.raises(TrainingError) as caught, TrainWatch("", quiet=True) as watch:
        fitted(config, TrainDirectory(tmp_path / "out"), watch, resume=False)
    assert caught.value.kind == NOTHING


@pytest.mark.parametrize(("tasks", "sets", "sizes"), [(8, 2, [4, 4]), (7, 3, [2, 2, 3]), (2, 3, [1, 1]), (0, 2, [])])
def test_tasks_are_dealt_in_order(tasks, sets, sizes):
    ids = [str(number) for number in range(tasks)]
    found = Measured.dealt(ids, sets)
    assert [len(one.ids) for one in found.students] == sizes
    assert [ident for one in found.students for ident in one.ids] == ids


def test_the_exam_is_drawn_once_and_of_nothing_that_is_held_out():
    given = [door(number) for number in range(12)]
    wanted = ProposeConfig.model_validate({"seed": 3, "students": {"sets": 2, "tasks": 4}})
    found = exam_of(lambda: given, (), wanted)
    assert len(found) == 4 and found == exam_of(lambda: given, (), wanted)
    assert found != exam_of(lambda: given, (), wanted.model_copy(update={"seed": 4}))
    copies = [task.model_copy(update={"id": f"copy/{n}", "split": "test"}) for n, task in enumerate(given[1:])]
    assert exam_of(lambda: given, copies, wanted) == (given[0],)
    with pytest.raises(ConfigError, match="all 11 given tasks say what a held-out one says"):
        exam_of(lambda: given[1:], copies, wanted)
    assert exam_of(lambda: pytest.fail("asked"), (), ProposeConfig()) == ()


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        ({"propose.students.sets": 1}, "reward is progress, and propose.students.sets is 1"),
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
def test_students_that_measure_nothing_are_refused(world, settings, line):
    with pytest.raises(ConfigError, match=line):
        check(EvolveConfig.load(None, world[1] | settings))
