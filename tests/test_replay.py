"""Replay: weights, staleness, selection and self-imitation, by hand and by counting."""

import math
import random
from collections import Counter

import pytest
from lamarck.core import Failure, Step, Task, ToolCall, Trajectory
from lamarck.errors import TrainingError
from lamarck.training.replay import (
    ages,
    distance,
    effective_sample_size,
    recent,
    token_weights,
    truncated_weight,
)
from lamarck.training.rows import Row
from lamarck.training.selection import informative, resample_on_correct, resampled, tool_faults
from lamarck.training.self_imitation import Kept, SelfImitation, replayed, warm_up


def row(logprobs, mask=None, version="1"):
    n = len(logprobs)
    return Row("t", "g", (1,), (2,) * n, tuple(mask or (1,) * n), tuple(logprobs), (0,) * n, "m", version)


def test_distance_by_hand_leaves_out_what_was_read():
    found = distance(row((-1.0, 0.0, -2.0), (1, 0, 1)), (-0.5, -9.0, -2.5))
    assert (found.log_ratio, found.tokens, found.worst, found.mean) == (0.0, 2, 0.5, 0.0)
    far = distance(row((-1.0,)), (1.0,))
    assert truncated_weight(far) == 2.0 and truncated_weight(far, most=100) == pytest.approx(math.exp(2))
    near = distance(row((-1.0, -1.0)), (-1.2, -1.2))
    assert truncated_weight(near) == pytest.approx(math.exp(-0.2))
    with pytest.raises(TrainingError, match="trajectory t has 1 stored"):
        distance(row((-1.0,)), (-1.0, -1.0))


def test_what_the_sampler_held_impossible_weighs_what_may_be_weighed_at_most():
    told = row((-9999.0, -1.0))
    assert truncated_weight(distance(told, (-1.0, -1.0)), most=3.0) == 3.0
    assert token_weights(told, (-1.0, -1.5), most=3.0) == pytest.approx((3.0, math.exp(-0.5)))


def test_effective_sample_size():
    assert effective_sample_size([1.0] * 7) == pytest.approx(7)
    assert effective_sample_size([1.0, 0.0, 0.0]) == 1.0
    assert effective_sample_size([2.0, 1.0]) == pytest.approx(9 / 5)
    assert effective_sample_size([]) == 0.0


def test_staleness():
    rows = [row((-1.0,), version=v) for v in ("3", "2", "1", "0")]
    age = {"3": 0, "2": 1, "1": 2}
    assert [recent(one, age, 1) for one in rows] == [True, True, False, False]
    assert [recent(one, age, 9) for one in rows] == [True, True, True, False]
    assert all(recent(one, age, None) for one in rows)


def attempt(ident, reward, **fields):
    known = {"id": ident, "run_id": "r", "task": Task(id="x", goal="", environment="e"), "stop": "terminated"}
    return Trajectory(**{**known, "reward": reward, "success": bool(reward), **fields})


def test_groups_that_teach_nothing_are_left_out():
    dead = attempt("dead", None, stop="infrastructure", failure=Failure(boundary="model", kind="k", message=""))
    mixed, all_won = [attempt("a", 1.0), attempt("b", 0.0), dead], [attempt("c", 1.0), attempt("d", 1.0), dead]
    assert [[found.id for found in group] for group in informative([mixed, all_won, [dead]])] == [["a", "b"]]


def test_resampling_keeps_exactly_so_many_and_prefers_clean_successes():
    group = [(f"w{i}", True, float(i % 4)) for i in range(8)] + [(f"l{i}", False, 9.0) for i in range(8)]
    kept, lost = Counter(), Counter()
    for seed in range(2000):
        found = resample_on_correct(group, 8, right=lambda one: one[1], faults=lambda one: one[2], seed=seed)
        assert len(found) == 8 == len(set(found)) and sum(one[1] for one in found) == 4
        kept.update(one[2] for one in found if one[1])
        lost.update(one[0] for one in found if not one[1])
    assert kept[0.0] > kept[1.0] > kept[2.0] > kept[3.0]
    # Each failure is kept half the time: chi-square of 8 counts against 1,000 each, 24.3 is p = .001 at 7 degrees.
    assert sum((lost[f"l{i}"] - 1000) ** 2 / 1000 for i in range(8)) < 24.3
    assert resample_on_correct(group, 99, right=lambda one: one[1], faults=lambda one: one[2]) == group


def test_resampling_random_groups():
    draw = random.Random(2)
    for seed in range(300):
        group = [(i, draw.random() < 0.3) for i in range(draw.randrange(1, 12))]
        keep = draw.randrange(1, 12)
        found = resample_on_correct(group, keep, right=lambda one: one[1], faults=lambda one: 0.0, seed=seed)
        assert len(found) == min(keep, len(group)) and len(set(found)) == len(found) and set(found) <= set(group)


