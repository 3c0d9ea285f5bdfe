"""An objective in TRL's trainer: from a batch to one number."""

from __future__ import annotations

from typing import Any, Protocol

import torch
from torch import Tensor

from .objective import Objective, Tokens


class Scoring(Protocol):
    """What is needed of TRL's GRPO trainer (1.16 and 1.17) beyond the batch."""

    model: Any
    args: Any
    accelerator: Any
    beta: float
    state: Any
    current_gradient_accumulation_steps: int
    _metrics: Any

    def _get_per_token_logps_and_entropies(self, *arguments: Any, **keywords: Any) -> Any: ...


def objective_loss(trainer: Scoring, objective: Objective, model: Any, inputs: dict[str, Any]) -> Tensor:
    """Return the loss of a micro-batch: a number whose sum over an update is the mean over its sampled tokens.

    The KL term is TRL's: grpo.beta times (r - 1) - log r with r = pi_ref / pi (Schulman 2020, "k3"), times
    the ratio pi / pi_old where TRL corrects it so (DeepSeek-V3.2, as TRL cites it).
    """
    mask = inputs["completion_mask"] * inputs["tool_mask"]
    logprobs, entropies, _ = trainer._get_per_token_logps_and_entropies(
        model,
        torch.cat([inputs["prompt_ids"], inputs["completion_ids"]], dim=1),
        torch.cat([inputs["prompt_mask"], inputs["completion_mask"]], dim=1),
        mask.size(1),
        compute_entropy=True,
    )
    # What was read counts for nothing, whatever its loss and its slope; 0 times infinity would be no number.
    logprobs = torch.where(mask > 0, logprobs, logprobs.detach())
    old = inputs.get("old_per_token_logps", logprobs.detach())
    planned = trainer.state.max_steps or 0
    progress = min(1.0, trainer.state.global_step / planned) if planned > 0 else 0.0
    tokens = Tokens(logprobs, old, inputs["advantages"], mask, progress)
    losses, figures = objective(tokens)
    log = trainer._metrics["train" if trainer.model.training else "eval"]
    if trainer.beta != 0.0:
        away = inputs["ref_per_token_logps"] - logprobs
        kl = (away.exp() - away - 1) * (tokens.ratio if trainer.args.use_bias_correction_kl else 1.0)
        log["kl"].append(_mean(kl, mask))
        losses = losses + trainer.beta * kl
    log["entropy"].append(_mean(entropies, mask))
    for key, value in figures.items():
        log[key].append(value)
    total: Tensor = torch.where(mask > 0, losses, torch.zeros_like(losses)).sum()
    return total / _tokens(trainer, inputs)


def _tokens(trainer: Scoring, inputs: dict[str, Any]) -> Tensor:
    """Return the number of sampled tokens of an update, as TRL counts them for its loss `dapo`."""
    count: Tensor = inputs["num_items_in_batch"].clamp(min=1.0) / trainer.accelerator.num_processes
    if trainer.model.training:
        count = count * trainer.current_gradient_accumulation_steps / trainer.args.steps_per_generation
    return count


def _mean(values: Tensor, mask: Tensor) -> float:
    return float((values.detach() * mask).sum() / mask.sum().clamp(min=1))
