"""Rewards of proposers and rules of curricula, by numbers worked out by hand."""

import math
import random

import pytest
from lamarck.agent.proposers import rewards
from lamarck.agent.proposers.drawing import draw, softmax
from lamarck.agent.proposers.likeness import (
    KEPT,
    Said,
    likeness,
    mean_distance,
    print_of,
    read,
    resemblance,
    sketch,
    written,
)
from lamarck.agent.proposers.outcomes import category_rates, outcomes_of
from lamarck.agent.proposers.proposer import Outcome
from lamarck.agent.proposers.rules import RULES, Arm, Band, Bandit, Learnability, Rates, Regret, rule_of
from lamarck.core import Failure, Task, Trajectory
from lamarck.errors import ConfigError
from pydantic import ValidationError


def outcome(solved, attempts=4, task="t", category="c", **more):
    return Outcome(task_id=task, category=category, attempts=attempts, solved=solved, reward=solved / attempts, **more)


# --- what a proposer earns ----------------------------------------------------------------------------------------


def test_absolute_zero_pays_for_what_is_sometimes_solved():
    assert [rewards.azr(p) for p in (0.0, 0.25, 0.75, 1.0)] == [0.0, 0.75, 0.25, 0.0]
    assert rewards.azr_composite(0.75, well_formed=True, valid=True) == 0.75
    assert rewards.azr_composite(0.75, well_formed=True, valid=False) == -0.5
    assert rewards.azr_composite(0.75, well_formed=False, valid=False) == -1.0


def test_uncertainty_is_highest_at_one_half():
    assert [rewards.uncertainty(p) for p in (0.0, 0.25, 0.5, 1.0)] == [0.0, 0.5, 1.0, 0.0]


def test_difficulty_is_highest_where_one_attempt_of_all_solved_it():
    assert [rewards.difficulty(k, 5) for k in range(6)] == [0.0, 1.0, 0.75, 0.5, 0.25, 0.0]
    assert rewards.difficulty(1, 1) == 0.0


def test_learnability_its_band_and_injected_bugs():
    assert [rewards.learnability(p) for p in (0.0, 0.5, 0.75)] == [0.0, 0.25, 0.1875]
    assert rewards.variance_band(0.5) == 1.0
    assert rewards.variance_band(0.0) == pytest.approx(math.exp(-0.0625 / 0.02))
    assert rewards.injected(0.5, valid=True) == pytest.approx(0.1)  # 1 - 1.8 / 2
    assert [rewards.injected(p, valid=True) for p in (0.0, 1.0)] == [-0.8, -0.8]
    assert rewards.injected(0.5, valid=False) == -1.0


def test_progress_and_regret_are_differences():
    assert rewards.progress(0.25, 0.5) == 0.25
    assert rewards.regret(1.0, 0.25) == 0.75
    one = outcome(1, best=1.0, worst=0.0)
    assert rewards.informativeness(one) == 1.0 and rewards.informativeness(one, "mean") == 0.75
    assert rewards.informativeness(outcome(0)) == rewards.informativeness(outcome(4)) == 0.0


def test_the_mean_advantage_agrees_with_the_advantages_themselves():
    for k in range(5):
        values = [1.0] * k + [0.0] * (4 - k)
        mean = sum(values) / 4
        spread = math.sqrt(sum((v - mean) ** 2 for v in values) / 4)
        plain = sum(abs(v - mean) for v in values) / 4
        assert rewards.mean_abs_advantage(k, 4, scaled=False) == pytest.approx(plain)
        assert rewards.mean_abs_advantage(k, 4) == pytest.approx(plain / spread if spread else 0.0)
    assert rewards.mean_abs_advantage(1, 4) == pytest.approx(2 * math.sqrt(3) / 4)


def test_what_was_earned_by_name():
    found = [outcome(1, task="a"), outcome(4, task="b", progress=0.125)]
    assert rewards.earned(found, "azr") == {"a": 0.75, "b": 0.0}
    assert rewards.earned(found, "progress") == {"b": 0.125}
    with pytest.raises(ConfigError, match="no reward 'luck' for proposers; there are: azr, uncertainty"):
        rewards.earned(found, "luck")


def test_an_outcome_that_cannot_be_is_none():
    for wrong in ({"solved": 5}, {"attempts": 0, "solved": 0}, {"reward": float("nan")}, {"progress": 2.0}):
        with pytest.raises(ValidationError):
            Outcome(**{"task_id": "t", "attempts": 4, "solved": 1} | wrong)