def test_faults_by_hand():
    calls = (ToolCall(name="a"), ToolCall(name="b", error="no"))
    steps = (Step(index=0, observation="o", tool_calls=calls), Step(index=1, observation="o", validity="unparseable"))
    assert tool_faults(attempt("a", 1.0, steps=steps)) == 1.0
    assert tool_faults(attempt("a", 1.0)) == 0.0


def test_what_was_outstanding_becomes_usual():
    buffer = SelfImitation(tolerate=3)
    buffer.add([Kept("good", 1.0, 0.5, 0), Kept("bad", 0.0, -0.5, 0)])
    assert len(buffer) == 1
    assert [(one.trajectory_id, advantage) for one, advantage in buffer.replay(1)] == [("good", 0.5)]
    # Two later groups are always right: the median of .5, 1, 1 is 1, and nothing stands out any more.
    buffer.add([Kept("x", 1.0, 0.0, 1)])
    buffer.add([Kept("y", 1.0, 0.0, 2)])
    assert buffer.replay(3) == [] and len(buffer) == 1
    assert buffer.replay(4) == [] and len(buffer) == 0


def test_the_buffer_is_bounded():
    buffer = SelfImitation(size=3)
    assert buffer.replay(0) == []
    buffer.add([Kept(str(i), float(i), 1.0, 0) for i in range(10)])
    assert len(buffer) == 3 and [one.trajectory_id for one, _ in buffer.replay(0)] == ["7", "8", "9"]
    with pytest.raises(TrainingError, match="at least 1"):
        SelfImitation(size=0)


def test_warm_up():
    assert [warm_up(t, 200) for t in (-1, 0, 100, 200, 999)] == pytest.approx([0, 0, 0.5, 1, 1])
    values = [warm_up(t, 50) for t in range(51)]
    assert values == sorted(values)


def test_self_imitation_is_saved_whole_and_goes_on(tmp_path):
    buffer = SelfImitation(tolerate=3)
    buffer.add([Kept("good", 1.0, 0.5, 0), Kept("bad", 0.0, -0.5, 0)])
    buffer.save(tmp_path / "b.json")
    again = SelfImitation(tolerate=3)
    again.load(tmp_path / "b.json")
    assert again.replay(1) == buffer.replay(1) != []
    small = SelfImitation(size=1, tolerate=3)
    buffer.add([Kept("later", 1.0, 0.2, 1)])
    buffer.save(tmp_path / "b.json")
    small.load(tmp_path / "b.json")
    assert [one.trajectory_id for one, _ in small.replay(1)] == ["later"]
    assert [file.name for file in tmp_path.iterdir()] == ["b.json"]
    (tmp_path / "b.json").write_text('{"entries": [{"trajectory_id": "x"}], "means": []}')
    with pytest.raises(TrainingError, match="cannot be read"):
        again.load(tmp_path / "b.json")
    assert len(again) == 1


def test_what_is_imitated_has_its_new_advantage_times_the_weight():
    known = {"t": [row((-1.0, 0.0, -1.0), (1, 0, 1))]}
    rows, missing = replayed([(Kept("t", 1.0, 0.9, 0), 0.5), (Kept("gone", 1.0, 0.9, 0), 0.5)], known, 0.2)
    assert [one.advantages for one in rows] == [pytest.approx((0.1, 0.0, 0.1))] and missing == 1


def step(version, at):
    return Step(index=0, observation="o", policy_version=version, started_at=at)


def test_ages_by_time_and_along_the_line_of_adapters():
    stored = [
        attempt("a", 1.0, steps=(step("w", 10.0), step("w", 30.0))),
        attempt("b", 1.0, steps=(step("w+2", 25.0),)),
        attempt("c", 1.0, steps=(step("w+1", 20.0),)),
    ]
    assert ages(stored, "w+3") == {"w": 3, "w+1": 2, "w+2": 1, "w+3": 0}
    # It acted before: what came after it is as far off as what came before.
    assert ages(stored, "w+1") == {"w": 1, "w+1": 0, "w+2": 1}
    # The line went w, w+2, w+3: w+1 is another branch and is counted by time.
    line = {"w+3": "w+2", "w+2": "w", "w": None}
    assert ages(stored, "w+3", line) == {"w": 2, "w+1": 2, "w+2": 1, "w+3": 0}
    assert ages(stored, "w", {"w": "w"})["w"] == 0, "a line that bites its tail must end"
    assert ages([], "w") == {"w": 0}


def test_token_weights_by_hand():
    found = token_weights(row((-1.0, 0.0, -2.0), (1, 0, 1)), (-0.5, -9.0, -1.0), most=2.0)
    assert found == pytest.approx((math.exp(0.5), 1.0, 2.0))


def test_groups_are_thinned_without_what_infrastructure_ended():
    dead = attempt("dead", None, stop="infrastructure", failure=Failure(boundary="model", kind="k", message=""))
    group = [attempt("a", 1.0), attempt("b", 0.0), attempt("c", 0.0), attempt("d", 1.0), dead]
    [found] = resampled([group], 2, seed=3)
    assert sorted(one.success for one in found) == [False, True]
    assert resampled([group], 2, seed=3) == [found]
