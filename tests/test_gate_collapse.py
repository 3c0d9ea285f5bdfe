"""Alarms on planted histories, and none on healthy ones."""

import json
import math
import random

import pytest
from lamarck.config_gate import CollapseConfig
from lamarck.evals.gate.collapse import alarms
from lamarck.evals.gate.collapse_signs import Audit, Generation, Variety, Weighed, newcombe, variety

FINE = Audit(45, 5, 10, 40)
WIDE = Variety(500, 12.0, 0.2)


def named(history, **config):
    return [one.name for one in alarms(history, CollapseConfig(**config))]


def healthy(generations=40, seed=0):
    """A loop that learns, and then learns no more: reward and success rise to a ceiling, entropy sinks to a third."""
    draw = random.Random(seed)
    for n in range(generations):
        ability = 0.3 + 0.4 * (1 - math.exp(-n / 8))
        yield Generation(
            reward=ability + draw.gauss(0, 0.03),
            solved=sum(draw.random() < ability for _ in range(120)),
            held_out=120,
            entropy=0.3 + 0.6 * math.exp(-n / 8) + draw.gauss(0, 0.02),
            variety=Variety(400, 6 + 6 * math.exp(-n / 8) + draw.gauss(0, 0.5), 0.3),
            audit=Audit(*(40 + draw.randrange(5), 10, 12, 38 + draw.randrange(5))),
        )


def test_a_healthy_loop_rings_no_alarm():
    for seed in range(5):
        history = list(healthy(seed=seed))
        for n in range(len(history)):
            assert not alarms(history[: n + 1])
    assert alarms([]) == alarms([Generation()]) == []


