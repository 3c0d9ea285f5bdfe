"""What is replayed and what it weighs, by hand; and what the trainer makes of the weights."""

import asyncio
import math
import random
from dataclasses import replace

import pytest
import stages
import tiny_model
import torch
from lamarck.config_training import TrainConfig
from lamarck.core import Task, Trajectory
from lamarck.errors import TrainingError
from lamarck.training.collate import Weighed
from lamarck.training.dynamic import gather
from lamarck.training.grpo import RowTrainer, row_config
from lamarck.training.replay_plan import FAR, STALE, UNKNOWN, mix, plan_replay
from lamarck.training.rows import Row

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def row(ident, version, logprobs, mask=None, prompt=(1,), completion=None):
    n = len(mask or logprobs)
    return Row(
        ident, "g", tuple(prompt), tuple(completion or (2,) * n), tuple(mask or (1,) * n), tuple(logprobs),
        (0,) * n, "m", version,
    )  # fmt: skip


def config(**replay):
    return TrainConfig.model_validate({"kind": "grpo", "replay": replay})


ROWS = [
    Weighed(row("new", "w+3", (-1.0, -1.0)), (1.0, 1.0)),
    Weighed(row("read", "w+2", (-1.0, 0.0, -1.0), (1, 0, 1)), (-2.0, 0.0, -2.0)),
    Weighed(row("old", "w+1", (-3.0,)), (0.5,)),
    Weighed(row("far", "w+2", (-6.0,)), (1.0,)),
    Weighed(row("older", "w", (-1.0,)), (1.0,)),
    Weighed(row("stranger", "v", (-1.0,)), (1.0,)),
    Weighed(row("text", "w+3", (), (1, 1)), (1.0, 1.0)),
]
AGES = {"w+3": 0, "w+2": 1, "w+1": 2, "w": 3}
NOW = {"new": (-1.0, -1.0), "read": (-1.2, -7.0, -1.4), "old": (-1.5,), "far": (-1.0,)}


def now(rows):
    return [NOW[one.trajectory_id] for one in rows]


def test_the_whole_plan_by_hand():
    found = plan_replay(config(staleness=2, truncate=2.0, trust=2.0), ROWS, AGES, now)
    # new: pi = mu. read: mean of -0.2 and -0.4. old: exp(1.5) = 4.48, cut at 2. far: 5 nats, beyond 2.
    weights = (1.0, math.exp(-0.3), 2.0)
    assert found.weights == pytest.approx(weights)
    assert [one.row.trajectory_id for one in found.rows] == ["new", "read", "old"]
    assert found.left_out == {STALE: 2, UNKNOWN: 1, FAR: 1}
    assert [one.advantages for one in found.rows] == [
        (1.0, 1.0), pytest.approx((-2 * weights[1], 0.0, -2 * weights[1])), (1.0,),
    ]  # fmt: skip
    # The anchor of the clipping is today's policy, 0 where the token was read.
    assert [one.row.logprobs for one in found.rows] == [(-1.0, -1.0), (-1.2, 0.0, -1.4), (-1.5,)]
    total, squares = 3 + weights[1], 5 + weights[1] ** 2
    assert found.ess == pytest.approx((total - 0.0) ** 2 / squares)
    assert found.ages == {0: 1, 1: 1, 2: 1} and found.log_ratio == pytest.approx((0 + 0.3 + 1.5) / 3)
    figures = found.figures()
    assert figures["replay/ess_share"] == pytest.approx(found.ess / 3) and figures["replay/age_max"] == 2
    assert figures[f"replay/left_out/{STALE}"] == 2 and figures["replay/weight_max"] == 2.0


def test_one_weight_per_token():
    [found] = plan_replay(
        config(weights="token", truncate=1.2), ROWS[1:2], AGES, lambda rows: [(-0.5, -7.0, -1.4)]
    ).rows
    assert found.advantages == pytest.approx((-2 * 1.2, 0.0, -2 * math.exp(-0.4)))
    planned = plan_replay(config(weights="token", truncate=1.2), ROWS[1:2], AGES, lambda rows: [(-0.5, -7.0, -1.4)])
    assert planned.weights == pytest.approx(((1.2 + math.exp(-0.4)) / 2,))