def test_outcomes_of_trajectories_leave_out_what_infrastructure_ended():
    def attempt(number, task, category, success, failure=None):
        return Trajectory(
            id=f"{number}",
            run_id="r",
            task=Task(id=task, goal="", environment="toy", category=category),
            stop="terminated" if failure is None else "infrastructure",
            reward=None if failure else float(success),
            success=None if failure else success,
            failure=failure,
        )

    down = Failure(boundary="model", kind="outage", message="")
    found = outcomes_of(
        [
            *(attempt(1, "a", "x", True), attempt(2, "a", "x", False), attempt(3, "a", "x", False, down)),
            *(attempt(4, "b", "x", True), attempt(5, "c", "y", False), attempt(6, "d", "y", False, down)),
        ],
        {"x": 0.5},
    )
    assert [(one.task_id, one.attempts, one.solved) for one in found] == [("a", 2, 1), ("b", 1, 1), ("c", 1, 0)]
    assert (found[0].best, found[0].worst, found[0].reward) == (1.0, 0.0, 0.5)
    assert found[0].progress == pytest.approx(2 / 3 - 1 / 2) and found[2].progress is None
    assert category_rates(found) == {"x": pytest.approx(2 / 3), "y": 0.0}


# --- rules --------------------------------------------------------------------------------------------------------

ARMS = [Arm("a1", "a"), Arm("a2", "a"), Arm("b1", "b")]


def test_the_bandit_moves_by_alpha_and_draws_by_softmax():
    rule = Bandit(alpha=0.5, tau=0.5, explore=0.0, start=0.0)
    memory = rule.learn([outcome(2, category="a"), outcome(4, category="b")], {})
    assert memory["q"] == {"a": 0.5, "b": 0.0}  # 2 sqrt(1/4) = 1, and nothing
    chance = math.e / (math.e + 1)
    assert rule.chances(["a", "b"], memory) == {"a": pytest.approx(chance), "b": pytest.approx(1 - chance)}
    assert rule.weights(ARMS, memory) == [pytest.approx(chance / 2)] * 2 + [pytest.approx(1 - chance)]
    assert rule.learn([outcome(4, category="a")], memory)["q"] == {"a": 0.25, "b": 0.0}
    plain = Bandit(alpha=0.5, scaled=False, start=0.0).learn([outcome(1, category="a")], {})
    assert plain["q"] == {"a": pytest.approx(0.5 * 2 * 0.25 * 0.75)}


def test_the_bandit_weighs_tasks_by_their_attempts_and_can_go_by_progress():
    rule = Bandit(alpha=1.0, scaled=False)
    mixed = rule.learn([outcome(1, attempts=2, task="s"), outcome(0, attempts=6, task="t")], {})
    assert mixed["q"] == {"c": pytest.approx(0.5 * 2 / 8)}
    rule = Bandit(alpha=1.0, gain="progress")
    told = [outcome(0, progress=0.25, category="a"), outcome(2, progress=-0.5, category="b"), outcome(2, category="n")]
    assert rule.learn(told, {})["q"] == {"a": 0.25, "b": 0.0}


def test_the_bandit_keeps_a_share_for_all():
    rule = Bandit(tau=0.01, explore=0.1, start=0.0)
    chances = rule.chances(["a", "b"], {"q": {"a": 1.0}})
    assert chances == {"a": pytest.approx(0.95), "b": pytest.approx(0.05)}


def test_regret_prefers_what_differs_between_attempts():
    rule = Regret(baseline="mean", floor=0.0)
    memory = rule.learn([outcome(1, task="a1", category="a"), outcome(4, task="b1", category="b")], {})
    # a2 was not played: it is worth what its category is.
    assert rule.weights([*ARMS, Arm("n", "new")], memory) == [0.75, 0.75, 0.0, 1.0]
    assert Regret(floor=0.0).weights(ARMS[:1], Regret().learn([outcome(1, task="a1", category="a")], {})) == [1.0]


def test_rates_lean_on_the_category_and_fade():
    rates = Rates(0.5)
    memory = rates.counted([outcome(1, attempts=2, task="a1", category="a"), outcome(2, 2, task="x", category="a")], {})
    # Category: (3 + 1) / (4 + 2); a1: (1 + 2 * 2/3) / (2 + 2); a2: the category's; b1: one half.
    assert rates.estimates(ARMS, memory) == [pytest.approx(7 / 12), pytest.approx(2 / 3), 0.5]
    faded = rates.counted([], memory)
    assert faded["categories"] == {"a": [1.5, 2.0]} and faded["tasks"]["a1"] == [0.5, 1.0]
    for _ in range(9):
        faded = rates.counted([], faded)
    assert faded == {"tasks": {}, "categories": {}}


