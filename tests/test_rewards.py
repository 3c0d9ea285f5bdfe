"""Rewards: every formula by hand, and what no reward may do."""

import math
import random

import pytest
import tiny_model
import trl
from datasets import Dataset
from lamarck.core import Failure, Step, Task, ToolCall, Trajectory, Verdict
from lamarck.errors import TrainingError
from lamarck.training.rewards import noisy, shaping, tool_use
from lamarck.training.rewards.episode import environment, invalid_actions, length, outcome, verifier, well_formed
from lamarck.training.rewards.progress import progress, progress_steps
from lamarck.training.rewards.reward import combined, of_trajectory


def step(index=0, **fields):
    return Step(**{"index": index, "observation": "o", **fields})


def trajectory(*steps, ident="t", **fields):
    known = {"id": ident, "run_id": "r", "task": Task(id="x", goal="", environment="e"), "stop": "terminated"}
    return Trajectory(**{**known, "steps": steps, **fields})


def rewarded(function, *found):
    return function(["p"] * len(found), ["c"] * len(found), trajectory=list(found))


def test_progress_by_hand():
    said = ("valid", "unparseable", "not_admissible", "no_effect")
    found = trajectory(*(step(i, validity=v) for i, v in enumerate(said)), meta={"progress": [0.5, 0.25, -0.25, 0.0]})
    # Only the first action was carried out: 2 * .5 + .1.
    assert progress_steps(alpha=2.0, beta=0.1)(found) == pytest.approx((1.1, 0.5, -0.5, 0.0))
    assert rewarded(progress(alpha=2.0, beta=0.1), found, trajectory(step())) == [pytest.approx(1.1), None]
    # Told by the environment, step after step: 0 -> .5 -> .5 -> 1.
    told = trajectory(*(step(i, info={"score": score}) for i, score in enumerate((0.5, 0.5, 1.0))))
    assert progress_steps(beta=0.0)(told) == (0.5, 0.0, 0.5)


def constant(*values):
    return lambda prompts, completions, **columns: list(values)


def test_outcome():
    won, lost, unknown = trajectory(success=True, score=1.0), trajectory(success=False, score=0.25), trajectory()
    assert rewarded(outcome(), won, lost, unknown) == [1.0, 0.0, None]
    assert rewarded(outcome(10.0, -1.0), won, lost) == [10.0, -1.0]
    assert rewarded(outcome(1.0, -1.0, partial=True), won, lost) == [1.0, -0.5]


def test_steps_and_validity():
    steps = [
        step(0, reward=0.5),
        step(1, reward=-0.1, validity="unparseable"),
        step(2, validity="not_admissible"),
        step(3, validity="no_effect"),
    ]
    assert rewarded(environment(), trajectory(*steps)) == [0.4]
    assert rewarded(invalid_actions(), trajectory(*steps)) == [-0.2]


def test_format():
    good = "<think>hm</think>\n<action>look</action>"
    answers = [good, "look", "<think>a</think><action>b</action> and more", "<action>look</action>", good + good]
    assert rewarded(well_formed(), trajectory(*(step(i, completion=a) for i, a in enumerate(answers)))) == [0.2]
    assert rewarded(well_formed(), trajectory()) == [None]


def test_length_by_hand():
    def answer(n):
        return trajectory(step(token_ids=tuple(range(n))), step(1, token_ids=(1,)))

    assert rewarded(length(100, 20), *map(answer, (80, 90, 100, 500))) == [0.0, -0.5, -1.0, -1.0]
    assert rewarded(length(100, 20), trajectory(step())) == [None]


def test_verifier_score():
    sure = trajectory(verdict=Verdict(passed=True, score=1.0, confidence=0.2))
    assert rewarded(verifier(), sure, trajectory()) == [1.0, None]
    assert rewarded(verifier(weigh=True), sure) == pytest.approx([0.6])


def test_infrastructure_has_no_reward_and_nan_is_refused():
    failed = trajectory(
        stop="infrastructure", failure=Failure(boundary="model", kind="timeout", message=""), success=False
    )
    assert rewarded(outcome(), failed) == [None]
    with pytest.raises(TrainingError, match="reward of odd is nan"):
        rewarded(of_trajectory(lambda found: math.nan), trajectory(ident="odd"))
    with pytest.raises(TrainingError, match="without the column 'trajectory' of 2 rows"):
        outcome()(["p", "q"], ["a", "b"], trajectory=[trajectory()])


def test_rows_as_a_dataset_gives_them_back():
    assert rewarded(outcome(), trajectory(success=True).model_dump(mode="json")) == [1.0]


