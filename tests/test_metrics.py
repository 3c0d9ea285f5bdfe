"""Rates and intervals, by numbers worked out by hand."""

import math

import pytest
from lamarck.core import Failure, Step, Task, Trajectory, Usage
from lamarck.evals.metrics import Rate, split_hash, tally, wilson


def trajectory(n, *, success, category="a", failure=None, validity="valid"):
    step = Step(index=0, observation="o", validity=validity)
    return Trajectory(
        id=str(n),
        run_id="r",
        task=Task(id=str(n), goal="g", environment="e", category=category),
        steps=(step, step.model_copy(update={"index": 1, "validity": "valid"})),
        stop="infrastructure" if failure else "terminated",
        success=success,
        failure=failure,
        usage=Usage(prompt_tokens=10, completion_tokens=2, cost_usd=0.5, calls=2),
        seconds=3.0,
    )


def test_wilson_interval_by_hand():
    # n = 10, 4 successes: (0.4 + 0.19207 -+ 1.96 * sqrt(0.024 + 0.0096036)) / 1.38415
    low, high = wilson(4, 10)
    assert low == pytest.approx(0.16818, abs=2e-5)
    assert high == pytest.approx(0.68733, abs=2e-5)


def test_wilson_at_the_edges():
    assert wilson(0, 0) == (0.0, 1.0)
    low, high = wilson(0, 30)
    assert low == 0.0 and high == pytest.approx(0.11351, abs=2e-5)
    low, high = wilson(30, 30)
    assert low == pytest.approx(1 - 0.11351, abs=2e-5) and high == 1.0
    assert math.isnan(Rate(0, 0).value)


def test_infrastructure_failures_are_counted_apart():
    broken = Failure(boundary="model", kind="timeout", message="no answer")
    total, parts = tally(
        [
            trajectory(0, success=True),
            trajectory(1, success=False, validity="no_effect"),
            trajectory(2, success=None, failure=broken),
            trajectory(3, success=None, category="b"),
        ]
    )
    assert (total.episodes, total.successes, total.failed, total.unknown) == (3, 1, 1, 1)
    assert total.success == Rate(1, 2)
    assert total.mean_steps == 2.0
    assert total.usage.tokens == 48 and total.usage.cost_usd == 2.0
    assert total.invalid() == {"unparseable": 0.0, "not_admissible": 0.0, "no_effect": pytest.approx(1 / 6)}
    assert list(parts) == ["a", "b"]
    assert parts["b"].as_dict()["success_rate"] is None


def test_split_hash_names_a_set():
    assert split_hash(["b", "a"]) == split_hash(["a", "b"]) != split_hash(["a"])
