"""TRL's GRPO over rows that are there already: from a store, or from fresh rollouts.

TRL generates what it trains on, takes one row per prompt and one advantage per row. The subclass here replaces just
the part that generates: batches come from rows with per-token advantages and the behaviour policy's own
log-probabilities. Loss types, ratios, clipping, KL, LoRA, accumulation, checkpoints and resuming stay TRL's.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from datasets import Dataset
from torch.utils.data import Sampler
from trl import GRPOConfig, GRPOTrainer
from trl.trainer.utils import use_adapter

from ..errors import TrainingError
from .collate import Weighed, collate
from .objectives.applied import objective_loss
from .objectives.objective import Objective
from .together import TogetherSampler

HOOKS = {
    "_generate_and_score_completions": ("self", "inputs"),
    "_compute_loss": ("self", "model", "inputs"),
    "_get_train_sampler": ("self", "dataset"),
    "_get_per_token_logps_and_entropies": ("self", "model", "input_ids", "attention_mask", "logits_to_keep"),
}
"""What of TRL (1.16 and 1.17) the trainer stands on, with the parameters it relies on; a test compares."""


class RowTrainer(GRPOTrainer):  # type: ignore[misc]
    """GRPO over given rows.

    Each row is seen once per epoch, in an order that `args.seed` and the epoch fix, also where a run is resumed. Rows
    that do not fill the last batch wait for the next epoch, which has another order.

    Args:
        rows: rows with their advantages; all with behaviour log-probabilities, or none.
        behaviour: use the stored log-probabilities as those of the old policy. Without them the ratio is 1 in the
            first pass and the update is on-policy by assumption.
        held: rows to measure the loss on.
        returns: what each attempt got, by trajectory id, for the log.
        clip_stripped: how far above 1 the ratio counts in rows that lost what was recalled; None is as in others.
        objective: a loss in the place of TRL's own (`args.loss_type`, its ratio and its clipping).
        keywords: what GRPOTrainer takes: model, args, processing_class, peft_config, callbacks, ...

    Raises:
        TrainingError: there are no rows, or `args` samples at another temperature than 1, at which stored
            log-probabilities would not be comparable.
    """

    epsilon_low: Any
    epsilon_high: Any

    def __init__(
        self,
        *,
        rows: Sequence[Weighed],
        args: GRPOConfig,
        behaviour: bool = True,
        held: Sequence[Weighed] = (),
        returns: Mapping[str, float] | None = None,
        clip_stripped: float | None = None,
        objective: Objective | None = None,
        **keywords: Any,
    ) -> None:
        if not rows:
            raise TrainingError("there are no rows to train on.", hint="See `lamarck train inspect RUN`.")
        if len(rows) < args.generation_batch_size:
            raise TrainingError(
                f"{len(rows)} rows do not fill one batch of {args.generation_batch_size}.",
                hint="Take a smaller batch or less accumulation, or collect more.",
            )
        if args.temperature != 1.0:
            raise TrainingError(
                f"temperature is {args.temperature}, but stored log-probabilities are those at 1.",
                hint="Leave it at 1; it plays no part in training on stored rows.",
            )
        self._rows, self._all = rows, [*rows, *held]
        self._behaviour = behaviour
        self._returns = dict(returns or {})
        self._clip_stripped = clip_stripped
        self._objective = objective
        super().__init__(
            reward_funcs=_unused,
            args=args,
            train_dataset=_places(0, len(rows)),
            eval_dataset=_places(len(rows), len(self._all)) if held else None,
            **keywords,
        )

    def _get_train_sampler(self, dataset: Dataset | None = None) -> Sampler[int]:
        # TRL's own sampler begins with the first epoch's order wherever a run is resumed.
        return TogetherSampler(
            [row for row, _ in self._rows],
            block=self._block,
            blocks=self.args.generation_batch_size // self._block,
            # TRL's loader gives a whole generation batch for each micro-batch and uses the first.
            repeats=self.num_iterations * self.args.steps_per_generation,
            shuffle=self.shuffle_dataset,
            seed=self.args.seed,
        )

    @property
    def _block(self) -> int:
        """How many rows that begin alike are kept together."""
        return 1

    def _generate_and_score_completions(self, inputs: list[dict[str, Any]]) -> dict[str, Any]:
        """Return the batch of the rows that were drawn, in place of generating one."""
        drawn = [self._all[entry["row"]] for entry in inputs]
        batch = collate(drawn, self.processing_class.pad_token_id)
        if not self._behaviour:
            batch.pop("old_per_token_logps", None)
        found = {name: value.to(self.accelerator.device) for name, value in batch.items()}
        if self.beta != 0.0:
            found["ref_per_token_logps"] = self._reference(found)
        if self._clip_stripped is not None:
            bounds = [[self._clip_stripped if row.stripped else self.epsilon_high] for row, _ in drawn]
            found["clip_high"] = torch.tensor(bounds, device=self.accelerator.device)
        if self.model.training:
            self._note(drawn)
        return found

    @contextmanager
    def _clips(self, inputs: dict[str, Any]) -> Iterator[None]:
        """Give each row its own upper clip, where rows have one."""
        high, low, before = inputs.get("clip_high"), self.epsilon_low, self.epsilon_high
        if high is not None:
            # (B, 1) against ratios of (B, T) or (B, 1); torch clamps between two numbers or two tensors.
            self.epsilon_low, self.epsilon_high = torch.full_like(high, low), high
        try:
            yield
        finally:
            self.epsilon_low, self.epsilon_high = low, before

    def _note(self, drawn: Sequence[Weighed]) -> None:
        """Tell TRL's log what the rows of an update got, and how many tokens there were so far."""
        self.state.num_input_tokens_seen += sum(len(row.prompt_ids) + len(row.completion_ids) for row, _ in drawn)
        self._metrics["train"]["num_tokens"] = [self.state.num_input_tokens_seen]
        known = [self._returns[row.trajectory_id] for row, _ in drawn if row.trajectory_id in self._returns]
        if known:
            self._metrics["train"]["reward"].append(math.fsum(known) / len(known))

    def _compute_loss(self, model: Any, inputs: dict[str, Any]) -> torch.Tensor:
        """Return TRL's loss, and log how far the policy is from the one on record, which TRL does not."""
        scored: list[torch.Tensor] = []
        score = self._get_per_token_logps_and_entropies

        def noting(*arguments: Any, **keywords: Any) -> Any:
            found = score(*arguments, **keywords)
            scored.append(found[0].detach())
            return found

        # TRL keeps the log-probabilities to itself; for this call they pass by here.
        self._get_per_token_logps_and_entropies: Any = noting
        try:
            with self._clips(inputs):
                loss: torch.Tensor
                if self._objective is None:
                    loss = super()._compute_loss(model, inputs)
                else:
                    loss = objective_loss(self, self._objective, model, inputs)
        finally:
            del self._get_per_token_logps_and_entropies
        if scored and self.model.training and "old_per_token_logps" in inputs:
            known = (inputs["completion_mask"] * inputs["tool_mask"]).bool()
            self._note_ratio((scored[0] - inputs["old_per_token_logps"])[known].float())
        return loss

    def _note_ratio(self, log_ratio: torch.Tensor) -> None:
        """Log mean and largest ratio pi / mu, and the divergence of pi from mu, over the (K,) sampled tokens.

        The divergence is KL(mu || pi), by the estimator (r - 1) - log r (Schulman 2020, "k3"); the tokens are mu's.
        """
        ratio = log_ratio.exp()
        metrics = self._metrics["train"]
        metrics["ratio/mean"].append(ratio.mean().item())
        metrics["ratio/max"].append(ratio.max().item())
        metrics["kl_on_record"].append((ratio - 1 - log_ratio).mean().item())

    def _reference(self, batch: dict[str, Any]) -> torch.Tensor:
        """Return the reference policy's log-probabilities: (B, T)."""
        ids = torch.cat([batch["prompt_ids"], batch["completion_ids"]], dim=1)
        mask = torch.cat([batch["prompt_mask"], batch["completion_mask"]], dim=1)
        width = batch["completion_ids"].size(1)
        found: torch.Tensor
        with torch.no_grad():
            if self.ref_model is not None:
                found = self._get_per_token_logps_and_entropies(self.ref_model, ids, mask, width)[0]
                return found
            model = self.accelerator.unwrap_model(self.model)
            # A new adapter is compared with the base model; one that is trained further, with what it was.
            with use_adapter(model, adapter_name="ref" if "ref" in model.peft_config else None):
                found = self._get_per_token_logps_and_entropies(self.model, ids, mask, width)[0]
            return found


def row_config(out: str, *, batch: int, accumulate: int = 1, **settings: Any) -> GRPOConfig:
    """Return TRL's configuration for given rows: `batch` rows at once, `accumulate` batches per update.

    Raises:
        TrainingError: one row per update, which TRL does not allow.
    """
    if batch * accumulate < 2:
        raise TrainingError("an update needs at least two rows.", hint="Raise the batch size or the accumulation.")
    return GRPOConfig(
        output_dir=out,
        per_device_train_batch_size=batch,
        gradient_accumulation_steps=accumulate,
        # Nothing is generated; TRL asks that this divides the batch.
        num_generations=batch * accumulate,
        **{"report_to": "none", "bf16": False, **settings},
    )


def _places(start: int, stop: int) -> Dataset:
    return Dataset.from_dict({"prompt": [""] * (stop - start), "row": list(range(start, stop))})


def _unused(prompts: Sequence[Any], completions: Sequence[Any], **columns: Any) -> list[float]:
    raise AssertionError("rewards are settled before the rows are made")
