"""Gymnasium's own environments, and small ones that do what those do not: words as actions, info that says success."""

import json

import gymnasium
import pytest
from gymnasium import spaces
from lamarck.agent.tasksets import load_taskset
from lamarck.core import Task
from lamarck.errors import ConfigError, EnvironmentFailure
from lamarck.evals.worlds.ansi import plain
from lamarck.evals.worlds.gym import GymnasiumTaskset
from lamarck.store import Store
from shell import lamarck

STRAIGHT = {"is_slippery": False}
WAYS = ["left", "down", "right", "up"]


class Guess(gymnasium.Env):
    """Say the word that the seed chose; three guesses."""

    action_space = spaces.Text(12)
    observation_space = spaces.Text(80)

    def __init__(self, render_mode=None):
        self.word, self.left = "", 3

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.word, self.left = "red" if self.np_random.random() < 0.5 else "blue", 3
        return "Which colour?", {}

    def step(self, action):
        self.left -= 1
        right = action == self.word
        info = {"is_success": right}
        return ("Yes." if right else "No."), float(right), right, not right and self.left == 0, info


gymnasium.register("Guess-v0", entry_point=Guess)


def played(taskset, actions, split="train"):
    """Return environment and what each action gave, after the reset."""
    environment = taskset.environment()
    task = taskset.tasks(split, limit=1)[0]
    begun = environment.reset(seed=task.seed, task=task)
    return environment, [begun, *(environment.step(action) for action in actions)]


def test_frozen_lake_is_won_and_lost():
    lake = GymnasiumTaskset(kwargs=STRAIGHT, actions=WAYS)
    environment, (begun, *steps) = played(lake, ["down", "down", "right", "right", "down", "right"])
    text, info = begun
    assert text == "SFFF\nFHFH\nFFFH\nHFFG\n\nColoured: 'S' on red in line 1, column 1."
    assert info == {"admissible_actions": WAYS, "success": False, "score": 0.0}
    assert [step[1] for step in steps] == [0, 0, 0, 0, 0, 1] and [step[2] for step in steps] == [False] * 5 + [True]
    assert "'G' on red in line 5, column 4" in steps[-1][0]
    assert steps[-1][3] is False and steps[-1][4]["success"] is True and steps[-1][4]["score"] == 1.0
    with pytest.raises(EnvironmentFailure, match="reset first"):
        environment.step("down")
    _, (_, *steps) = played(lake, ["down", "right"])
    assert steps[-1][1:4] == (0.0, True, False) and steps[-1][4]["success"] is False


def test_the_time_limit_is_no_end_of_the_task():
    lake = GymnasiumTaskset(kwargs=STRAIGHT, max_steps=3)
    environment, (_, *steps) = played(lake, ["0", "0", "0"])
    assert environment.max_steps == 3
    assert [step[2:4] for step in steps] == [(False, False), (False, False), (False, True)]
    assert GymnasiumTaskset().environment().max_steps == 100


def test_what_is_no_action_changes_nothing():
    lake = GymnasiumTaskset(kwargs=STRAIGHT, actions=WAYS, max_steps=3)
    _, (begun, bad, *steps) = played(lake, ["fly", "DOWN", "down", "right"])
    assert bad[0].startswith("'fly' is not possible.") and begun[0] in bad[0]
    assert bad[1:4] == (0.0, False, False) and bad[4]["effective"] is False
    # It took no step of the limit's three either.
    assert [step[3] for step in steps] == [False, False, True]


def test_a_mask_names_what_is_admissible():
    taxi = GymnasiumTaskset("Taxi-v4", actions=["south", "north", "east", "west", "pick up", "drop off"])
    environment = taxi.environment()
    text, info = environment.reset(seed=3)
    assert info["admissible_actions"] == ["south", "east"]
    assert "'Y' magenta in line 6, column 2" in text and "' ' on yellow in line 2, column 6" in text
    text, reward, _, _, info = environment.step("drop off")
    assert "not possible" in text and reward == 0.0 and info["effective"] is False
    assert environment.step("south")[1] == -1.0


