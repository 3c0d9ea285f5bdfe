"""Per-step rows through the trainer, against a loss worked out row by row from the formulas, and its gradients."""

import pytest
import small_task
import tiny_model
import torch
from lamarck.training.collate import Weighed
from lamarck.training.credit.episode import episode_of
from lamarck.training.credit.gigpo import GiGPO
from lamarck.training.grpo import RowTrainer, row_config
from lamarck.training.rows import episode_rows, step_rows
from peft import LoraConfig, get_peft_model

pytestmark = pytest.mark.filterwarnings("ignore")
LOW, HIGH, BETA = 0.2, 0.28, 0.3


def adapted():
    """Return a model with a new adapter, which changes nothing yet."""
    lora = LoraConfig(r=4, target_modules=["q_proj", "v_proj"], task_type="CAUSAL_LM")
    return get_peft_model(tiny_model.model(seed=2), lora)


def move(net):
    """Move the adapter away from where it started, which the model without it still is."""
    draw = torch.Generator().manual_seed(3)
    for name, part in net.named_parameters():
        if "lora_B.default" in name:
            part.data = torch.randn(part.shape, generator=draw) * 0.2


def played(rows):
    """Return rows of attempts by an older policy; every step of an episode has an advantage of its own."""
    task = small_task.OneDecides(at=1, length=4) if rows is step_rows else small_task.TwoSteps()
    groups = small_task.play(tiny_model.model(seed=1), task, 4, 3, version="older")
    # A reward at every other step, so that even attempts of an untrained model differ at each.
    credits = GiGPO(gamma=0.5).advantages(
        [
            [episode_of(one, [(n + i) % 3 for i in range(task.length)]) for n, one in enumerate(group)]
            for group in groups
        ]
    )
    return [
        Weighed(row, row.advantages(of_steps))
        for group, found in zip(groups, credits, strict=True)
        for one, of_steps in zip(group, found, strict=True)
        for row in rows(one)
    ]


def logprobs(net, row):
    """Return the log-probability of each completion token, (N,), with its gradient."""
    ids = torch.tensor([row.prompt_ids + row.completion_ids])
    start = len(row.prompt_ids)
    known = net(ids).logits[0, start - 1 : -1].log_softmax(-1)
    return known[torch.arange(len(row.completion_ids)), ids[0, start:]]


def direct(net, rows, loss, ratio, beta):
    """Return the loss, a row at a time and without padding."""
    of_rows, tokens = [], 0
    for row, advantages in rows:
        mask = torch.tensor(row.loss_mask, dtype=torch.float32)
        gap = logprobs(net, row) - torch.tensor(row.logprobs)
        weight = (gap if ratio == "token" else ((gap * mask).sum() / mask.sum()).expand(len(gap))).exp()
        advantage = torch.tensor(advantages)
        each = -torch.minimum(weight * advantage, weight.clamp(1 - LOW, 1 + HIGH) * advantage)
        if beta:
            with torch.no_grad(), net.disable_adapter():
                started = logprobs(net, row)
            far = started - logprobs(net, row)
            # k3, times the ratio: what TRL takes unless it is told otherwise.
            each = each + beta * (far.exp() - far - 1) * weight
        total = (each * mask).sum()
        of_rows.append(total / mask.sum() if loss == "grpo" else total)
        tokens += int(mask.sum())
    return torch.stack(of_rows).sum() / (len(rows) if loss == "grpo" else tokens)


def gradients(net, loss):
    net.zero_grad()
    loss.backward()
    return {name: part.grad.clone() for name, part in net.named_parameters() if part.grad is not None}


@pytest.mark.parametrize("form", [step_rows, episode_rows])
@pytest.mark.parametrize("loss", ["grpo", "dapo"])
@pytest.mark.parametrize("ratio", ["token", "sequence"])
@pytest.mark.parametrize("beta", [0.0, BETA])
def test_rows_against_a_direct_computation(tmp_path, form, loss, ratio, beta):
    net, rows = adapted(), played(form)
    of_one = [advantages[0] for row, advantages in rows if row.trajectory_id == rows[0].row.trajectory_id]
    assert len(set(of_one if form is step_rows else rows[0].advantages)) > 1
    args = row_config(
        str(tmp_path), batch=len(rows), loss_type=loss, importance_sampling_level=ratio, beta=beta, epsilon=LOW,
        epsilon_high=HIGH, use_cpu=True, gradient_checkpointing=False,
    )  # fmt: skip
    trainer = RowTrainer(rows=rows, args=args, model=net, processing_class=tiny_model.tokenizer())
    move(net)
    trainer.create_optimizer()
    trainer.current_gradient_accumulation_steps = 1
    net.train()
    found = trainer._compute_loss(
        net, trainer._generate_and_score_completions([{"row": n} for n in range(len(rows))])
    )  # fmt: skip
    mine = gradients(net, found)
    wanted = direct(net, rows, loss, ratio, beta)
    theirs = gradients(net, wanted)
    assert found.item() == pytest.approx(wanted.item(), abs=1e-5)
    assert mine.keys() == theirs.keys() and len(mine) == 8
    assert all(torch.allclose(mine[name], theirs[name], atol=1e-5) for name in mine)
    assert max(part.abs().max() for part in theirs.values()) > 1e-3
