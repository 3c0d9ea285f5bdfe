"""The trainer over given rows: TRL's loss, with our rows in it."""

import inspect
import math
import random

import pytest
import tiny_model
import torch
import trl
from datasets import Dataset
from lamarck.errors import TrainingError
from lamarck.training.collate import Weighed, collate
from lamarck.training.grpo import HOOKS, RowTrainer, row_config
from lamarck.training.rows import Row
from peft import LoraConfig, get_peft_model

KEYS = ("completion_ids", "completion_mask", "prompt_ids", "prompt_mask", "advantages")
pytestmark = pytest.mark.filterwarnings("ignore")


def row(prompt, completion, mask=None, logprobs=None, steps=None):
    n = len(completion)
    return Row(
        "t", "g", tuple(prompt), tuple(completion), tuple(mask or (1,) * n),
        tuple(logprobs if logprobs is not None else (-2.0,) * n), tuple(steps or (0,) * n),
    )  # fmt: skip


def rows_of(net, seed=0, count=8):
    """Return random rows with the log-probabilities that `net` gives them, and random advantages."""
    draw, found = random.Random(seed), []
    for _ in range(count):
        prompt = draw.choices(range(3, 12), k=draw.randrange(1, 6))
        completion = draw.choices(range(1, 12), k=draw.randrange(1, 7))
        mask = [1, *draw.choices([0, 1, 1], k=len(completion) - 1)]
        old = [value * known for value, known in zip(tiny_model.logprobs(net, prompt, completion), mask, strict=True)]
        advantages = tuple(draw.uniform(-1, 1) * known for known in mask)
        found.append(Weighed(row(prompt, completion, mask, old), advantages))
    return found


def trainer(tmp_path, rows, net, **settings):
    behaviour, peft = settings.pop("behaviour", True), settings.pop("peft_config", None)
    config = row_config(
        str(tmp_path), **{"batch": 4, "use_cpu": True, "save_strategy": "no", "learning_rate": 1e-2, **settings}
    )
    return RowTrainer(
        rows=rows,
        args=config,
        model=net,
        processing_class=tiny_model.tokenizer(),
        behaviour=behaviour,
        peft_config=peft,
    )


def test_collating_by_hand():
    first, second = row([5], [6, 7, 8], [1, 0, 1]), row([3, 4], [9])
    out = collate([Weighed(first, (1.0, 0.0, -1.0)), Weighed(second, (0.5,))], pad_id=0)
    assert out["prompt_ids"].tolist() == [[0, 5], [3, 4]] and out["prompt_mask"].tolist() == [[0, 1], [1, 1]]
    assert out["completion_ids"].tolist() == [[6, 7, 8], [9, 0, 0]]
    assert out["completion_mask"].tolist() == [[1, 1, 1], [1, 0, 0]] and out["tool_mask"].tolist() == [
        [1, 0, 1],
        [1, 0, 0],
    ]
    assert out["advantages"].tolist() == [[1.0, 0.0, -1.0], [0.5, 0.0, 0.0]]
    assert out["old_per_token_logps"].tolist() == [[-2.0] * 3, [-2.0, 0.0, 0.0]]
    assert out["num_items_in_batch"] == 3
    assert "old_per_token_logps" not in collate([Weighed(row([1], [2], logprobs=()), (1.0,))], 0)


@pytest.mark.parametrize(
    ("batch", "message"),
    [
        ([Weighed(row([1], [2, 3]), (1.0,))], "1 advantages for 2 tokens"),
        ([Weighed(row([], [2]), (1.0,))], "no prompt"),
        ([Weighed(row([1], [2], [0]), (1.0,))], "nothing that was sampled"),
        ([Weighed(row([1], [2]), (1.0,)), Weighed(row([1], [2], logprobs=()), (1.0,))], "mixes rows"),
    ],
)
def test_rows_that_cannot_be_trained_on(batch, message):
    with pytest.raises(TrainingError, match=message):
        collate(batch, 0)


def test_the_hooks_in_trl_are_where_they_were():
    for name, parameters in HOOKS.items():
        found = tuple(inspect.signature(getattr(trl.GRPOTrainer, name)).parameters)
        assert found[: len(parameters)] == parameters, f"TRL {trl.__version__} moved {name}: it takes {found}"
    source = inspect.getsource(trl.GRPOTrainer._compute_loss)
    for key in ("tool_mask", "advantages", "old_per_token_logps", "ref_per_token_logps", "num_items_in_batch"):
        assert f'"{key}"' in source, f"TRL {trl.__version__} reads no {key}"
    assert "advantages.dim() == 1" in source


