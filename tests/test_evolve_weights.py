"""Weights that evolve: a transformer of ten thousand weights learns what to do, and the gate lets it through."""

import json
import shutil

import pytest
import tiny_worlds
from lamarck.cli.evolve import run
from lamarck.cli.evolving.begin import begin
from lamarck.cli.evolving.home import Home
from lamarck.cli.evolving.origin import of_release
from lamarck.cli.evolving.playing import attempts
from lamarck.cli.evolving.starting import check_start, told
from lamarck.config_evolve import EvolveConfig
from lamarck.errors import ConfigError
from lamarck.evals.gate.checks import held_out
from lamarck.releases import Releases
from lamarck.rundir import RunDirectory
from lamarck.weights import read_manifest, trained_on
from pairs_played import evidence, place

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


def beginning_with(evolved, adapter, **more):
    """Settings of a gated evolution that begins with this adapter."""
    model = {"run.model.name": f"embedded:{evolved[0].parent / 'tiny'}", "run.model.adapter": str(adapter)}
    return EvolveConfig.load(None, tiny_worlds.WEIGHTS | SETTINGS | model | more)


@pytest.fixture
def silent(evolved, tmp_path):
    """An adapter that does not tell what it was trained on."""
    found = shutil.copytree(evolved[0] / "generations" / "001" / "train" / "adapter", tmp_path / "silent")
    manifest = json.loads((found / "lamarck.json").read_text())
    del manifest["provenance"]["tasks"]
    (found / "lamarck.json").write_text(json.dumps(manifest))
    return found


def test_an_adapter_tells_what_it_was_trained_on(evolved, monkeypatch):
    home, _ = evolved
    monkeypatch.chdir(home.parent)
    folders = [home / "generations" / name / "train" / "adapter" for name in ("001", "002")]
    first, second = (trained_on(read_manifest(folder)) for folder in folders)
    assert first and first <= second
    check_start(beginning_with(evolved, folders[0]))
    with pytest.raises(ConfigError, match=r"held-out tasks were learned from before, the first is train/\d+"):
        check_start(beginning_with(evolved, folders[0], **{"held_out.split": "train", "run.taskset.split": "test"}))


def test_an_adapter_of_unknown_origin_is_said_first(evolved, silent, tmp_path, monkeypatch):
    home, _ = evolved
    monkeypatch.chdir(home.parent)
    with pytest.raises(ConfigError, match=r"what adapter [0-9a-f]{12} was trained on is not known here"):
        run(beginning_with(evolved, silent), Home(tmp_path / "home"), resume=False, quiet=True)
    assert not (tmp_path / "home").exists()
    collected = str(home / "generations" / "001" / "collect")
    check_start(beginning_with(evolved, silent, **{"gate.waived": ["held-out"]}))
    check_start(beginning_with(evolved, silent, **{"held_out.seen": [collected]}))
    check_start(beginning_with(evolved, silent, gated=False))
    with pytest.raises(ConfigError, match="is no run, no memory and no store"):
        check_start(beginning_with(evolved, silent, **{"held_out.seen": [str(home.parent)]}))


def test_of_what_grew_from_an_unknown_origin_no_task_is_held_out(evolved, silent, tmp_path, monkeypatch):
    monkeypatch.chdir(evolved[0].parent)
    config, home = beginning_with(evolved, silent), Home(tmp_path / "home")
    home.create(config, resume=False)
    collected = str(evolved[0] / "generations" / "001" / "collect")
    with Releases.open(home.path, create=True) as releases:
        begin(config, home, releases, quiet=True)
        [unknown] = of_release(home, releases, releases.head().id).unknown
        assert unknown.startswith("adapter ")
        [line] = told(config, home, releases)
        assert "the gate stays shut" in line and "held_out.seen" in line
        known = of_release(home, releases, releases.head().id, [collected])
        assert known.unknown == () and known.seen
    shut = held_out(evidence(place(a="w" * 20), unknown=[unknown]))
    assert (shut.outcome, "is not known" in shut.sentence) == ("unknown", True)
    seen = {"world/a/t3": "run one"}
    assert held_out(evidence(place(a="w" * 20), seen=seen, unknown=[unknown])).outcome == "fail"
