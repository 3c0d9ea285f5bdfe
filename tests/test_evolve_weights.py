"""Weights that evolve: a transformer of ten thousand weights learns what to do, and the gate lets it through."""

import pytest
import tiny_worlds
from lamarck.cli.evolve import run
from lamarck.cli.evolving.home import Home
from lamarck.cli.evolving.playing import attempts
from lamarck.config_evolve import EvolveConfig
from lamarck.releases import Releases
from lamarck.rundir import RunDirectory
from lamarck.weights import read_manifest

pytestmark = pytest.mark.filterwarnings("ignore")

SETTINGS = {
    "propose.tasks": 60,
    "learn.least": 5,
    "held_out.limit": 60,
    "train.optimizer.learning_rate": 0.01,
    "train.optimizer.epochs": 20.0,
}


@pytest.fixture(scope="module")
def evolved(tmp_path_factory):
    """Two generations of nothing but weights."""
    folder = tmp_path_factory.mktemp("weights")
    settings = tiny_worlds.world(folder) | SETTINGS | {"generations": 2}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        records = run(EvolveConfig.load(None, settings), Home(folder / "home"), resume=False, quiet=True)
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
    config = EvolveConfig.load(None, tiny_worlds.WEIGHTS | SETTINGS | given | short)
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