def test_words_are_open_actions_and_info_says_success():
    taskset = GymnasiumTaskset("Guess-v0", goal="Guess it.")
    environment, (begun, *steps) = played(taskset, ["green", "much too long a word", "red", "blue"])
    assert begun == ("Which colour?", {"admissible_actions": ["<words>"]})
    assert steps[1][4]["effective"] is False and "not possible" in steps[1][0]
    assert steps[0][4]["success"] is False and steps[-1][2] and steps[-1][4]["success"] is True
    environment.reset(seed=1)
    assert [environment.step(word)[3] for word in ("a", "b", "c")] == [False, False, True]


def test_success_by_the_sum_of_rewards():
    strict = GymnasiumTaskset(kwargs=STRAIGHT, success_reward=2.0)
    _, steps = played(strict, "112212")
    assert steps[-1][1] == 1.0 and steps[-1][4]["success"] is False
    unknown = GymnasiumTaskset("CliffWalking-v1", max_steps=2)
    _, (begun, *steps) = played(unknown, "00")
    assert "success" not in begun[1] and "success" not in steps[-1][4]


def test_splits_share_no_seed():
    taskset = GymnasiumTaskset(episodes=50)
    assert taskset.splits() == ["train", "valid", "test"]
    seeds = {
        (split, seed): {t.seed for t in taskset.tasks(split, seed=seed)}
        for split in taskset.splits()
        for seed in (0, 1)
    }
    assert sum(map(len, seeds.values())) == len(set().union(*seeds.values())) == 300
    one, *_ = taskset.tasks("valid", limit=1)
    assert one.id == "gymnasium/FrozenLake-v1/valid/1" and one.goal.startswith("Frozen lake involves crossing")
    others = [
        GymnasiumTaskset(kwargs=kwargs).tasks("valid", limit=1)[0].id for kwargs in (STRAIGHT, {"map_name": "8x8"})
    ]
    assert len({one.id, *others}) == 3, "another lake has another name"
    first, second = (played(taskset, "0123", "valid")[1] for _ in range(2))
    assert first == second


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"id": "Blackjack-v1"}, "does not render ansi"),
        ({"id": "CartPole-v1"}, "does not render ansi"),
        ({"id": "Pendulum-v1", "observation": "text"}, "only Discrete and Text"),
        ({"id": "Atlantis-v0"}, "Atlantis"),
        ({"id": "no_such_module:Env-v0"}, "No module named 'no_such_module'"),
        ({"actions": ["north"]}, "4 actions"),
        ({"actions": ["a", "A", "b", "c"]}, "4 actions"),
        ({"kwargs": {"colour": 1}}, "colour"),
        ({"observation": "sound"}, "no observation 'sound'"),
        ({"concurrency": "astral"}, "'astral'"),
        ({"max_steps": 0}, "max_steps"),
    ],
)
def test_wrong_options_are_named(options, words):
    with pytest.raises(ConfigError, match=words):
        GymnasiumTaskset(**options).environment()


def test_observations_that_are_not_text_are_a_broken_world():
    with pytest.raises(EnvironmentFailure, match="not text"):
        GymnasiumTaskset("CartPole-v1", observation="text").environment().reset(seed=0)
    for split, seed, words in (("dev", 0, "no split 'dev'"), ("train", -1, "seed from 0 on")):
        with pytest.raises(ConfigError, match=words):
            GymnasiumTaskset().tasks(split, seed=seed)
    assert isinstance(load_taskset("gymnasium").tasks("test", limit=1)[0], Task)


def test_colours_are_told():
    assert plain("\n\x1b[41mS\x1b[0mF\nab\x1b[34;1mC\x1b[0m  \n") == (
        "SF\nabC\n\nColoured: 'S' on red in line 1, column 1; 'C' blue in line 2, column 3."
    )
    assert plain("\x1b[2J\x1b[1mbold\x1b[0m") == "bold"
    assert plain("plain\n") == "plain"


def test_played_by_the_runner(tmp_path):
    options = ["-t", "gymnasium", "-s", "taskset.options.actions=['left','down','right','up']"]
    out = tmp_path / "run"
    result = json.loads(lamarck("run", *options, "-m", "random", "--limit", 3, "-o", out, "--json").stdout)
    assert (result["finished"], result["failed"]) == (3, 0)
    with Store.open(out / "store.db") as store:
        found = list(store.trajectories())
    assert {one.stop for one in found} <= {"terminated", "max_steps"} and all(one.success is not None for one in found)
    assert all(step.action in WAYS for one in found for step in one.steps)