@pytest.mark.parametrize(
    ("where", "lines"),
    [
        (
            "__init__",
            ("self.num_iterations = ", "self.shuffle_dataset = ", "self.epsilon_low = ", "self.epsilon_high = "),
        ),
        ("__init__", ('model.add_adapter("ref"', 'name.replace(".default.", ".ref.")', "self._metrics = ")),
        ("_compute_loss", ("self.epsilon_low", "self.epsilon_high", "self._get_per_token_logps_and_entropies(")),
        ("_compute_loss", ("self._metrics[mode]",)),
        ("log", ('mode = "train" if self.model.training else "eval"', "self._metrics[mode].items()")),
        ("_get_train_sampler", ("self.num_iterations * self.args.steps_per_generation", "self.shuffle_dataset")),
        ("_prepare_inputs", ("self.args.steps_per_generation * self.num_iterations", "self._buffered_inputs")),
    ],
)
def test_the_attributes_of_trl_that_are_read_and_set_are_the_ones_it_uses(where, lines):
    source = inspect.getsource(getattr(trl.GRPOTrainer, where))
    for line in lines:
        assert line in source, f"TRL {trl.__version__} has no {line!r} in {where}"


def test_a_trainer_has_what_is_read_and_set(tmp_path):
    """Metrics are lists by name, bounds are the ones of the settings, and an adapter has its copy to compare with."""
    net = get_peft_model(tiny_model.model(), LoraConfig(r=2, target_modules=["q_proj"], task_type="CAUSAL_LM"))
    settings = {"batch": 4, "use_cpu": True, "epsilon": 0.1, "epsilon_high": 0.3, "beta": 0.1}
    config = row_config(str(tmp_path), **settings)
    rows = rows_of(tiny_model.model())
    ours = RowTrainer(rows=rows, args=config, model=net, processing_class=tiny_model.tokenizer())
    assert (ours.epsilon_low, ours.epsilon_high) == (0.1, 0.3)
    assert (ours.num_iterations, ours.shuffle_dataset) == (1, True)
    assert ours._metrics["train"]["a figure of ours"] == [] and ours._metrics["eval"]["another"] == []
    assert set(net.peft_config) == {"default", "ref"}


@pytest.mark.parametrize("loss", ["grpo", "dapo", "bnpo", "dr_grpo", "cispo", "sapo"])
def test_loss_and_gradients_are_those_of_plain_trl(tmp_path, loss):
    """TRL generates and scores a batch; the same ids and advantages go through our rows."""
    net, words = tiny_model.model(), tiny_model.tokenizer()
    config = trl.GRPOConfig(
        output_dir=str(tmp_path), per_device_train_batch_size=8, num_generations=4, max_completion_length=6,
        loss_type=loss, report_to="none", use_cpu=True, bf16=False,
    )  # fmt: skip
    plain = trl.GRPOTrainer(
        model=net, args=config, processing_class=words, reward_funcs=lengths,
        train_dataset=Dataset.from_dict({"prompt": ["red door", "look key left"] * 4}),
    )  # fmt: skip
    plain.create_optimizer()
    torch.manual_seed(1)
    inputs = plain._generate_and_score_completions([{"prompt": p} for p in ["red door"] * 4 + ["look key left"] * 4])
    plain.current_gradient_accumulation_steps = 1
    wanted = gradients(plain, net, inputs)
    rows = []
    for ids, mask, prompt, known, advantage in zip(
        *(inputs[k].tolist() for k in KEYS),
        strict=True,
    ):
        prompt = [token for token, there in zip(prompt, known, strict=True) if there]
        completion = [token for token, there in zip(ids, mask, strict=True) if there]
        old = tiny_model.logprobs(net, prompt, completion)
        rows.append(Weighed(row(prompt, completion, logprobs=old), (advantage,) * len(completion)))
    assert any(rows[0].advantages) and len({len(r.row.completion_ids) for r in rows}) > 1
    config = row_config(str(tmp_path), batch=8, loss_type=loss, max_completion_length=6, use_cpu=True)
    ours = RowTrainer(rows=rows, args=config, model=net, processing_class=words)
    ours.create_optimizer()
    ours.current_gradient_accumulation_steps = 1
    found = gradients(ours, net, ours._generate_and_score_completions([{"row": i} for i in range(8)]))
    assert math.isclose(found[0], wanted[0], abs_tol=1e-5)
    for mine, theirs in zip(found[1], wanted[1], strict=True):
        assert torch.allclose(mine, theirs, atol=1e-5)
    assert any(part.abs().max() > 1e-4 for part in wanted[1])


def lengths(completions, **columns):
    return [float(len(completion)) for completion in completions]


def gradients(trainer, net, inputs):
    net.train()
    net.zero_grad()
    loss = trainer._compute_loss(net, inputs)
    loss.backward()
    return loss.item(), [part.grad.clone() for part in net.parameters()]


