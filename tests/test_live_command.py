"""`lamarck train live` through the command line."""

import asyncio
import json
import sys
import traceback

import pytest
import tiny_model
import torch
from lamarck.cli.app import app
from lamarck.cli.evolving.origin import of_adapter
from lamarck.cli.evolving.playing import attempts
from lamarck.cli.live_collect import Runs
from lamarck.config import RunConfig
from lamarck.config_training import TrainConfig
from lamarck.core import Message, Step, Task, Trajectory
from lamarck.errors import ConfigError
from lamarck.rundir import RunDirectory
from lamarck.store import Store
from lamarck.task_contents import files_beside
from lamarck.training.adapters import Adapter
from lamarck.training.live_parts import Draw
from lamarck.training.semi_online import reach
from lamarck.training.summary import Summary
from lamarck.weights import read_manifest, trained_on
from typer.testing import CliRunner

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


WALK = """
class Walk:
    concurrency = "inline"
    goal = "reach two"
    def reset(self, seed, task):
        self.n = 0
        return self.see(), {"admissible_actions": ["left", "right"]}
    def see(self):
        return f"at {self.n}"
    def step(self, action):
        self.n = max(0, self.n + (1 if action == "right" else -1))
        won = self.n == 2
        return self.see(), float(won), won, False, {"admissible_actions": ["left", "right"], "success": won}
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Return a folder with a world and a model that can be asked by chat."""
    folder = tmp_path_factory.mktemp("command")
    (folder / "live_walk.py").write_text(WALK)
    net, words = tiny_model.model(), tiny_model.tokenizer()
    net.config.max_position_embeddings = 1024
    words.chat_template = "{% for m in messages %}{{ m.content }} <end> {% endfor %}"
    net.save_pretrained(folder / "tiny")
    words.save_pretrained(folder / "tiny")
    return folder


def command(*arguments, code=0):
    done = CliRunner().invoke(app, ["train", "live", *arguments, "--json"], catch_exceptions=code == 0)
    assert done.exit_code == code, (done.output, done.exception, traceback.format_exception(done.exception))
    return json.loads(done.stdout)


ASK = ("--model", "tiny", "--rows", "step", "--batch", "4", "--accumulate", "1", "--updates", "2", "--rank", "4",
       "--set", "report_to=[]", "--set", "live.asks=3", "--tasks", "2", "--samples", "4")  # fmt: skip


