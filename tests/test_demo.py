"""The demo: arms beside generation 0 on the same held-out games, at a scale where nothing can be learned."""

import json

import pytest
import tiny_folder
from generations import home
from lamarck.cli.app import app
from lamarck.cli.demo import outcome, share
from lamarck.cli.evolving.home import Home
from lamarck.errors import ConfigError
from typer.testing import CliRunner


def lamarck(*arguments):
    """Call it in this process, which has loaded what plays: others would load it anew."""
    return CliRunner().invoke(app, [str(one) for one in arguments], catch_exceptions=False).stdout


def complaint(*arguments):
    with pytest.raises(ConfigError) as found:
        lamarck(*arguments)
    return str(found.value)


@pytest.fixture(scope="module")
def shown(tmp_path_factory):
    folder = tmp_path_factory.mktemp("demo")
    tiny_folder.base(folder / "tiny")
    # A tiny policy that knows none of the words solves what chance solves: of these games some, so that it remembers.
    model = ["--model", f"embedded:{folder / 'tiny'}", "--seed", "5"]
    small = ["--generations", "1", "--games", "8", "--held-out", "3", "--max-steps", "12"]
    line = ["demo", *model, *small, "--out", folder / "out"]
    return folder / "out", line, json.loads(lamarck(*line, "--json"))


def test_arms_begin_alike_and_play_the_same_games(shown):
    _, _, found = shown
    assert set(found["arms"]) == {"memory", "both"}
    one, other = (found["arms"][name]["generations"][0] for name in ("memory", "both"))
    assert one["parent"] == other["parent"]
    assert one["figures"]["propose"] == other["figures"]["propose"]
    assert one["figures"]["collect"]["solved"] == other["figures"]["collect"]["solved"]


def test_generation_0_is_played_once_and_compared_with_each_arm(shown):
    out, _, found = shown
    root = found["arms"]["both"]["generations"][0]["parent"][:12]
    runs = [out / arm / "evaluations" / root / "held-out-000" / "run.id" for arm in ("memory", "both")]
    assert runs[0].read_text() == runs[1].read_text()
    for pair in found["compared"]["pairs"]:
        assert (pair["first"], pair["tasks"]) == ("generation 0", 3)


def test_a_folder_that_is_taken_is_not_touched(shown):
    _, line, found = shown
    assert "already holds an evolution" in complaint(*line)
    assert json.loads(lamarck("demo", "--resume", "--out", shown[0], "--json"))["arms"] == found["arms"]


def test_what_is_compared_is_called_by_its_generation_and_its_decision(shown):
    _, _, found = shown
    judged = {name: arm["generations"][0]["decision"] for name, arm in found["arms"].items()}
    said = {pair["second"] for pair in found["compared"]["pairs"]}
    assert "promote" not in judged.values()
    assert said == {f"{name} in generation 1 (not promoted)" for name, one in judged.items() if one != "unchanged"}


def test_an_arm_that_had_nothing_judged_stands_in_nobodys_way(shown, tmp_path):
    idle, learned = home(tmp_path / "idle", ["unchanged"]), Home(shown[0] / "memory")
    pair = outcome({"idle": idle, "memory": learned}).pairs[0]
    assert (pair.first, pair.second, pair.tasks) == ("generation 0", "memory in generation 1 (not promoted)", 3)
    assert pair.verdict != "no verdict" and outcome({"idle": idle}) is None


def test_only_whole_runs_are_taken_over(tmp_path):
    first = home(tmp_path / "first", ["refuse"])
    root = first.evaluation(first.kept()[0].parent, "")
    for name in ("held-out-000/played", "held-out-000/store.db", "held-out-001/store.db", "probes.json"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    share(first, Home(tmp_path / "second"), played=True)
    there = tmp_path / "second"
    found = {str(one.relative_to(there / root.relative_to(first.path))) for one in there.rglob("*") if one.is_file()}
    assert found == {"held-out-000/played", "held-out-000/store.db", "probes.json"}


def test_there_has_to_be_a_demo_to_resume(tmp_path):
    assert "there is no demo in" in complaint("demo", "--resume", "--out", tmp_path / "none")
    assert not (tmp_path / "none").exists()


def test_unknown_arms_are_named():
    assert "--arms names no arm at all; there are" in complaint("demo", "--arms", ",")
    assert "no arm luck; there are: memory, weights, both" in complaint("demo", "--arms", "luck")


def test_a_model_that_cannot_be_trained_is_told_how_it_could_take_part(tmp_path):
    assert "Add --arms memory," in complaint("demo", "--model", "follower", "--out", tmp_path / "none")
    assert not (tmp_path / "none").exists()