def test_per_token_advantages_against_a_direct_computation(tmp_path):
    """A policy that has moved since the rows were sampled: ratios, clipping and masks by hand."""
    before, net = tiny_model.model(seed=1), tiny_model.model(seed=2)
    rows = rows_of(before)
    ours = trainer(tmp_path, rows, net, batch=8, loss_type="dapo")
    ours.create_optimizer()
    ours.current_gradient_accumulation_steps = 1
    net.train()
    found = ours._compute_loss(net, ours._generate_and_score_completions([{"row": i} for i in range(8)])).item()
    total, tokens, clipped, ratios = 0.0, 0, 0, []
    for given, advantages in rows:
        now = tiny_model.logprobs(net, given.prompt_ids, given.completion_ids)
        for new, old, known, advantage in zip(now, given.logprobs, given.loss_mask, advantages, strict=True):
            if known:
                ratio = math.exp(new - old)
                ratios.append(ratio)
                kept = min(max(ratio, 0.8), 1.2)
                clipped += kept != ratio
                total -= min(ratio * advantage, kept * advantage)
                tokens += 1
    assert clipped > 3
    assert found == pytest.approx(total / tokens, abs=1e-5)
    logged = ours._metrics["train"]
    assert logged["ratio/mean"] == [pytest.approx(sum(ratios) / tokens, abs=1e-5)]
    assert logged["ratio/max"] == [pytest.approx(max(ratios), abs=1e-5)]
    assert logged["kl_on_record"] == [pytest.approx(sum(r - 1 - math.log(r) for r in ratios) / tokens, abs=1e-5)]


def test_one_good_token_becomes_likelier_and_a_read_one_is_left_alone(tmp_path):
    net = tiny_model.model()
    prompt, completion = [3, 10], [5, 11, 6]
    before = tiny_model.logprobs(net, prompt, completion)
    old = [before[0], 0.0, before[2]]
    rows = [Weighed(row(prompt, completion, [1, 0, 1], old, [0, 1, 1]), (1.0, 0.0, -1.0))] * 4
    ours = trainer(tmp_path, rows, net, max_steps=5, loss_type="grpo", logging_steps=1)
    ours.train()
    after = tiny_model.logprobs(net, prompt, completion)
    assert after[0] > before[0] + 0.1 and after[2] < before[2] - 0.1
    names = {key for entry in ours.state.log_history for key in entry}
    assert {"entropy", "clip_ratio/region_mean", "loss"} <= names


def test_lora_with_kl_learns_and_its_checkpoint_goes_on(tmp_path):
    net = tiny_model.model()
    rows = [Weighed(row([3, 10], [5], logprobs=tiny_model.logprobs(net, [3, 10], [5])), (1.0,))] * 8
    lora = LoraConfig(r=4, target_modules=["q_proj", "v_proj"], task_type="CAUSAL_LM")
    settings = {"beta": 0.05, "save_strategy": "steps", "save_steps": 2, "logging_steps": 1}
    first = trainer(tmp_path, rows, net, max_steps=4, peft_config=lora, **settings)
    first.train()
    assert first.state.log_history[-1]["step"] == 4
    kls = [entry["kl"] for entry in first.state.log_history if "kl" in entry]
    assert kls[0] == pytest.approx(0.0, abs=1e-6)
    again = trainer(tmp_path, rows, tiny_model.model(), max_steps=6, peft_config=lora, **settings)
    again.train(resume_from_checkpoint=str(tmp_path / "checkpoint-4"))
    assert again.state.global_step == 6


def test_accumulation_sees_each_row_once_an_epoch(tmp_path):
    net = tiny_model.model()
    rows = rows_of(net, count=12)
    ours = trainer(tmp_path, rows, net, batch=2, accumulate=3, num_train_epochs=2)
    seen = []
    make = ours._generate_and_score_completions
    ours._generate_and_score_completions = lambda inputs: (seen.extend(entry["row"] for entry in inputs), make(inputs))[
        1
    ]
    ours.train()
    assert sorted(seen[:12]) == list(range(12)) and sorted(seen[12:]) == list(range(12)) and len(seen) == 24
    assert ours.state.global_step == 4


def test_resumed_in_a_later_epoch_it_ends_where_it_would_have_ended(tmp_path):
    rows = rows_of(tiny_model.model(), count=8)
    settings = {"batch": 2, "accumulate": 2, "num_train_epochs": 2, "save_strategy": "steps", "save_steps": 1}
    ends = []
    for place in (None, tmp_path / "whole" / "checkpoint-3"):
        ours = trainer(tmp_path / ("again" if place else "whole"), rows, tiny_model.model(), **settings)
        ours.train(resume_from_checkpoint=place and str(place))
        ends.append({name: value.clone() for name, value in ours.model.state_dict().items()})
    assert all(torch.equal(value, ends[1][name]) for name, value in ends[0].items())


def test_what_cannot_be_trained_is_said(tmp_path):
    net = tiny_model.model()
    with pytest.raises(TrainingError, match="no rows"):
        trainer(tmp_path, [], net)
    with pytest.raises(TrainingError, match="2 rows do not fill one batch of 4"):
        trainer(tmp_path, rows_of(net, count=2), net)
    with pytest.raises(TrainingError, match=r"temperature is 0\.7"):
        trainer(tmp_path, rows_of(net), net, temperature=0.7)
    with pytest.raises(TrainingError, match="at least two rows"):
        row_config(str(tmp_path), batch=1)
