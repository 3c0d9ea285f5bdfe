"""Weights that evolve: a transformer of ten thousand weights learns what to do, and the gate lets it through."""

import pytest
import tiny_model
import torch
from lamarck.cli.evolve import run
from lamarck.cli.evolving.home import Home
from lamarck.cli.evolving.playing import attempts
from lamarck.config_evolve import EvolveConfig
from lamarck.releases import Releases
from lamarck.rundir import RunDirectory
from lamarck.weights import read_manifest

pytestmark = pytest.mark.filterwarnings("ignore")

SIGNS = '''
from lamarck.core import Task


class Signs:
    """Red goes left, blue goes right, twice in a row."""

    name = "signs"

    def splits(self):
        return ("train", "test")

    def tasks(self, split, *, seed=0, limit=None):
        seeds = range(60) if split == "train" else range(1000, 1060)
        return [Task(id=f"{split}/{n}", goal="look", environment="signs", seed=n, split=split) for n in seeds][:limit]

    def environment(self):
        return Sign()


class Sign:
    concurrency = "inline"

    def reset(self, seed, task):
        self.signs = ["red" if task.seed >> bit & 1 else "blue" for bit in range(2)]
        self.at = 0
        return self.signs[0], self.info(False)

    def info(self, won):
        return {"admissible_actions": ["left", "right"], "success": won}

    def step(self, action):
        right = action == ("left" if self.signs[self.at] == "red" else "right")
        self.at += 1
        won = right and self.at == 2
        return ("key" if won else self.signs[1]), float(won), won or not right, False, self.info(won)
'''


SETTINGS = {
    "propose.tasks": 60,
    "learn.memory": False,
    "learn.temperature": 1.0,
    "learn.least": 5,
    "held_out.split": "test",
    "held_out.limit": 60,
    "run.taskset.name": "evolved_signs:Signs",
    "run.solver.max_steps": 3,
    "run.solver.history": 1,
    "run.solver.summary": 0,
    "train.optimizer.learning_rate": 0.01,
    "train.optimizer.epochs": 20.0,
    "train.optimizer.threads": 1,
    "train.adapter.rank": 8,
    "train.report_to": [],
}


@pytest.fixture(scope="module")
def evolved(tmp_path_factory):
    """Two generations of nothing but weights."""
    folder = tmp_path_factory.mktemp("weights")
    (folder / "evolved_signs.py").write_text(SIGNS)
    net, words = tiny_model.model(), tiny_model.tokenizer()
    net.config.max_position_embeddings = 1024
    words.chat_template = "{% for m in messages %}{{ m.content }} <end> {% endfor %}"
    net.save_pretrained(folder / "tiny")
    words.save_pretrained(folder / "tiny")
    settings = SETTINGS | {
        "run.model.name": f"embedded:{folder / 'tiny'}",
        "generations": 2,
    }
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        records = run(EvolveConfig.load(None, settings), Home(folder / "home"), resume=False, quiet=True)
    torch.set_num_threads(before)
    return folder / "home", records


def test_what_was_learned_is_promoted(evolved):
    home, records = evolved
    first = records[0]
    gated = first.figures["gate"]
    assert first.decision == "promote", gated
    assert gated["candidate"]["solved"] > gated["incumbent"]["solved"]
    promoted = [one for one in records if one.decision == "promote"]
    with Releases.open(home) as releases:
        head = releases.head()
        assert (head.id, head.adapter) == (promoted[-1].candidate, promoted[-1].figures["train"]["adapter"])
        assert read_manifest(releases.folder(head.id) / "adapter").id == head.adapter


def test_the_next_generation_plays_with_what_was_promoted(evolved):
    home, records = evolved
    second = RunDirectory(home / "generations" / "002" / "collect").load_config()
    assert records[1].parent == records[0].candidate
    assert second.model.adapter is not None and records[0].candidate[:12] in second.model.adapter
    assert second.model.temperature == 1.0
    played = [one.figures["collect"]["solved"] for one in records]
    assert played[1] > played[0]


def test_an_evolution_may_begin_with_an_adapter(evolved):
    home, _ = evolved
    adapter = home / "generations" / "001" / "train" / "adapter"
    given = {"run.model.name": f"embedded:{home.parent / 'tiny'}", "run.model.adapter": str(adapter)}
    short = {"generations": 1, "propose.tasks": 20, "learn.least": 1, "gated": False}
    config = EvolveConfig.load(None, SETTINGS | given | short)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(home.parent)
        record = run(config, Home(home.parent / "again"), resume=False, quiet=True)[0]
    with Releases.open(home.parent / "again") as releases:
        first = releases.get(record.parent)
        assert first.adapter == read_manifest(adapter).id
        there = str(releases.folder(first.id) / "adapter")
    assert RunDirectory(home.parent / "again" / "generations" / "001" / "collect").load_config().model.adapter == there
    made = read_manifest(home.parent / "again" / "generations" / "001" / "train" / "adapter")
    played = attempts(RunDirectory(home.parent / "again" / "generations" / "001" / "collect"))
    assert {step.policy_version.partition("+")[2] for one in played for step in one.steps} == {first.adapter[:12]}
    assert made.parent == first.adapter and made.id != first.adapter