def test_without_todays_policy_rows_stay_as_they_are():
    found = plan_replay(config(staleness=1), ROWS, AGES)
    assert found.rows == [ROWS[0], ROWS[1], ROWS[3]] and found.ess == 3.0 and found.weights == ()
    everything = plan_replay(config(), ROWS, AGES)
    assert len(everything.rows) == 6 and everything.left_out == {UNKNOWN: 1}
    assert everything.ages == {0: 1, 1: 2, 2: 1, 3: 1}
    nothing = plan_replay(config(), [], AGES, now)
    assert nothing.rows == [] and nothing.ess == 0.0 and nothing.figures() == {"replay/rows": 0, "replay/ess": 0.0}


def test_a_policy_without_numbers_is_told():
    with pytest.raises(TrainingError, match="trajectory new log-probabilities that are not finite"):
        plan_replay(config(), ROWS[:1], AGES, lambda rows: [(float("nan"), -1.0)])


def test_the_loss_of_replayed_rows_against_a_direct_computation(tmp_path):
    """The first update on rows of an older policy: weight times advantage, and nothing is clipped away."""
    before, net = tiny_model.model(seed=1), tiny_model.model(seed=2)
    draw, rows = random.Random(0), []
    for n in range(8):
        prompt, completion = draw.choices(range(3, 12), k=3), draw.choices(range(1, 12), k=4)
        mask = (1, 0, 1, 1)
        old = [a * b for a, b in zip(tiny_model.logprobs(before, prompt, completion), mask, strict=True)]
        made = row(str(n), "w", old, mask, prompt, completion)
        rows.append(Weighed(made, made.advantages([draw.uniform(-1, 1)])))
    pi = [tuple(tiny_model.logprobs(net, r.prompt_ids, r.completion_ids)) for r, _ in rows]
    planned = plan_replay(config(truncate=1.1), rows, {"w": 1}, lambda found: pi)
    wanted, outside = 0.0, 0
    for (given, advantages), new in zip(rows, pi, strict=True):
        gaps = [a - b for a, b, known in zip(new, given.logprobs, given.loss_mask, strict=True) if known]
        weight = min(math.exp(sum(gaps) / 3), 1.1)
        outside += sum(abs(math.exp(gap) - 1) > 0.1 for gap in gaps)
        wanted -= sum(weight * a for a, known in zip(advantages, given.loss_mask, strict=True) if known)
    assert outside > 8, "the policies must be apart, or this says nothing"
    assert 1 < planned.ess < 8 and max(planned.weights) == 1.1 > min(planned.weights)
    settings = row_config(str(tmp_path), batch=8, loss_type="dapo", use_cpu=True, epsilon=0.1)
    trainer = RowTrainer(rows=planned.rows, args=settings, model=net, processing_class=tiny_model.tokenizer())
    trainer.create_optimizer()
    trainer.current_gradient_accumulation_steps = 1
    net.train()
    loss = trainer._compute_loss(net, trainer._generate_and_score_completions([{"row": n} for n in range(8)]))
    assert loss.item() == pytest.approx(wanted / 24, abs=1e-5)
    loss.backward()
    assert trainer._metrics["train"]["clip_ratio/region_mean"] == [0.0]


def test_a_resumed_stage_keeps_the_anchor_it_began_with(tmp_path):
    """Were rows weighed again by the policy of the checkpoint, it would end elsewhere."""
    model = stages.model_folder(tmp_path / "model")
    found = [
        one.model_copy(update={"steps": tuple(step.model_copy(update=another(step)) for step in one.steps)})
        for one in stages.attempts(model, stages.TASK.contexts[:1])
    ]
    settings = {"samples.rows": "step", "optimizer.max_steps": 3}
    with stages.light():
        straight = stages.fit(model, found, tmp_path / "straight", "grpo", **settings)
        assert straight.data.figures["replay/log_ratio"] == pytest.approx(0.25, abs=1e-4)
        stopped = stages.fit(model, found, tmp_path / "cut", "grpo", watch=stages.Seen(stop_at=2), **settings)
        assert stopped.interrupted and stopped.steps == 2
        resumed = stages.fit(model, found, tmp_path / "cut", "grpo", resume=True, **settings)
    assert resumed.adapter == straight.adapter


def another(step):
    """Return what a step would say if an adapter had sampled it that made its tokens less likely."""
    return {
        "policy_version": f"{step.policy_version}+{'0' * 12}",
        "logprobs": tuple(value - 0.25 for value in step.logprobs),
    }


