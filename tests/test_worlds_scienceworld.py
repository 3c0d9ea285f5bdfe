"""ScienceWorld: the real simulator. One Java process serves most of these tests, since each takes a second to start."""

import shutil

import pytest
from lamarck.agent.tasksets import maker, open_pool
from lamarck.errors import ConfigError, EnvironmentFailure
from lamarck.evals.worlds.scienceworld import SPLITS, VARIATIONS, ScienceWorldTaskset, split_of
from lamarck.evals.worlds.scienceworld_play import ScienceWorldEnvironment
from lamarck.store import Store
from shell import lamarck

KINDS = ["lifespan-longest-lived", "lifespan-shortest-lived"]


@pytest.fixture(scope="module")
def world():
    """An environment of all tasks that also works out solutions, closed at the end."""
    environment = ScienceWorldEnvironment(max_steps=40, gold=True)
    yield environment
    process = environment._world._gateway.java_process
    environment.close()
    assert process.poll() is not None
    environment.close()


@pytest.fixture(scope="module")
def tasks():
    return ScienceWorldTaskset(types=KINDS).tasks("test", limit=2)


def test_splits_are_the_simulators_own(world, tasks):
    world.reset(task=tasks[0])
    simulator = world._world
    assert set(simulator.get_task_names()) == set(VARIATIONS)
    for kind, count in VARIATIONS.items():
        assert simulator.get_max_variations(kind) == count
    for kind in ("identify-life-stages-1", "lifespan-shortest-lived"):
        simulator.load(kind, 0, "")
        own = (simulator.get_variations_train(), simulator.get_variations_dev(), simulator.get_variations_test())
        assert [list(numbers) for numbers in own] == [list(split_of(kind, split)) for split in SPLITS]
    assert {split: len(ScienceWorldTaskset().tasks(split)) for split in SPLITS} == {
        "train": 3592,
        "dev": 1796,
        "test": 1819,
    }


def test_gold_paths_reach_the_full_score(world, tasks):
    assert [task.category for task in tasks] == KINDS
    for task in tasks:
        text, info = world.reset(task=task)
        assert text.startswith("Task Description:\nYour task is to find") and "This room is called" in text
        assert not info["success"] and info["score"] < 1.0 and len(info["admissible_actions"]) > 100
        gold, rewards, begun = world.gold(), [], info["score"]
        assert 3 <= len(gold) < 40
        for action in gold:
            text, reward, terminated, truncated, info = world.step(action)
            rewards.append(reward)
            if terminated:
                break
        assert (terminated, truncated, info["success"], info["score"]) == (True, False, True, 1.0)
        assert begun + sum(rewards) == pytest.approx(1.0)
        with pytest.raises(EnvironmentFailure, match="reset first"):
            world.step("look around")


def test_the_same_variation_again(world, tasks):
    walks = []
    for _ in range(2):
        walk = [world.reset(task=tasks[0])]
        walk += [world.step(action) for action in ("look around", "go to outside", "look around", "inventory")]
        walks.append(walk)
        world.reset(task=tasks[1])
    assert walks[0] == walks[1]


def test_what_is_not_understood_and_what_is_unclear(world, tasks):
    _, begun = world.reset(task=tasks[0])
    for bad in ("dance", "reset task", "", "\0\n"):
        text, reward, terminated, _, info = world.step(bad)
        assert (reward, terminated, info["effective"]) == (0.0, False, False), (bad, text)
        assert info["admissible_actions"] == begun["admissible_actions"]
    assert "reset task" not in info["admissible_actions"]
    text, _, _, _, info = world.step("look at door")
    assert text.startswith("Ambiguous request") and info["admissible_actions"][:2] == ["0", "1"]
    text, _, _, _, info = world.step("1")
    assert "outside" in text and info["effective"] and len(info["admissible_actions"]) > 100


def test_a_spoiled_experiment_ends_with_nothing(world, tasks):
    _, info = world.reset(task=tasks[1])
    wrong = next(action for action in info["admissible_actions"] if action.startswith("focus on"))
    text, _, terminated, truncated, info = world.step(wrong)
    assert (terminated, truncated, info["success"], info["score"]) == (True, False, False, 0.0), text


def test_the_check_replays_them():
    report = ScienceWorldTaskset(types=KINDS).check("test", limit=1)
    assert (report["split"], report["games"], report["won"], report["failures"]) == ("test", 1, 1, [])


def test_truncation_and_forms(world, tasks):
    begun, _ = world.reset(task=tasks[1])
    environment = ScienceWorldTaskset(types=KINDS, max_steps=2, actions="forms").environment()
    # The same simulator, to start no other.
    environment._world = world._world
    text, info = environment.reset(task=tasks[1])
    assert text == begun
    assert {"open <object>", "move <object> to <object>", "inventory"} <= set(info["admissible_actions"])
    assert environment.step("look around")[2:4] == (False, False)
    assert environment.step("inventory")[2:4] == (False, True)
    with pytest.raises(EnvironmentFailure, match="reset first"):
        environment.step("inventory")


def test_wrong_options_are_named(world):
    for options, words in (
        ({"types": ["alchemy"]}, "no task 'alchemy'; there are: boil"),
        ({"simplifications": "easy,cheating"}, "no simplification 'cheating'"),
        ({"simplifications": "noElectricalAction"}, "power-component needs electricity"),
        ({"actions": "some"}, "all or forms"),
        ({"max_steps": 0}, "max_steps >= 1"),
    ):
        with pytest.raises(ConfigError, match=words):
            ScienceWorldTaskset(**options)
    with pytest.raises(ConfigError, match="no split 'valid'; there are: train, dev, test"):
        ScienceWorldTaskset().tasks("valid")
    with pytest.raises(EnvironmentFailure, match="a task of its own"):
        world.reset()
    assert ScienceWorldTaskset(types=["boil"], simplifications="noElectricalAction", variations=3).tasks("dev")[2:]


def test_without_java_there_is_one_clear_line(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert shutil.which("java") is None
    with pytest.raises(ConfigError, match=r"no java on the PATH\. Install a Java runtime \(Debian: apt-get install"):
        ScienceWorldTaskset()


async def test_a_java_that_does_not_start_is_an_infrastructure_failure(monkeypatch, tmp_path, tasks):
    (tmp_path / "java").write_text("#!/bin/sh\nexit 1\n")
    (tmp_path / "java").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    options = {"types": KINDS}
    pool = open_pool(ScienceWorldTaskset(**options), make=maker("scienceworld", options), size=1, timeout_s=60)
    with pytest.raises(EnvironmentFailure, match=r"Java ended before the simulator had begun .* `java -version`"):
        async with pool.lease() as played:
            await played.reset(tasks[0], 0)
    await pool.close()


def test_played_by_the_runner(tmp_path, world, tasks):
    options = ["-t", "scienceworld", "-s", f"taskset.options.types=['{KINDS[1]}']", "-s", "taskset.options.max_steps=2"]
    lamarck("run", *options, "--split", "test", "--limit", 1, "-m", "first", "-o", tmp_path / "run", "-q")
    with Store.open(tmp_path / "run" / "store.db") as store:
        [trajectory] = store.trajectories()
    assert trajectory.task == tasks[1] and (trajectory.stop, trajectory.success) == ("truncated", False)
    assert len(trajectory.steps) == 2 and trajectory.failure is None
    # Another Java, with another past, tells the same room in the same words.
    assert world.reset(task=tasks[1])[0] == trajectory.steps[0].observation