def test_the_command_plays_trains_and_goes_on(place, monkeypatch, one_thread):
    monkeypatch.chdir(place)
    world = ("--taskset", "live_walk:Walk", "--max-steps", "3", "--set", "run.taskset.options.episodes=6")
    found = command(*world, *ASK, "--rounds", "1", "--out", "lived")
    assert [one["number"] for one in found["rounds"]] == [1] and found["rounds"][0]["tokens"] > 0
    first = Adapter.read(place / "lived/rounds/001/train/adapter")
    assert Adapter.read(place / "lived/adapter").id == first.id
    told = Summary.read(place / "lived/summary.json")
    assert (told.best, told.adapter, told.data.attempts) == (first.id, first.id, found["rounds"][0]["attempts"])
    assert told.next_command.endswith("--adapter lived/best") and Adapter.read(place / "lived/best").id == first.id
    again = command("--resume", "--out", "lived", "--rounds", "2")
    told = Summary.read(place / "lived/summary.json")
    assert told.data.attempts == sum(one["attempts"] for one in again["rounds"]) and len(told.data.runs) > 1
    assert f"# Adapter {told.best[:12]} on tiny" in (place / "lived/README.md").read_text()
    assert again["rounds"][0] == found["rounds"][0] and again["rounds"][1]["policy"] == first.policy_version
    assert Adapter.read(place / "lived/adapter").parent == first.id
    played = [RunDirectory(folder).load_config() for folder in sorted((place / "lived/rounds").glob("*/play-*"))]
    assert len({one.collect.seed for one in played}) == len(played) and played[0].model.adapter is None
    assert played[0].taskset.ids == ("live_walk:Walk/0", "live_walk:Walk/1") != played[-1].taskset.ids
    assert played[-1].model.adapter == str(first.folder.resolve()) and played[0].model.temperature == 1.0
    with pytest.raises(ConfigError, match=r"run\.model\.name is random, but live rounds play with the model"):
        more = [*world, *ASK, "--set", "run.model.name=random", "--out", "other"]
        CliRunner().invoke(app, ["train", "live", *more], catch_exceptions=False)
    monkeypatch.setitem(sys.modules, "wandb", None)  # not installed
    for flags in (
        ("--credit", "nope"),
        ("--report-to", "wandb"),
        ("--set", "grpo.objective=nope"),
        ("--set", "grpo.rewards.nope=1"),
        ("--set", "grpo.reward_bounds=[1, 0]"),
    ):
        with pytest.raises(ConfigError, match=r"nope|wandb, which is not installed|the lower one comes first"):
            CliRunner().invoke(app, ["train", "live", *world, *ASK, *flags, "--out", "other"], catch_exceptions=False)
    assert not (place / "other").exists()
    shown = CliRunner().invoke(app, ["train", "live", "--resume", "--out", "lived"], catch_exceptions=False)
    assert f"Try it with: {told.next_command}" in shown.stdout.splitlines() and "embedded:tiny" in told.next_command
    for flag, told in (
        ("--tasks", r"live\.tasks was 2 and is 9 now"),
        ("--max-steps", r"solver\.max_steps was 3 and is 9 now"),
    ):
        with pytest.raises(ConfigError, match=told):
            CliRunner().invoke(app, ["train", "live", "--resume", "--out", "lived", flag, "9"], catch_exceptions=False)


DOORS = """
from pathlib import Path
from lamarck.core import Task
from live_walk import Walk
class Doors:
    name = "doors"
    def splits(self):
        return ("train",)
    def tasks(self, split, *, seed=0, limit=None):
        known = [Task(id=f"door/{n}", goal="reach two", environment=self.name, split=split, seed=n,
                      options={"door": f"doors/{n}.door"}) for n in range(6)]
        return known[:limit]
    def path(self, task):
        return Path(task.options["door"])
    def environment(self):
        return Walk()
"""


def test_an_adapter_names_the_tasks_that_were_played_by_their_files(place, monkeypatch, one_thread):
    monkeypatch.chdir(place)
    (place / "live_doors.py").write_text(DOORS)
    (place / "doors").mkdir()
    for n in range(6):
        (place / "doors" / f"{n}.door").write_text(f"door {n}")
    world = ("--taskset", "live_doors:Doors", "--max-steps", "3")
    found = command(*world, *ASK, "--rounds", "2", "--out", "opened")
    runs = [RunDirectory(folder) for folder in sorted((place / "opened/rounds").glob("*/play-*"))]
    named = [files_beside(directory.path) for directory in runs]
    # What was trained on in a round is named, with what the rounds before it were trained on.
    each = [trained_on(read_manifest(place / "opened" / one["adapter"])) for one in found["rounds"]]
    assert each[0] and each[0] < each[1] and each[1] == trained_on(read_manifest(place / "opened/adapter"))
    files = {name for known in named for name in known.values()}
    assert files & each[0] and files & each[1] > files & each[0]
    told = of_adapter(place / "opened/adapter", "adapter")
    assert told.unknown == () and set(told.seen) == each[1]
    # Who follows experts learns from their tasks, and the files of these are named beside the experts' run.
    expert = next(run.path for run in runs if any(one.success for one in attempts(run)))
    command("--expert", str(expert), "--patches", "1", *ASK, "--rounds", "1", "--out", "behind")
    behind = trained_on(read_manifest(place / "behind/adapter"))
    assert behind and files & behind


