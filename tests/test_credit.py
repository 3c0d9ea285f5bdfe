"""Credit: every estimator against numbers worked by hand, and against slow independent code on random episodes."""

import math
import random

import numpy as np
import pytest
from lamarck.core import Failure, Step, Task, Trajectory, Verdict
from lamarck.errors import TrainingError
from lamarck.training.credit.attribution import Attribution, equal_weight
from lamarck.training.credit.batch import ReinforcePlusPlus, StepReturn
from lamarck.training.credit.episode import Episode, episode_of
from lamarck.training.credit.gigpo import GiGPO
from lamarck.training.credit.group import GRPO, RLOO
from lamarck.training.credit.hierarchical import Hierarchical, hae
from lamarck.training.credit.progress import Progress

WON = Episode("won", (0.0, 0.0, 1.0), ("start", "shelf", "door"), (0, 0, 1))
LOST = Episode("lost", (0.0, 0.0), ("start", "door"), (0, 1))
GROUP = [[WON, LOST]]


def close(found, wanted, tolerance=1e-9):
    assert [[len(e) for e in g] for g in found] == [[len(e) for e in g] for g in wanted]
    flat = zip(numbers(found), numbers(wanted), strict=True)
    assert all(math.isclose(a, b, abs_tol=tolerance, rel_tol=tolerance) for a, b in flat), (found, wanted)


def numbers(advantages):
    return [value for group in advantages for episode in group for value in episode]


def random_groups(seed):
    draw = random.Random(seed)
    return [
        [
            Episode(
                f"{g}/{i}",
                tuple(draw.choice([0.0, 0.0, 1.0, -0.1, draw.random()]) for _ in range(length)),
                tuple(draw.choice("abcd") for _ in range(length)),
                tuple(sorted(draw.randrange(3) for _ in range(length))),
                tuple(float(draw.choice([-1, 1])) for _ in range(length)),
                tuple(draw.random() for _ in range(length)),
                tuple(draw.random() < 0.8 for _ in range(length)),
            )
            for i, length in enumerate(draw.randrange(1, 9) for _ in range(draw.randrange(2, 7)))
        ]
        for g in range(draw.randrange(1, 5))
    ]


def test_grpo_by_hand():
    # Mean .5, deviation of (1, 0) with n - 1 is sqrt(.5).
    one = 0.5 / (math.sqrt(0.5) + 1e-4)
    close(GRPO().advantages(GROUP), [[(one,) * 3, (-one,) * 2]])
    close(GRPO(scale="none").advantages(GROUP), [[(0.5,) * 3, (-0.5,) * 2]])
    over = 0.5 / (math.sqrt(1 / 3) + 1e-4)
    close(GRPO(scale="batch").advantages([*GROUP, [WON]])[:1], [[(over,) * 3, (-over,) * 2]])
    assert GRPO().advantages([[WON]]) == [[(0.0,) * 3]]
    assert set(numbers(GRPO().advantages([[WON, WON]]))) == {0.0}


def test_rloo_is_the_return_minus_the_mean_of_the_others():
    close(RLOO().advantages(GROUP), [[(1.0,) * 3, (-1.0,) * 2]])
    for groups in map(random_groups, range(20)):
        totals = [[episode.total for episode in group] for group in groups]
        wanted = [
            [
                (total - (sum(row) - total) / (len(row) - 1),) * len(episode.rewards)
                for episode, total in zip(group, row, strict=True)
            ]
            for group, row in zip(groups, totals, strict=True)
        ]
        close(RLOO().advantages(groups), wanted)


def test_step_returns_by_hand():
    close(StepReturn(gamma=0.5).advantages(GROUP), [[(0.25, 0.5, 1.0), (0.0, 0.0)]])


def test_reinforce_plus_plus_whitens_the_batch():
    found = ReinforcePlusPlus().advantages(GROUP)
    # Returns 1, 1, 1, 0, 0: mean .6, deviation sqrt(.3).
    close(found, [[(0.4 / math.sqrt(0.3),) * 3, (-0.6 / math.sqrt(0.3),) * 2]], 1e-6)
    for seed in range(20):
        values = np.array(
            numbers(ReinforcePlusPlus(gamma=0.9, baseline=bool(seed % 2)).advantages(random_groups(seed)))
        )
        assert abs(values.mean()) < 1e-9
        assert values.std(ddof=1) == pytest.approx(1.0, abs=1e-5) or np.allclose(values, 0)


