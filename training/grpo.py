"""TRL's GRPO over rows that are there already: from a store, or from fresh rollouts.

TRL generates what it trains on, takes one row per prompt and one advantage per row. The subclass here replaces just
the part that generates: batches come from rows with per-token advantages and the behaviour policy's own
log-probabilities. Loss types, ratios, clipping, KL, LoRA, accumulation, checkpoints and resuming stay TRL's.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from datasets import Dataset
from torch.utils.data import Sampler
from trl import GRPOConfig, GRPOTrainer
from trl.trainer.utils import RepeatSampler, use_adapter

from ..errors import TrainingError
from .collate import Weighed, collate

HOOKS = {
    "_generate_and_score_completions": ("self", "inputs"),
    "_compute_loss": ("self", "model", "inputs"),
    "_get_train_sampler": ("self", "dataset"),
    "_get_per_token_logps_and_entropies": ("self", "model", "input_ids", "attention_mask", "logits_to_keep"),
}
"""What of TRL (1.16 and 1.17) the trainer stands on, with the parameters it relies on; a test compares."""


class RowTrainer(GRPOTrainer):  # type: ignore[misc]
    """GRPO over given rows.

    Each row is seen once per epoch, in an order that `args.seed` fixes.

    Args:
        rows: rows with their advantages; all with behaviour log-probabilities, or none.
        behaviour: use the stored log-probabilities as those of the old policy. Without them the ratio is 1 in the
            first pass and the update is on-policy by assumption.
        keywords: what GRPOTrainer takes: model, args, processing_class, peft_config, callbacks, ...

    Raises:
        TrainingError: there are no rows, or `args` samples at another temperature than 1, at which stored
            log-probabilities would not be comparable.
    """

    def __init__(self, *, rows: Sequence[Weighed], args: GRPOConfig, behaviour: bool = True, **keywords: Any) -> None:
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
        self._rows = rows
        self._behaviour = behaviour
        super().__init__(
            reward_funcs=_unused,
            args=args,
            train_dataset=Dataset.from_dict({"prompt": [""] * len(rows), "row": list(range(len(rows)))}),
            **keywords,
        )

    def _get_train_sampler(self, dataset: Dataset | None = None) -> Sampler[int]:
        # TRL's loader gives a whole generation batch for each micro-batch and uses the first: hence the repeats. Rows
        # that do not fill the last batch of an epoch wait for the next one, which has another order.
        sampler: Sampler[int] = RepeatSampler(
            data_source=dataset if dataset is not None else self.train_dataset,
            mini_repeat_count=1,
            batch_size=self.args.generation_batch_size,
            repeat_count=self.num_iterations * self.args.steps_per_generation,
            shuffle=self.shuffle_dataset,
            seed=self.args.seed,
        )
        return sampler

    def _generate_and_score_completions(self, inputs: list[dict[str, Any]]) -> dict[str, Any]:
        """Return the batch of the rows that were drawn, in place of generating one."""
        batch = collate([self._rows[entry["row"]] for entry in inputs], self.processing_class.pad_token_id)
        if not self._behaviour:
            batch.pop("old_per_token_logps", None)
        found = {name: value.to(self.accelerator.device) for name, value in batch.items()}
        if self.beta != 0.0:
            found["ref_per_token_logps"] = self._reference(found)
        return found

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


def _unused(prompts: Sequence[Any], completions: Sequence[Any], **columns: Any) -> list[float]:
    raise AssertionError("rewards are settled before the rows are made")
