"""Progress by students: copies of the parent that are trained on what was proposed, measured, and thrown away."""

import asyncio
import gc
import json
import shutil
import signal
import sqlite3
from contextlib import closing
from types import SimpleNamespace

import doors
import pytest
import tiny_folder
import tiny_worlds
import typer
from lamarck.cli.evolve import check
from lamarck.cli.evolve import run as evolve
from lamarck.cli.evolving import students as module
from lamarck.cli.evolving.home import Home
from lamarck.cli.evolving.playing import attempts
from lamarck.cli.evolving.progress import Measured, Student
from lamarck.cli.evolving.proposing import Proposing
from lamarck.cli.evolving.roles import Roles
from lamarck.cli.evolving.verifying import Verifying
from lamarck.cli.evolving.words import said
from lamarck.cli.train_fit import fitted
from lamarck.cli.train_watch import TrainWatch
from lamarck.config_evolve import EvolveConfig
from lamarck.errors import EnvironmentFailure, ModelError, TrainingError
from lamarck.releases import Releases
from lamarck.rundir import RunDirectory
from lamarck.training import stage
from lamarck.training.headers import ALIKE
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
    gc.unfreeze()


def evolved(world, name, *, resume=False, **settings):
    config = EvolveConfig.load(None, world[1] | settings)
    check(config)
    home = Home(world[0] / name)
    records = evolve(config, home, resume=resume, quiet=True)
    # Memory is given back after each training, which goes through all there is: most of that was imported by now.
    gc.collect()
    gc.freeze()
    return SimpleNamespace(home=home, config=config, records=records)


def watched(patch):
    """Return the labels of what is trained and played by students from now on, and how each was trained."""
    heard, trained = [], []
    fit, play = module.fitted, module.played

    def trains(config, directory, watch, **more):
        heard.append(f"{directory.path.parent.name}: training{' goes on' if more['resume'] else ''}")
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
    told = json.loads((taught.home.generation(1) / "propose.json").read_text())["figures"]
    kept, choice = set(told["kept"]), set(told["choice"])
    assert len(exam) == 8 and all(one.startswith("train/") for one in exam)
    assert len(choice) == 4 and not exam & choice
    assert exam < kept and {one for one in kept if one.startswith("train/")} == exam
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


def again(taught, folder, number, **settings):
    """Return a student of that generation that is measured anew, with other settings, in a copy of the home."""
    home = Home(shutil.copytree(taught.home.path, folder / "home"))
    found = Measured.read(home.generation(1))
    found.having(number, Student(ids=found.students[number].ids)).write(home.generation(1))
    return home, taught.config.model_copy(update={"train": taught.config.train.model_copy(update=settings)})


def measured(home, config, number):
    with Releases.open(home.path) as releases:
        proposing = Proposing(home, config, Verifying(home, config))
        students = module.Students(home, config, releases, proposing, quiet=True)
        asyncio.run(students.measure(home.kept()[0]))
    return Measured.read(home.generation(1)).students[number]


def test_what_was_played_and_teaches_nothing_is_worth_nothing(taught, tmp_path):
    """And nobody knows what it is worth where an attempt was left out, as by a budget."""
    home, config = again(taught, tmp_path, 2)
    assert measured(home, config, 2).progress == 0
    folder = home.generation(1)
    found = Measured.read(folder)
    found.having(2, Student(ids=found.students[2].ids)).write(folder)
    with closing(sqlite3.connect(folder / "collect" / "store.db")) as store, store:
        (one, *_), *_ = store.execute("SELECT id FROM trajectories WHERE task_id = 'made/9'").fetchall()
        store.execute("DELETE FROM trajectories WHERE id = ?", (one,))
    student = measured(home, config, 2)
    assert student.measured and student.progress is None and "all got the same" in student.why


@pytest.mark.parametrize(
    ("section", "settings", "why"),
    [
        ("samples", {"splits": ("dev",)}, "of split train"),
        ("samples", {"max_tokens": 1}, "longer than 1 tokens"),
        ("grpo", {"credit": "attribution"}, "needs a label of each step"),
    ],
)
def test_what_cannot_be_trained_on_is_not_measured(taught, tmp_path, section, settings, why):
    part = getattr(taught.config.train, section).model_copy(update=settings)
    home, config = again(taught, tmp_path, 0, **{section: part})
    student = measured(home, config, 0)
    assert student.measured and student.progress is None and why in student.why


