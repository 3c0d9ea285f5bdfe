"""Generated games: all winnable, none in two splits, the same everywhere."""

import hashlib
import json
import statistics
import subprocess
import sys

import pytest
from lamarck.errors import ConfigError, EnvironmentFailure
from lamarck.evals.alfworld_check import check_games
from lamarck.evals.alfworld_game import CATEGORIES
from lamarck.evals.household import HouseholdTaskset, export_games
from lamarck.evals.household_generate import make_game
from lamarck.evals.household_world import SIZES, SPLITS
from lamarck.task_contents import bare

FINGERPRINT = """
import hashlib, json
from lamarck.evals.household_generate import make_game
games = [make_game(seed=3, size=s, split=p, kind=k, index=i).data
         for i, (s, p, k) in enumerate([("tiny", "train", "pick_heat_then_place_in_recep"),
                                        ("small", "test", "pick_two_obj_and_place"),
                                        ("full", "valid_unseen", "look_at_obj_in_light")])]
print(hashlib.sha256(json.dumps(games).encode()).hexdigest())
"""


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("split", SPLITS)
def test_every_walkthrough_wins(size, split):
    report = check_games(HouseholdTaskset(size=size, games=18), split)
    assert (report.games, report.won, report.failures) == (18, 18, [])


def test_no_game_is_in_two_splits():
    found = {}
    for split in SPLITS:
        for kind in CATEGORIES:
            for index in range(100):
                made = make_game(seed=0, size="tiny", split=split, kind=kind, index=index)
                found.setdefault(made.signature, set()).add(split)
    assert max(len(splits) for splits in found.values()) == 1
    assert len(found) > 2000


def test_unseen_rooms_are_unseen():
    def layouts(split):
        games = [make_game(seed=0, size="small", split=split, kind=CATEGORIES[0], index=n) for n in range(100)]
        return {(game.plot.layout.room, game.plot.layout.places) for game in games}

    assert not layouts("train") & layouts("valid_unseen")


def test_the_same_bytes_whatever_the_hash_seed():
    prints = set()
    for hash_seed in ("0", "1", "4242"):
        done = subprocess.run(
            [sys.executable, "-c", FINGERPRINT],
            env={"PYTHONHASHSEED": hash_seed, "PATH": "/usr/bin"},
            capture_output=True,
            text=True,
            check=True,
        )
        prints.add(done.stdout.strip())
    assert len(prints) == 1


def test_full_games_have_the_measure_of_released_ones():
    taskset = HouseholdTaskset(size="full", games=90)
    games = [taskset.game(task) for task in taskset.tasks("train")]
    assert 20 <= statistics.mean(len(game.receptacles) for game in games) <= 25
    assert 36 <= statistics.mean(len(game.objects) for game in games) <= 44
    drawers = [
        (r in game.openable) for game in games for r, name in enumerate(game.receptacles) if name.startswith("drawer")
    ]
    assert 0.4 <= statistics.mean(drawers) <= 0.6


def test_a_task_is_the_same_game_on_any_worker():
    one, other = HouseholdTaskset(size="tiny"), HouseholdTaskset(size="full")
    task = one.tasks("train", limit=5)[4]
    text = one.environment().reset(task=task)
    assert other.environment().reset(task=task) == text
    assert task.goal in text[0]
    assert task == one.tasks("train", limit=5)[4]
    assert len({t.id for t in one.tasks("train")}) == 120
    assert one.tasks("train", seed=1, limit=1)[0].id != one.tasks("train", limit=1)[0].id


def test_exported_games_carry_what_alfworld_expects(tmp_path):
    [file] = export_games(tmp_path, split="train", size="tiny", games=1)
    data = json.loads(file.read_text())
    assert set(data) == {"pddl_domain", "grammar", "pddl_problem", "solvable", "walkthrough"}
    about = json.loads((file.parent / "traj_data.json").read_text())
    assert about["task_type"] in CATEGORIES and file.parent.parent.name.startswith(about["task_type"])
    assert hashlib.sha256(data["pddl_problem"].encode()).hexdigest().startswith(about["task_id"])


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"size": "huge"}, "no size 'huge'; there are: nano, tiny, small, room, full"),
        ({"types": ["dance"]}, "no task type 'dance'; there are: pick_and_place_simple"),
        ({"games": 0}, "at least one game"),
    ],
)
def test_wrong_options_are_named(options, words):
    with pytest.raises(ConfigError, match=words):
        HouseholdTaskset(**options)


def test_wrong_splits_and_tasks_are_named():
    taskset = HouseholdTaskset(size="tiny", games=1)
    with pytest.raises(ConfigError, match="no split 'dev'; there are: train, valid_seen"):
        taskset.tasks("dev")
    task = taskset.tasks("train")[0].model_copy(update={"options": {}})
    with pytest.raises(EnvironmentFailure, match="no household task"):
        taskset.game(task)


def test_a_task_says_by_its_content_which_game_it_is():
    taskset = HouseholdTaskset(size="nano", types=["look_at_obj_in_light"], games=40)
    found = {split: {bare(task) for task in taskset.tasks(split)} for split in ("train", "valid_unseen", "test")}
    assert all(len(names) == 40 for names in found.values())
    assert not found["train"] & (found["valid_unseen"] | found["test"])