def test_combining_by_hand():
    both = combined([(1.0, constant(1.0, None, None)), (0.5, constant(1.0, 4.0, None))], high=1.75)
    assert both(["p"] * 3, ["c"] * 3) == [1.5, 1.75, None]


def call(name, **arguments):
    return ToolCall(name=name, arguments=arguments)


@pytest.mark.parametrize(
    ("made", "wanted", "reward"),
    [
        # Everything right: 6 (1 + 1 + 1) / (1 + 1 + 1) - 3.
        ([call("add", a=1)], [call("add", a=1)], 3.0),
        # Wrong value: 6 * 2 / 3 - 3.
        ([call("add", a=2)], [call("add", a=1)], 1.0),
        # Wrong argument name too: 6 * 1 / 3 - 3.
        ([call("add", b=1)], [call("add", a=1)], -1.0),
        ([call("sub", a=1)], [call("add", a=1)], -3.0),
        ([], [call("add", a=1)], -3.0),
        ([], [], 3.0),
        ([call("add", a=1)], [], -3.0),
        # One argument of two: names 1, parameters 1/2, values 1: 6 * 2.5 / 4 - 3.
        ([call("add", a=1)], [call("add", a=1, b=2)], 0.75),
        # A call too many of another name: names 1/2: 6 * 2.5 / 3 - 3.
        ([call("add", a=1), call("sub")], [call("add", a=1)], 2.0),
        # The better of two calls is the one that is matched.
        ([call("add", a=9), call("add", a=1)], [call("add", a=1)], 3.0),
        # Two wanted, one made: names 1, one pair of 2: 6 * 3 / 5 - 3.
        ([call("add", a=1)], [call("add", a=1), call("add", a=2)], 0.6),
        ([call("now")], [call("now")], 3.0),
        ([ToolCall(name="add", arguments="not json")], [call("add", a=1)], -1.0),
    ],
)
def test_toolrl_by_hand(made, wanted, reward):
    assert tool_use.match(made, wanted) == pytest.approx(reward)
    found = rewarded(tool_use.matching(lambda t: wanted), trajectory(step(tool_calls=tuple(made))))
    assert found == pytest.approx([reward])


def test_toolrl_rises_with_each_right_field_and_is_bounded():
    wanted = [call("f", a=1, b=2, c=3)]
    made = [
        {"x": 0},
        {"a": 0},
        {"a": 1},
        {"a": 1, "b": 0},
        {"a": 1, "b": 2},
        {"a": 1, "b": 2, "c": 0},
        {"a": 1, "b": 2, "c": 3},
    ]
    values = [tool_use.match([call("f", **arguments)], wanted) for arguments in made]
    assert values == sorted(set(values)) and values[-1] == 3.0
    draw = random.Random(1)
    for _ in range(300):
        both = [
            [
                call(draw.choice("fg"), **{k: draw.randrange(2) for k in draw.sample("abc", draw.randrange(4))})
                for _ in range(draw.randrange(4))
            ]
            for _ in range(2)
        ]
        assert -3.0 <= tool_use.match(*both) <= 3.0
        assert tool_use.match(both[0], both[0]) == pytest.approx(3.0)


def test_using_tools_at_all():
    calls = (call("a"), call("b"), ToolCall(name="c", error="no"), ToolCall(name="d", ran=False))
    found = trajectory(step(tool_calls=calls))
    assert rewarded(tool_use.used(), found) == pytest.approx([0.2])
    assert rewarded(tool_use.used(progress=0.5), found) == pytest.approx([0.1])
    assert rewarded(tool_use.used(progress=2.0), found) == pytest.approx([0.0])
    assert rewarded(tool_use.used(weight=3.0), found) == [1.0]


def test_preference_as_reward():
    shaped = shaping.par(constant(2.0, None, 900.0, -900.0), [2.0])
    assert shaped([0] * 4, [0] * 4) == [0.5, None, 1.0, 0.0]
    two = shaping.par(constant(0.0), [0.0, math.log(3)])
    assert two([0], [0]) == pytest.approx([(0.5 + 0.25) / 2])
    with pytest.raises(TrainingError, match="at least one reference"):
        shaping.par(constant(1.0), [])


def test_repeating_good_steps_gains_nothing():
    assert shaping.clip((0.9, 0.2), 0.5) == pytest.approx((0.0, -0.3))
    # The last step has no part in it: .9 - .2, .2, 0.
    assert shaping.delta((0.9, 0.2, 0.6)) == pytest.approx((0.7, 0.2, 0.0))
    assert shaping.delta((0.9, 0.6)) == (0.9, 0.0) and shaping.delta((0.9,)) == (0.0,) and shaping.delta(()) == ()
    for extra in range(1, 20):
        steps = (0.4, *[0.9] * extra)
        assert sum(steps) > sum(steps[:-1])
        assert sum(shaping.clip(steps, 0.5)) <= sum(shaping.clip(steps[:-1], 0.5))
        assert sum(shaping.delta(steps)) == pytest.approx(0.4)