def some(prefix, count):
    return [Weighed(row(f"{prefix}{n}", "w", (-1.0,)), (1.0,)) for n in range(count)]


def test_mixing_fresh_and_older_rows():
    fresh, older = some("f", 6), some("o", 20)
    found = mix(fresh, older, 0.6, seed=1)
    assert found[:6] == fresh and len(found) == 10 and len({one.row.trajectory_id for one in found}) == 10
    assert found == mix(fresh, older, 0.6, seed=1) != mix(fresh, older, 0.6, seed=2)
    assert mix(fresh, older, 1.0, seed=1) == fresh
    assert len(mix(fresh, older[:2], 0.1, seed=1)) == 8
    # A row that is there twice, or among the fresh ones, comes once.
    assert len(mix(fresh, [*older, *older, *fresh], 0.01, seed=1)) == 26
    assert len(mix([*fresh, *fresh], [], 1.0, seed=1)) == 6


def group(name, rewards):
    task = Task(id=name, goal="", environment="e")
    known = {"run_id": "r", "task": task, "stop": "terminated", "group_id": name}
    return [Trajectory(id=f"{name}{n}", reward=r, success=bool(r), **known) for n, r in enumerate(rewards)]


def test_asking_goes_on_until_enough_groups_differ():
    batches = [group("a", (1, 1)) + group("b", (0, 1)), group("c", (0, 0)), group("d", (1, 0)) + group("e", (0, 1))]
    asked = []

    async def ask(n):
        asked.append(n)
        return batches[n % 3]

    found = asyncio.run(gather(ask, 2))
    assert [one[0].group_id for one in found.groups] == ["b", "d", "e"] and asked == [0, 1, 2] and found.asked == 3
    assert len(found.attempts) == 10 and found.enough
    assert asyncio.run(gather(ask, 1)).asked == 1
    found = asyncio.run(gather(ask, 99, most=2))
    assert found.asked == 2 and len(found.groups) == 1
    chosen = asyncio.run(gather(ask, 2, most=3, choose=lambda groups: [one[:1] for one in groups]))
    assert not chosen.enough and chosen.asked == 3


@pytest.mark.parametrize("ratio", ["token", "sequence"])
def test_stripped_rows_have_a_wider_upper_clip(tmp_path, ratio):
    """Ratios of 1.5 for two rows, of which one was stripped of what was recalled: 1.28 and 1.5 count."""
    net, rows = tiny_model.model(), []
    for stripped in (False, True):
        now = tiny_model.logprobs(net, [3], [4, 5])
        made = row(str(stripped), "w", [value - math.log(1.5) for value in now], prompt=(3,), completion=(4, 5))
        rows.append(Weighed(replace(made, stripped=stripped), (1.0, 1.0)))
    settings = row_config(
        str(tmp_path), batch=2, loss_type="grpo", use_cpu=True, epsilon=0.2, epsilon_high=0.28,
        importance_sampling_level=ratio,
    )  # fmt: skip
    words = tiny_model.tokenizer()
    for clip, wanted in ((0.6, -(1.28 + 1.5) / 2), (0.4, -(1.28 + 1.4) / 2), (None, -1.28)):
        trainer = RowTrainer(rows=rows, args=settings, model=net, processing_class=words, clip_stripped=clip)
        trainer.create_optimizer()
        trainer.current_gradient_accumulation_steps = 1
        net.train()
        loss = trainer._compute_loss(net, trainer._generate_and_score_completions([{"row": 0}, {"row": 1}]))
        assert loss.item() == pytest.approx(wanted, abs=1e-5)
        assert (trainer.epsilon_low, trainer.epsilon_high) == (0.2, 0.28)


def test_stripped_rows_are_trained_in_shuffled_batches(tmp_path):
    net, words = tiny_model.model(), tiny_model.tokenizer()
    rows = []
    for n in range(8):
        made = row(str(n), "w", tiny_model.logprobs(net, [3], [4 + n % 3]), prompt=(3,), completion=(4 + n % 3,))
        rows.append(Weighed(replace(made, stripped=n % 2 == 0), (1.0 - n % 3,)))
    settings = row_config(str(tmp_path), batch=2, accumulate=2, use_cpu=True, save_strategy="no", max_steps=2)
    trainer = RowTrainer(rows=rows, args=settings, model=net, processing_class=words, clip_stripped=0.6)
    trainer.train()
    assert trainer.state.global_step == 2