def test_the_band_and_learnability_go_by_those_rates():
    hard = [outcome(0, attempts=8, task="a1", category="a"), outcome(4, attempts=8, task="b1", category="b")]
    band = Band(outside=0.1)
    # a: (0 + 1) / 10 = 0.1, so a1 is (0 + 0.2) / 10 = 0.02; b1: (4 + 1) / 10 = 0.5.
    assert band.weights(ARMS, band.learn(hard, {})) == [0.1, 0.1, 1.0]
    learn = Learnability(floor=0.0)
    assert learn.weights(ARMS, learn.learn(hard, {})) == [pytest.approx(0.0196), pytest.approx(0.09), 0.25]


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("bandit", {"tau": 0}, "a bandit needs"),
        ("bandit", {"gain": "luck"}, "a bandit needs"),
        ("bandit", {"temperature": 1}, "curriculum bandit: .*unexpected keyword"),
        ("band", {"low": 0.9}, "a band needs 0 <= low < high"),
        ("band", {"keep": 0}, "keep is above 0"),
        ("regret", {"baseline": "median"}, "regret needs a baseline of mean or worst"),
        ("learnability", {"floor": -1}, "learnability needs floor >= 0"),
        ("luck", {}, "no curriculum 'luck'; there are: uniform, bandit, regret, band, learnability"),
    ],
)
def test_wrong_options_of_rules_are_named(name, options, words):
    with pytest.raises(ConfigError, match=words):
        rule_of(name, options)


def test_a_damaged_memory_is_an_empty_one():
    for name in RULES:
        for memory in ({"q": [1]}, {"q": {"a": "x"}, "regret": {"a1": 3}, "tasks": {"a1": [1]}, "categories": 7}):
            weights = rule_of(name).weights(ARMS, memory)
            assert len(weights) == 3 and all(weight > 0 for weight in weights)


def test_drawing_goes_by_weight_and_takes_nothing_twice_too_soon():
    generator = random.Random(0)
    first = [draw([3.0, 1.0, 0.0], 1, generator)[0] for _ in range(4000)]
    assert 0 not in (first.count(0), first.count(1)) and first.count(2) == 0
    assert first.count(0) / 4000 == pytest.approx(0.75, abs=0.03)  # four standard deviations
    order = draw([1.0, 1.0, 0.0], 7, generator)
    assert set(order[:3]) == set(order[3:6]) == {0, 1, 2} and order[2] == order[5] == 2
    assert draw([], 3, generator) == []
    for wrong in (-1.0, math.nan, math.inf):
        with pytest.raises(ValueError, match="at least 0"):
            draw([1.0, wrong], 1, generator)
    assert softmax([0.0, math.log(3)], 1.0) == [pytest.approx(0.25), pytest.approx(0.75)]


# --- likeness -----------------------------------------------------------------------------------------------------


def test_resemblance_counts_three_words_in_a_row():
    assert resemblance(sketch("a b c d"), sketch("A  b\nC d")) == 1.0  # case and spaces do not count
    assert resemblance(sketch("a b c d"), sketch("a b c e")) == pytest.approx(1 / 3)
    assert resemblance(sketch(""), sketch("")) == 1.0 and resemblance(sketch("a"), sketch("")) == 0.0
    words = [f"w{n}" for n in range(400)]
    changed = [*words[:200], "other", *words[201:]]
    exact = (398 - 3) / (398 + 3)
    assert len(sketch(" ".join(words))) == KEPT
    assert resemblance(sketch(" ".join(words)), sketch(" ".join(changed))) == pytest.approx(exact, abs=0.1)


def test_tasks_are_only_as_alike_as_the_less_alike_of_goal_and_state():
    room = "kitchen: " + " ".join(f"thing {n} on table {n % 3}" for n in range(12))
    mug = print_of(Said("bring a mug to the desk", room))
    assert likeness(mug, print_of(Said("bring a mug to the desk", room.replace("thing 3", "plate 3")))) > 0.8
    assert likeness(mug, print_of(Said("bring a book to the shelf", room))) == 0.0
    assert likeness(mug, print_of(Said("bring a mug to the desk", "bedroom: a bed and a lamp"))) == 0.0
    assert likeness(mug, read(written(mug))) == 1.0 and read(written(mug)) == mug
    three = [mug, mug, print_of(Said("x", "y"))]
    assert mean_distance(three) == pytest.approx(2 / 3) and mean_distance(three[:1]) == 0.0