def test_gigpo_by_hand():
    # Returns with gamma .5: won .25 .5 1, lost 0 0. Shared states: start (.25, 0) and door (1, 0); shelf is seen once.
    found = GiGPO(gamma=0.5).advantages(GROUP)
    close(found, [[(0.5 + 0.125, 0.5, 0.5 + 0.5), (-0.5 - 0.125, -0.5 - 0.5)]])
    crossed = GiGPO(gamma=0.5, weight=0.0, cross_steps=True).advantages(GROUP)
    close(crossed, [[(0.4,) * 3, (-0.6,) * 2]])
    divided = GiGPO(gamma=0.5, weight=0.0, norm="mean_std", eps=0.0).advantages(GROUP)
    close(divided, [[(math.sqrt(0.5),) * 3, (-math.sqrt(0.5),) * 2]])
    with pytest.raises(TrainingError, match="bare has no anchor"):
        GiGPO().advantages([[Episode("bare", (1.0,))]])


@pytest.mark.parametrize("norm", ["mean", "mean_std"])
@pytest.mark.parametrize("cross", [False, True])
def test_gigpo_against_slow_code(norm, cross):
    for groups in map(random_groups, range(20)):
        found = GiGPO(norm=norm, cross_steps=cross, weight=0.7).advantages(groups)
        close(found, [slow_gigpo(group, norm, cross, 0.7) for group in groups], 1e-6)


def slow_gigpo(group, norm, cross, weight):
    rows = [(i, t) for i, episode in enumerate(group) for t in range(len(episode.rewards))]
    totals = [sum(group[i].rewards) for i, _ in rows] if cross else [sum(episode.rewards) for episode in group]

    def normal(value, among):
        std = np.std(among, ddof=1) if len(among) > 1 else 0.0
        return (value - np.mean(among)) / ((std + 1e-6) if norm == "mean_std" else 1.0)

    to_go = {(i, t): sum(0.95 ** (k - t) * r for k, r in enumerate(group[i].rewards) if k >= t) for i, t in rows}
    out = []
    for i, episode in enumerate(group):
        own = []
        for t, anchor in enumerate(episode.anchors):
            same = [to_go[row] for row in rows if group[row[0]].anchors[row[1]] == anchor]
            step = normal(to_go[i, t], same) if len(same) > 1 else 0.0
            own.append(normal(sum(episode.rewards), totals) + weight * step)
        out.append(tuple(own))
    return out


def test_progress_by_hand():
    episode = Episode("a", (0.0, 1.0), progress=(0.4, 0.6), grounded=(True, False))
    assert Progress().rewards(episode) == (0.9, 0.6)
    # Returns 1.5 and .6: whitened to +-1 / sqrt(2).
    close(Progress().advantages([[episode]]), [[(math.sqrt(0.5), -math.sqrt(0.5))]], 1e-6)
    with pytest.raises(TrainingError, match="no estimated progress"):
        Progress().advantages(GROUP)


def test_attribution_by_hand():
    good = Episode("good", (0.0, 1.0), labels=(1.0, 1.0))
    bad = Episode("bad", (0.0,), labels=(-1.0,))
    # Labels .2 .2 and -.2, each trajectory weighing the same: mean 0, deviation .2, so z is 1, 1 and -1.
    # Outcomes 1 and 0 standardise to 1 and -1.
    close(Attribution().advantages([[good, bad]]), [[(0.1 + 1.1, 1.1), (-1.1,)]], 1e-4)
    assert equal_weight([[1.0, 1.0, 1.0], [0.0]]) == (0.5, 0.5)
    with pytest.raises(TrainingError, match="no labelled steps"):
        Attribution().advantages(GROUP)