def test_reward_that_rises_while_success_falls():
    hacked = [Generation(reward=0.3 + 0.1 * n, solved=60 - 8 * n, held_out=120) for n in range(6)]
    [alarm] = alarms(hacked)
    # Halves: 60 + 52 + 44 of 360, then 36 + 28 + 20 of 360.
    assert alarm.name == "reward without success" and "from 43.3 % to 23.3 %" in alarm.sentence
    assert alarm.figures["success"] == [156 / 360, 84 / 360]
    assert json.loads(json.dumps(alarm.as_dict()))["figures"]["reward"] == pytest.approx([0.4, 0.7])
    assert not alarms(hacked[:3])
    # Both fall: it forgets, but that is another matter. Both rise: it learns.
    assert not alarms([Generation(reward=-one.reward, solved=one.solved, held_out=120) for one in hacked])
    assert not alarms([Generation(reward=one.reward, solved=120 - one.solved, held_out=120) for one in hacked])
    # Too few episodes to say.
    assert not alarms([Generation(reward=one.reward, solved=one.solved // 8, held_out=15) for one in hacked])
    # What lies before the window is forgotten.
    flat = [Generation(reward=0.9, solved=20, held_out=120)] * 6
    assert not alarms([*hacked, *flat])


def weighed(rewards, solved, games=100, incumbent="h"):
    """Generations whose candidates solve so many of the games of which the release in force solves half."""
    return [
        Generation(reward=reward, weighed=Weighed(incumbent, f"c{n}", games, (games // 2, k)))
        for n, (reward, k) in enumerate(zip(rewards, solved, strict=True))
    ]


def test_candidates_that_fall_while_the_reward_rises():
    rising = [0.2, 0.25, 0.3, 0.35, 0.4, 0.45]
    [alarm] = alarms(weighed(rising, [50, 40, 30, 25, 20, 15]))
    # The later half: 25 + 20 + 15 of 300, where the release in force solves half of its 100 games.
    assert alarm.name == "reward without candidates" and "the candidates solve 20 %" in alarm.sentence
    low, high = newcombe((60, 300), (50, 100), 0.999)
    assert (alarm.figures["low"], alarm.figures["high"]) == (low, high)
    # The reward falls too; the candidates get better; they are a little worse; too few generations; not measured now.
    assert not alarms(weighed(rising[::-1], [50, 40, 30, 25, 20, 15]))
    assert not alarms(weighed(rising, [15, 20, 25, 60, 70, 80]))
    assert not alarms(weighed(rising, [50, 48, 46, 44, 42, 40]))
    assert not alarms(weighed(rising[:3], [0, 0, 0]))
    assert not alarms([*weighed(rising, [50, 40, 30, 25, 20, 15]), Generation(reward=0.5)])


def test_a_loop_that_stands_still_seldom_rings():
    """Candidates are as good as the release in force, which is the same one all the time."""
    draw, rang = random.Random(1), 0
    for _ in range(200):
        before = sum(draw.random() < 0.5 for _ in range(60))
        history = [
            Generation(
                reward=0.5 + draw.gauss(0, 0.05),
                weighed=Weighed("h", f"c{n}", 60, (before, sum(draw.random() < 0.5 for _ in range(60)))),
            )
            for n in range(8)
        ]
        rang += any(alarms(history[:n]) for n in range(1, 9))
    assert rang <= 2


def test_entropy_that_is_gone():
    assert named([Generation(entropy=0.02)]) == ["entropy"]
    assert not named([Generation(entropy=0.03)])
    sunk = [Generation(entropy=one) for one in (1.0, 1.2, 0.9, 0.5, 0.09)]
    assert named(sunk) == ["entropy"] and not named(sunk[:4])
    assert not named(sunk, entropy_share=0.05)
    assert "0.09 nats per token, 9 % of it; it began with 1." in alarms(sunk)[0].sentence
    # What is not measured any more rings no old bell.
    assert not named([*sunk, Generation()])


def test_variety_that_is_gone():
    assert variety([]) == Variety(0, 0.0, 0.0)
    assert variety(["a", "b", "c", "d"]) == Variety(4, pytest.approx(4.0), 0.25)
    assert variety("aab").different == pytest.approx(math.exp(-(2 / 3) * math.log(2 / 3) - math.log(1 / 3) / 3))
    begun = [Generation(variety=WIDE)] * 3
    # Eleven beside the one there must be: a quarter of it is 2.75.
    assert named([*begun, Generation(variety=Variety(500, 3.7, 0.5))]) == ["variety"]
    assert not named([*begun, Generation(variety=Variety(500, 3.8, 0.5))])
    assert not named([*begun, Generation(variety=Variety(10, 1.5, 0.5))])
    assert not named(begun)


def test_nearly_all_actions_are_the_same():
    assert named([Generation(variety=variety(["look"] * 90 + [f"take {n}" for n in range(10)]))]) == ["one answer"]
    assert not named([Generation(variety=variety(["look"] * 89 + [f"take {n}" for n in range(11)]))])
    assert not named([Generation(variety=variety(["look"] * 10))])


def test_a_verifier_that_tells_nothing():
    assert not named([Generation(audit=FINE)])
    # Accepts half of either: J = 0.
    assert named([Generation(audit=Audit(25, 25, 25, 25))]) == ["verifier"]
    [alarm] = alarms([Generation(audit=Audit(10, 40, 30, 20))])
    assert alarm.figures["j"] == pytest.approx(-0.4) and "J is -0.40" in alarm.sentence
    assert not named([Generation(audit=Audit(2, 17, 9, 10))])
    assert not named([Generation(audit=Audit(10, 40, 30, 20)), Generation()])


def test_several_ring_at_once():
    history = [Generation(entropy=0.001, variety=variety(["yes"] * 50), audit=Audit(25, 25, 50, 0))]
    assert named(history) == ["entropy", "one answer", "verifier"]


def test_the_interval_of_two_shares():
    # Newcombe 1998, table II, example a: 56/70 and 48/80, method 10.
    low, high = newcombe((56, 70), (48, 80), 0.95)
    assert (low, high) == (pytest.approx(0.0524, abs=1e-4), pytest.approx(0.3339, abs=1e-4))