def test_backward_correction_restores_the_mean():
    noise = noisy.Noise(accepts_wrong=0.1, rejects_right=0.2)
    assert noisy.backward(constant(1.0, 0.0, None), noise)([0] * 3, [0] * 3) == pytest.approx(
        [0.9 / 0.7, -0.1 / 0.7, None]
    )
    draw = random.Random(5)
    truth = [draw.random() < 0.3 for _ in range(200_000)]
    seen = [float(draw.random() >= 0.2 if right else draw.random() < 0.1) for right in truth]
    mended = noisy.backward(constant(*seen), noise)(truth, truth)
    assert abs(sum(seen) / len(seen) - 0.3) > 0.005
    assert sum(mended) / len(mended) == pytest.approx(sum(truth) / len(truth), abs=0.01)
    with pytest.raises(TrainingError, match="no better than chance"):
        noisy.backward(constant(1.0), noisy.Noise(0.6, 0.4))
    with pytest.raises(TrainingError, match="error rates"):
        noisy.Noise(1.2, 0.0)


def test_forward_correction_keeps_the_direction_of_the_gradient():
    """A policy that answers right with probability p: its gradient in the logit of p is p (1 - p)."""
    p, rho0, rho1 = 0.3, 0.1, 0.2
    accepted, rejected = noisy.forward(constant(1.0, 0.0), rho1)([0] * 2, [0] * 2)
    assert (accepted, rejected) == pytest.approx((0.2, -0.8))
    score = {True: 1 - p, False: -p}
    chance = {True: p, False: 1 - p}
    accepts = {True: 1 - rho1, False: rho0}
    gradient = sum(
        chance[right] * (accepts[right] * accepted + (1 - accepts[right]) * rejected) * score[right]
        for right in (True, False)
    )
    assert gradient == pytest.approx((1 - rho0 - rho1) * p * (1 - p))


EVERY = {
    "outcome": outcome(),
    "environment": environment(),
    "invalid": invalid_actions(),
    "format": well_formed(),
    "length": length(8, 4),
    "verifier": verifier(),
    "progress": progress(),
    "tools": tool_use.used(),
    "toolrl": tool_use.matching(lambda found: [call("add", a=1)]),
    "par": shaping.par(environment(), [0.0]),
    "backward": noisy.backward(outcome(), noisy.Noise(0.1, 0.1)),
    "forward": noisy.forward(outcome(), 0.2),
    "sum": combined([(1.0, outcome()), (0.1, well_formed())], 0.0, 1.05),
}


@pytest.mark.filterwarnings("ignore")
def test_every_reward_is_a_reward_function_of_trls_own_trainer(tmp_path):
    """Plain GRPO calls them all with a dataset's column, one of whose rows no reward applies to."""
    failure = Failure(boundary="model", kind="timeout", message="")
    rows = [
        trajectory(step(reward=1.0, token_ids=(1, 2), tool_calls=(call("add", a=1),)), success=True, reward=1.0,
                   meta={"progress": [1.0]}, verdict=Verdict(passed=True, score=0.75)),
        trajectory(stop="infrastructure", failure=failure),
    ]  # fmt: skip
    for name, function in EVERY.items():
        function.__name__ = name
    trainer = trl.GRPOTrainer(
        model=tiny_model.model(),
        args=trl.GRPOConfig(
            output_dir=str(tmp_path), per_device_train_batch_size=4, num_generations=2, max_completion_length=2,
            report_to="none", use_cpu=True, bf16=False,
        ),
        processing_class=tiny_model.tokenizer(),
        reward_funcs=list(EVERY.values()),
        train_dataset=Dataset.from_dict({"prompt": ["red"] * 4}),
    )  # fmt: skip
    prompts = [{"prompt": "red", "trajectory": row.model_dump(mode="json")} for row in rows for _ in range(2)]
    trainer._generate_and_score_completions(prompts)
    seen = {name: list(trainer._logs["rewards"][name]) for name in EVERY}
    expected = {
        "outcome": 1.0, "environment": 1.0, "invalid": 0.0, "format": 0.0, "length": 0.0, "verifier": 0.75,
        "progress": 1.5, "tools": 0.1, "toolrl": 3.0, "par": 1 / (1 + math.exp(-1)), "backward": 1.125, "forward": 0.2,
        "sum": 1.0,
    }  # fmt: skip
    for name, values in seen.items():
        assert values[:2] == pytest.approx([expected[name]] * 2, abs=1e-6), name
        assert all(math.isnan(value) for value in values[2:]), name
