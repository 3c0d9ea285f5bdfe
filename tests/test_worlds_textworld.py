"""TextWorld: one game, really made and really played, by its own walkthrough and otherwise."""

import json
import os
import re
import shutil

import pytest
from lamarck.errors import ConfigError, EnvironmentFailure
from lamarck.evals.worlds.textworld import TextWorldTaskset, shown
from lamarck.evals.worlds.textworld_files import found_games, playable
from lamarck.store import Store
from shell import lamarck

SMALL = {"world_size": 2, "nb_objects": 4, "quest_length": 2}


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    """A cache folder with the one game of these tests in it."""
    folder = tmp_path_factory.mktemp("cache")
    before = os.environ.get("LAMARCK_CACHE")
    os.environ["LAMARCK_CACHE"] = str(folder)
    try:
        [task] = TextWorldTaskset(settings=SMALL, games=1).tasks("train")
        yield folder, task
    finally:
        if before is None:
            del os.environ["LAMARCK_CACHE"]
        else:
            os.environ["LAMARCK_CACHE"] = before


@pytest.fixture
def world(cache):
    """Taskset, task, and an environment that is closed afterwards."""
    taskset = TextWorldTaskset(settings=SMALL, games=1, max_steps=6)
    environment = taskset.environment()
    yield taskset, cache[1], environment
    environment.close()


def test_a_made_game_is_won_by_its_walkthrough(world):
    taskset, task, environment = world
    assert re.fullmatch(r"textworld/train/custom-0-[0-9a-f]{8}", task.id), "other settings make another game"
    assert task.category == "custom" and task.goal
    text, info = environment.reset(task=task)
    assert text.startswith(task.goal) and "$$" not in text and ">" not in text
    assert (info["success"], info["score"]) == (False, 0.0) and "look" in info["admissible_actions"]
    walkthrough, rewards = taskset.walkthrough(task), []
    assert len(walkthrough) == 2
    for action in walkthrough:
        assert action in info["admissible_actions"]
        text, reward, terminated, truncated, info = environment.step(action)
        rewards.append(reward)
    assert terminated and not truncated and info["success"] and info["score"] == 1.0 == sum(rewards)
    with pytest.raises(EnvironmentFailure, match="reset first"):
        environment.step("look")
    report = taskset.check()
    assert (report["split"], report["games"], report["won"], report["failures"]) == ("train", 1, 1, [])


def test_what_is_not_understood_has_no_effect(world):
    _, task, environment = world
    _, begun = environment.reset(task=task)
    for bad in ("fly to the moon", "restart", "QUIT", "tw-print everything", "🐢\0", "dance " * 2000):
        text, reward, terminated, truncated, info = environment.step(bad)
        assert (reward, terminated, info["effective"]) == (0.0, False, False), text
        assert info["admissible_actions"] == begun["admissible_actions"]
    assert truncated and not info["success"]


def test_the_same_game_again_in_the_same_object(world):
    taskset, task, environment = world
    walks = []
    for _ in range(2):
        walk = [environment.reset(task=task)]
        walk += [environment.step(action) for action in ("look", "inventory", *taskset.walkthrough(task))]
        walks.append(walk)
    assert walks[0] == walks[1] and walks[0][1][4]["effective"]


