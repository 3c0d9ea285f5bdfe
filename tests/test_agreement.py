"""Sampled and computed log-probabilities compared: hand-worked numbers, and two models that differ."""

import math

import pytest
import tiny_model
from lamarck.errors import TrainingError
from lamarck.training.agreement import OTHER, STRIPPED, UNKNOWN, agreement, check
from lamarck.training.rows import Row
from lamarck.training.scoring import logprobs


def row(ident="t", logprobs=(-1.0, -2.0, 0.0, -3.0), mask=(1, 1, 0, 1), steps=(0, 0, 1, 1), policy="base", **more):
    return Row(
        trajectory_id=ident,
        group_id="g",
        prompt_ids=(3, 4),
        completion_ids=(5, 6, 7, 8),
        loss_mask=mask,
        logprobs=logprobs,
        steps=steps,
        policy_version=policy,
        **more,
    )


def test_figures_by_hand():
    # Differences -0.05, 0.25 and 0.0 where sampled; the third token was read, so its 99 does not count.
    found = agreement([row()], "base", lambda rows: [(-1.05, -1.75, 99.0, -3.0)])
    assert (found.rows, found.tokens) == (1, 3)
    assert found.mean == pytest.approx(0.1) and found.bias == pytest.approx(0.2 / 3)
    assert found.most == pytest.approx(0.25) and found.far == pytest.approx(1 / 3)
    assert found.worst == "t step 0" and found.left_out == {}
    assert "differ by 0.1 nats per token at the mean and 0.25 at most over 1 rows with 3 tokens; 33.3 %" in (
        found.sentence()
    )


def test_only_what_the_policy_sampled_is_compared():
    rows = [row("a"), row("b", policy="base+1"), row("c", logprobs=()), row("d", stripped=True), row("e")]
    asked = []

    def score(some):
        asked.extend(one.trajectory_id for one in some)
        return [one.logprobs if one.trajectory_id == "a" else (-1.0, -2.0, 0.0, -3.5) for one in some]

    found = agreement(rows, "base", score)
    assert asked == ["a", "e"] and (found.rows, found.tokens, found.worst) == (2, 6, "e step 1")
    assert found.mean == pytest.approx(0.5 / 6) and found.bias == pytest.approx(-0.5 / 6)
    assert found.left_out == {OTHER: 1, UNKNOWN: 1, STRIPPED: 1}


def test_nothing_to_compare_refuses_nothing():
    found = agreement([row()], "other", lambda rows: pytest.fail("there is nothing to score"))
    assert found.mean is None and found.tokens == 0 and "nothing to compare" in found.sentence()
    check(found, 0.001)


@pytest.mark.parametrize("value", [-1.4, math.nan, -math.inf])
def test_beyond_the_bound_is_refused(value):
    found = agreement([row("far")], "base", lambda rows: [(value, -2.0, 0.0, -3.0)])
    with pytest.raises(TrainingError, match=r"do not agree: policy base.*trajectory far step 0.*bound is 0\.1.*grpo"):
        check(found, 0.1)
    assert found.worst == "far step 0" and found.far == pytest.approx(1 / 3)
    if value == -1.4:
        check(found, 0.14)


def test_a_scorer_that_gives_too_little():
    with pytest.raises(TrainingError, match="trajectory t has 3 computed log-probabilities for 4 tokens"):
        agreement([row()], "base", lambda rows: [(0.0, 0.0, 0.0)])


def test_one_model_agrees_with_itself_and_another_does_not():
    net, other = tiny_model.model(0), tiny_model.model(1)
    rows = [
        row(f"t{n}", logprobs=tuple(tiny_model.logprobs(net, (3, 4), (5, 6, 7, 8))), mask=(1,) * 4) for n in range(3)
    ]
    # Of other lengths, so that the batch has padding on both sides.
    rows.append(
        Row("long", "g", (3,) * 9, (5,), (1,), tuple(tiny_model.logprobs(net, (3,) * 9, (5,))), (0,), "", "base")
    )
    found = agreement(rows, "base", lambda some: logprobs(net, some, batch=3, pad_id=0))
    assert found.tokens == 13 and found.most < 1e-5
    check(found, 1e-5)
    far = agreement(rows, "base", lambda some: logprobs(other, some, batch=3, pad_id=0))
    assert far.mean > 0.01
    with pytest.raises(TrainingError, match="do not agree"):
        check(far, 0.01)