def test_the_command_follows_experts_without_a_world(place, monkeypatch, one_thread):
    monkeypatch.chdir(place)
    ask = Message(role="user", content="look")
    way = [(ask,), (ask, Message(role="assistant", content="right"), Message(role="user", content="door"))]
    steps = tuple(
        Step(index=n, observation="o", messages=sent, action="right", completion="right", admissible=("left", "right"))
        for n, sent in enumerate(way)
    )
    experts = [
        Trajectory(id=f"e{n}", run_id="x", task=Task(id=f"x{n}", goal="", environment="e"), steps=steps,
                   stop="terminated", reward=1.0, success=True)
        for n in range(3)
    ]  # fmt: skip
    with Store.open(place / "experts.db") as store:
        for one in experts:
            store.finish(one)
    found = command("--expert", "experts.db", "--patches", "1", *ASK, "--rounds", "1", "--out", "followed")
    [only] = found["rounds"]
    assert only["attempts"] == 8 * only["asks"] and only["informative"] >= 2
    with Store.open(place / "followed/rounds/001/play-01/store.db") as store:
        kept = list(store.trajectories())
    assert {one.parent for one in kept} == {"e0", "e1"} and reach(kept).progress < 1
    assert all(one.steps[0].policy_version == only["policy"] for one in kept)
    with Store.open(place / "others.db") as store:
        store.finish(experts[1])
    resumed = ["--resume", "--out", "followed", "--rounds", "2"]
    with pytest.raises(ConfigError, match=r"others than at its start, when they were those of .*experts\.db\."):
        CliRunner().invoke(app, ["train", "live", *resumed, "--expert", "others.db"], catch_exceptions=False)
    for text, told in (("{", "cannot be read"), ('{"attempts": "x"}', "names no experts"), ("[1]", "names no experts")):
        (place / "followed/experts.json").write_text(text)
        with pytest.raises(ConfigError, match=rf"experts\.json {told}"):
            CliRunner().invoke(app, ["train", "live", *resumed], catch_exceptions=False)


TORN = """
import pathlib
from live_walk import Walk
class Torn(Walk):
    def step(self, action):
        if pathlib.Path("torn").exists():
            raise OSError("the world is down")
        return super().step(action)
"""


def test_what_infrastructure_ended_is_played_again(place, monkeypatch):
    monkeypatch.chdir(place)
    (place / "live_torn.py").write_text(TORN)
    (place / "torn").touch()
    run = RunConfig.model_validate(
        {
            "taskset": {"name": "live_torn:Torn", "options": {"episodes": 2}},
            "model": {"name": "first"},
            "solver": {"max_steps": 2},
            "collect": {"attempts": 1, "concurrency": 1},
        }
    )
    train = TrainConfig.model_validate({"kind": "grpo", "live": {"rounds": 1, "tasks": 2, "samples": 2}})
    player, draw = Runs(run, train, place / "torn-out", quiet=True), Draw(1, 0, 0)
    ended = asyncio.run(player.collect(draw, None))
    assert len(ended) == 4 and all(one.failure is not None for one in ended)
    (place / "torn").unlink()
    again = asyncio.run(player.collect(draw, None))
    assert sum(one.failure is None for one in again) == 4
    assert asyncio.run(player.collect(draw, None)) == again


def test_wrong_requests_are_refused_before_anything_is_played(place, monkeypatch):
    monkeypatch.chdir(place)

    def refused(*arguments):
        with pytest.raises(ConfigError) as error:
            CliRunner().invoke(app, ["train", "live", *arguments], catch_exceptions=False)
        return str(error.value)

    assert "--out is missing" in refused()
    assert "validate_share is for stored attempts" in refused("--out", "no", "--set", "validate_share=0.5")
    wrong = refused("--out", "no", "--set", "run.taskset.split=valid_seen")
    assert "split valid_seen is to be played" in wrong
    assert "no training in no to resume" in refused("--out", "no", "--resume")
    assert "live.fresh = 1 replays none" in refused("--out", "no", "--store", "experts.db")
    assert "--patches is for expert attempts" in refused("--out", "no", "--patches", "2")
    assert not (place / "no").exists()