def test_hierarchy_by_hand():
    found = hae((0.0, 1.0, 2.0), (0, 0, 1), (0.5, 0.5, 1.0), (0.5, 1.0), gamma=0.5, lam=0.5)
    # Second sub-goal: its step 2 - 1 = 1. First: step two 1 + .5 * 1 - .5 = 1; step one 0 + .25 - .5 + .25 * 1 = 0.
    assert found.low == pytest.approx((0.0, 1.0, 1.0))
    # High: last 2 - 1 = 1; first 0 + .5 * 1 + .25 * 1 - .5 + .25 * .5 * 1 = .375.
    assert found.high == pytest.approx((0.375, 1.0))


def test_one_step_sub_goals_are_flat_gae():
    draw = random.Random(3)
    for _ in range(50):
        n = draw.randrange(1, 12)
        rewards, values = [draw.random() for _ in range(n)], [draw.random() for _ in range(n)]
        found = hae(rewards, range(n), values, values, gamma=0.9, lam=0.8).high
        deltas = [r + 0.9 * v - own for r, v, own in zip(rewards, [*values[1:], 0.0], values, strict=True)]
        flat = [sum((0.9 * 0.8) ** (k - t) * deltas[k] for k in range(t, n)) for t in range(n)]
        assert found == pytest.approx(flat)


def test_hierarchy_rests_on_the_values_of_the_group():
    [[won, lost]] = Hierarchical(gamma=1.0, lam=1.0).advantages(GROUP)
    # V(start) = .5, V(shelf) = 1, V(door) = .5; with gamma = lam = 1 an advantage is return minus value.
    # Low, first sub-goal of `won`: bootstraps from V(door): .5 - .5 and .5 - 1; high: 1 - .5 for both.
    assert won == pytest.approx((0.0 + 0.5, -0.5 + 0.5, 0.5 + 0.5))
    assert lost == pytest.approx((0.0 - 0.5, -0.5 - 0.5))
    with pytest.raises(TrainingError, match="lacks anchor"):
        Hierarchical().advantages([[Episode("bare", (1.0,))]])


def test_every_estimator_ignores_the_order_of_groups():
    for credit in (
        GRPO(),
        GRPO(scale="batch"),
        RLOO(),
        StepReturn(),
        ReinforcePlusPlus(),
        GiGPO(),
        Progress(),
        Attribution(),
        Hierarchical(),
    ):
        for seed in range(5):
            groups = random_groups(seed)
            close(credit.advantages(groups[::-1])[::-1], credit.advantages(groups), 1e-9)
            assert all(math.isfinite(value) for value in numbers(credit.advantages(groups)))


def trajectory(**fields):
    steps = tuple(
        Step(index=i, observation=seen, admissible=("look",), reward=reward, validity=validity)
        for i, (seen, reward, validity) in enumerate(
            [("a", 0.0, "valid"), ("b", 1.0, "no_effect"), ("a", 0.0, "valid")]
        )
    )
    known = {
        "id": "t",
        "run_id": "r",
        "task": Task(id="x", goal="", environment="e"),
        "steps": steps,
        "stop": "terminated",
    }
    return Trajectory(**{**known, **fields})


def test_a_trajectory_as_an_episode():
    verdict = Verdict(passed=True, score=1.0, step_scores=(0.5, -0.2, 0.0))
    episode = episode_of(trajectory(verdict=verdict))
    assert episode.rewards == (0.0, 1.0, 0.0) and episode.total == 1.0
    assert episode.anchors[0] == episode.anchors[2] != episode.anchors[1]
    assert episode.labels == (1.0, -1.0, 0.0) and episode.grounded == (True, False, True)
    assert episode_of(trajectory(), rewards=[1, 2, 3]).total == 6
    assert episode_of(trajectory()).labels == ()
    with pytest.raises(TrainingError, match="2 anchors for 1 steps"):
        Episode("odd", (1.0,), ("a", "b"))


def test_infrastructure_never_enters_a_baseline():
    failure = Failure(boundary="model", kind="timeout", message="no answer")
    with pytest.raises(TrainingError, match="t was ended by infrastructure"):
        episode_of(trajectory(stop="infrastructure", failure=failure))
    with pytest.raises(TrainingError, match="has no step"):
        episode_of(trajectory(steps=()))
