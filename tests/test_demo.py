"""The demo: arms beside generation 0 on the same held-out games, at a scale where nothing can be learned."""

import json

import pytest
import tiny_folder
from shell import complaint, lamarck


@pytest.fixture(scope="module")
def shown(tmp_path_factory):
    folder = tmp_path_factory.mktemp("demo")
    tiny_folder.base(folder / "tiny")
    # A tiny policy that knows none of the words solves what chance solves; that it may be asked is enough.
    model = ["--model", f"embedded:{folder / 'tiny'}", "--seed", "3"]
    small = ["--generations", "1", "--games", "3", "--held-out", "3", "--max-steps", "3"]
    line = ["demo", *model, *small, "--out", folder / "out"]
    return folder / "out", line, json.loads(lamarck(*line, "--json").stdout)


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
    assert json.loads(lamarck(*line, "--resume", "--json").stdout)["arms"] == found["arms"]


def test_unknown_arms_are_named():
    assert "no arm luck; there are: memory, weights, both" in complaint("demo", "--arms", "luck")
