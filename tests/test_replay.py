"""Replay: weights, staleness, selection and self-imitation, by hand and by counting."""

import math
import random
from collections import Counter

import pytest
from lamarck.core import Failure, Step, Task, ToolCall, Trajectory
from lamarck.errors import TrainingError
from lamarck.training.replay import distance, effective_sample_size, fresh, truncated_weight, within
from lamarck.training.rows import Row
from lamarck.training.selection import informative, resample_on_correct, tool_faults
from lamarck.training.self_imitation import Kept, SelfImitation, warm_up


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


def test_effective_sample_size():
    assert effective_sample_size([1.0] * 7) == pytest.approx(7)
    assert effective_sample_size([1.0, 0.0, 0.0]) == 1.0
    assert effective_sample_size([2.0, 1.0]) == pytest.approx(9 / 5)
    assert effective_sample_size([]) == 0.0


def test_trust_region_and_staleness():
    rows = [row((-1.0,), version=v) for v in ("3", "2", "1", "0")]
    gaps = [distance(one, (-1.0 + gap,)) for one, gap in zip(rows, (0.0, 0.3, -0.3, 1.0), strict=True)]
    assert within(rows, gaps, 0.5) == rows[:3]
    assert fresh(rows, {"3": 0, "2": 1, "1": 2}, limit=1) == rows[:2]
    assert fresh(rows, {"3": 0, "2": 1, "1": 2}, limit=9) == rows[:3]


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