def test_who_makes_no_task_is_told_so(taught, tmp_path):
    proposing = SimpleNamespace(self_made=lambda number: ())
    students = module.Students(Home(tmp_path), taught.config, None, proposing, quiet=True)
    told = asyncio.run(students.measure(taught.records[0]))["students"]
    assert (told["sets"], told["why"], told["tokens"]) == ([], "no task was made", 0)


def test_killed_it_goes_on_and_does_nothing_twice(world, monkeypatch):
    """Killed in a training, stopped in one, killed in an exam, and before a folder was removed; memory learns as well.

    Infrastructure has ended an attempt by then: it stays lost, or the first student would go on with other rows.
    """
    more = {"propose.options": {"each": 2}, "propose.students.updates": 2, "propose.students.tasks": 2}
    more |= {"learn.memory": True, "grow": "latest", "run.collect.attempts": 1}
    heard, _ = watched(monkeypatch)
    fit, play, remove, reset, lost = module.fitted, module.played, shutil.rmtree, doors.Door.reset, []
    memories = []

    def broken(self, seed, task):
        if task.id == "made/0" and not lost:
            lost.append(task)
            raise EnvironmentFailure("as if the world had crashed")
        return reset(self, seed, task)

    def ended(self, summary):
        raise ModelError("as if killed")

    def stopped(config, directory, watch, **parts):
        if directory.path.parent.name == "2":
            signal.raise_signal(signal.SIGINT)
        return fit(config, directory, watch, **parts)

    async def dying(config, folder, label, **parts):
        if folder.parent.name == "2":
            raise ModelError("as if killed")
        return await play(config, folder, label, **parts)

    async def looked_at(config, folder, label, **parts):
        memories.append(config.memory.path)
        return await play(config, folder, label, **parts)

    def gone(place, *parts, **rest):
        if place.name == "2" and place.parent.name == "students":
            raise ModelError("as if killed")
        remove(place, *parts, **rest)

    def stops(said, error=ModelError, resume=True, **patches):
        heard.clear()
        with monkeypatch.context() as patch, pytest.raises(error):
            for (place, name), part in patches.values():
                patch.setattr(place, name, part)
            evolved(world, "killed", resume=resume, **more)
        assert heard == said

    folder = Home(world[0] / "killed").generation(1)
    crash, kill = ((doors.Door, "reset"), broken), ((stage._Stage, "_finish"), ended)
    stops(["before: exam", "1: training"], resume=False, crash=crash, kill=kill)
    assert len(attempts(RunDirectory(folder / "collect"))) == 15
    said = ["1: training goes on", "1: exam", "2: training"]
    stops(said, error=typer.Exit, ctrl_c=((module, "fitted"), stopped))
    assert TrainDirectory(folder / "students" / "2" / "train").last_checkpoint() is not None
    stops(["2: training goes on"], kill=((module, "played"), dying))
    stops(["2: exam"], kill=((module.shutil, "rmtree"), gone))
    heard.clear()
    monkeypatch.setattr(module, "played", looked_at)
    found = evolved(world, "killed", resume=True, **more, generations=2)
    assert heard == ["before: exam", "1: training", "1: exam", "2: training", "2: exam"]  # of the second generation
    assert not any((found.home.generation(number) / "students").exists() for number in (1, 2))
    assert len(attempts(RunDirectory(folder / "collect"))) == 15
    first = Measured.read(folder)
    assert [one.updates for one in first.students] == [2, 2]
    assert found.records[0].figures["collect"]["students"] == first.figures()
    # The proposer is told of it before it proposes again.
    state = json.loads((found.home.generation(2) / "propose.json").read_text())["state"]
    worth = [one.progress for one in first.students for _ in range(2)]
    assert state["progress"] == {f"made/{number}": gain for number, gain in enumerate(worth)}
    # Students recall what their parent does, from copies.
    assert memories == [str(found.home.generation(2) / "students" / name / "memory") for name in ("before", "1", "2")]
    with Releases.open(found.home.path) as releases:
        assert found.records[1].parent == found.records[0].candidate != found.records[0].parent
        assert releases.verify(found.records[1].parent) is None


@pytest.mark.parametrize("kind", ["sft", "dpo", "kto", "grpo"])
def test_whoever_trains_says_that_there_is_nothing_to_learn(taught, world, kind, tmp_path):
    """Of the last set, where nothing helps."""
    config = taught.trained[2].model_copy(update={"kind": kind, "start": None})
    with pytest.raises(TrainingError) as caught, TrainWatch("", quiet=True) as watch:
        fitted(config, TrainDirectory(tmp_path / "out"), watch, resume=False)
    assert caught.value.kind == ALIKE