def test_games_from_files(cache, tmp_path):
    folder, task = cache
    [story] = (folder / "textworld").glob("custom-0-*.z8")
    (tmp_path / "valid").mkdir()
    shutil.copy(story, tmp_path / "valid" / "a.z8")
    shutil.copy(story.with_suffix(".json"), tmp_path / "valid" / "a.json")
    shutil.copy(story.with_suffix(".json"), tmp_path / "valid" / "b.json")
    (tmp_path / "valid" / "c.json").write_text('{"no": "game"}')
    taskset = TextWorldTaskset(str(tmp_path))
    assert taskset.splits() == ["valid"]
    assert [t.id for t in taskset.tasks("valid")] == ["textworld/valid/valid/a.z8", "textworld/valid/valid/b.json"]
    assert {t.goal for t in taskset.tasks("valid")} == {task.goal}
    # The description alone is compiled, and the game is the same.
    report = taskset.check("valid")
    assert (report["games"], report["won"], report["failures"]) == (2, 2, [])
    single = TextWorldTaskset(str(tmp_path / "valid" / "a.z8"))
    assert single.splits() == ["all"] and [t.options for t in single.tasks("all")] == [{"game": "a.z8"}]
    with pytest.raises(EnvironmentFailure, match="no game of this set"):
        single.path(task.model_copy(update={"options": {"game": "../../secret.z8"}}))


def test_a_story_without_description_plays_and_tells_less(cache, tmp_path):
    [story] = (cache[0] / "textworld").glob("custom-0-*.z8")
    shutil.copy(story, tmp_path / "bare.z8")
    taskset = TextWorldTaskset(str(tmp_path))
    [task] = taskset.tasks("all")
    assert task.goal == "" and taskset.walkthrough(task) == ()
    environment = taskset.environment()
    text, info = environment.reset(task=task)
    assert "-=" in text and "admissible_actions" not in info and "success" not in info
    assert environment.step("look")[4]["effective"] and not environment.step("dance")[4]["effective"]
    environment.close()
    assert taskset.check()["failures"] == ["textworld/all/bare.z8: it carries no solution"]


def test_games_that_are_none(tmp_path, cache):
    (tmp_path / "old.ulx").write_bytes(b"Glul")
    with pytest.raises(ConfigError, match=r"NAME\.ulx plays by its NAME\.json"):
        found_games(tmp_path / "old.ulx")
    with pytest.raises(ConfigError, match="no TextWorld game in"):
        TextWorldTaskset(str(tmp_path)).tasks("all")
    with pytest.raises(ConfigError, match="no TextWorld games in"):
        TextWorldTaskset(str(tmp_path / "nowhere"))
    (tmp_path / "broken.json").write_text('{"quests": [], "objective": ""}')
    with pytest.raises(EnvironmentFailure, match="does not compile"):
        playable(tmp_path / "broken.json")


def test_wrong_options_are_named(cache):
    for options, words in (
        ({"make": "tw-chess"}, "no 'tw-chess'; there are: custom"),
        ({"games": 0}, "games >= 1"),
        ({"settings": {"seed": 3}}, "seed is not for you to set"),
        ({"settings": {"world_sise": 3}}, "unrecognized arguments: --world-sise"),
    ):
        with pytest.raises(ConfigError, match=words):
            TextWorldTaskset(**options).tasks("test", limit=1)
    with pytest.raises(ConfigError, match="no split 'dev'"):
        TextWorldTaskset().tasks("dev")


def test_what_a_game_says_is_tidied():
    said = "\n\n  ___ \n | $$/\n >$$\\ \nWelcome.\n\n\n\n-= Hall =-\nA hall.\n\n>        -= Hall =-0/2"
    assert shown(said) == "Welcome.\n\n-= Hall =-\nA hall."
    assert shown("\nYou see > and <.\n\n> x") == "You see > and <."


def test_played_by_the_runner(cache, tmp_path):
    options = ["-t", "textworld", "-s", "taskset.options.settings={world_size=2, nb_objects=4, quest_length=2}"]
    said = lamarck("run", *options, "--limit", 1, "-m", "random", "--max-steps", 5, "-o", tmp_path / "run", "--json")
    assert json.loads(said.stdout)["finished"] == 1
    with Store.open(tmp_path / "run" / "store.db") as store:
        [trajectory] = store.trajectories()
    assert trajectory.task == cache[1] and trajectory.success is not None and trajectory.score is not None
    assert trajectory.stop in ("terminated", "max_steps") and len(trajectory.steps) <= 5
