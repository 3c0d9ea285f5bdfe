"""The row trainer that computes beginnings which rows share only once, and no padding at all."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from trl import GRPOConfig

from .collate import Weighed
from .grpo import RowTrainer
from .packed_attention import forward, install
from .packing import pack

log = logging.getLogger("lamarck.training")

AT_ONCE = 2**25
"""Logits whose entropies are computed at once; 128 MiB in float32."""


class PackedRowTrainer(RowTrainer):
    """GRPO over given rows, each micro-batch as one sequence.

    The loss and its gradients are those of `RowTrainer`, up to rounding. Three things are saved: tokens that rows have
    in common, padding, and the output layer for tokens that were read and not sampled (their log-probabilities, which
    no loss looks at, are returned as 0). Rows of one trajectory, and then of one group, are put in the same
    micro-batch, so a larger micro-batch saves more.

    A model that cannot be packed is trained unpacked; `unpacked_because` then says why, and a line is logged.

    Args:
        rows: see `RowTrainer`.
        args: see `RowTrainer`.
        behaviour: see `RowTrainer`.
        notify: is told why rows are not packed; by default the log is.
        keywords: see `RowTrainer`.
    """

    def __init__(
        self,
        *,
        rows: Sequence[Weighed],
        args: GRPOConfig,
        behaviour: bool = True,
        notify: Callable[[str], None] = log.warning,
        **keywords: Any,
    ) -> None:
        super().__init__(rows=rows, args=args, behaviour=behaviour, **keywords)
        self._sampled: Tensor | None = None
        self._buffered_inputs: list[dict[str, Any]] | None = None
        self.unpacked_because = self._install()
        """Why rows are not packed; None where they are."""
        if self.unpacked_because:
            notify(f"shared beginnings are not packed: {self.unpacked_because}.")

    def _install(self) -> str | None:
        if self.args.cast_lm_head_to_fp32:
            return "the output layer is cast to float32"
        if self.aux_loss_enabled:
            return "the loss of the router needs the rows one by one"
        models = [model for model in (self.accelerator.unwrap_model(self.model), self.ref_model) if model is not None]
        return next((why for why in map(install, models) if why), None)

    @property
    def _block(self) -> int:
        return int(self.args.per_device_train_batch_size)

    def _prepare_inputs(self, generation_batch: list[dict[str, Any]]) -> dict[str, Any]:
        """Return the next micro-batch. TRL's own would mix the rows of all of them first."""
        if not self.model.training:
            found: dict[str, Any] = super()._prepare_inputs(generation_batch)
            return found
        steps: int = self.args.steps_per_generation
        if self._step % (steps * self.num_iterations) == 0 or self._buffered_inputs is None:
            size = len(generation_batch) // steps
            batches = [
                self._generate_and_score_completions(generation_batch[n * size : (n + 1) * size]) for n in range(steps)
            ]
            # What the loss is divided by is the count of all that an update sees.
            total = torch.stack([batch["num_items_in_batch"] for batch in batches]).sum()
            self._buffered_inputs = [batch | {"num_items_in_batch": total} for batch in batches]
        inputs: dict[str, Any] = self._buffered_inputs[self._step % steps]
        return inputs

    def _compute_loss(self, model: Any, inputs: dict[str, Any]) -> Tensor:
        with self._scoring(inputs):
            loss: Tensor = super()._compute_loss(model, inputs)
            return loss

    def _reference(self, batch: dict[str, Any]) -> Tensor:
        with self._scoring(batch):
            return super()._reference(batch)

    @contextmanager
    def _scoring(self, batch: dict[str, Any]) -> Iterator[None]:
        """Keep at hand which tokens of the completions were sampled; TRL does not pass it on."""
        known = batch["completion_mask"]
        self._sampled = known * batch["tool_mask"] if "tool_mask" in batch else known
        try:
            yield
        finally:
            self._sampled = None

    def _get_per_token_logps_and_entropies(
        self,
        model: Any,
        input_ids: Tensor,
        attention_mask: Tensor,
        logits_to_keep: int,
        batch_size: int | None = None,
        compute_entropy: bool = False,
        compute_aux_loss: bool = False,
        **others: Any,
    ) -> tuple[Tensor, Tensor | None, Tensor | None]:
        """Return log-probabilities and entropies of the completions, (B, T) each, 0 where nothing was sampled."""
        if self.unpacked_because or compute_aux_loss or any(value is not None for value in others.values()):
            found: tuple[Tensor, Tensor | None, Tensor | None] = super()._get_per_token_logps_and_entropies(
                model,
                input_ids,
                attention_mask,
                logits_to_keep,
                batch_size=batch_size,
                compute_entropy=compute_entropy,
                compute_aux_loss=compute_aux_loss,
                **others,
            )
            return found
        known = attention_mask.bool()
        scored = known[:, -logits_to_keep:] if self._sampled is None else self._sampled.bool()
        packed = pack(*(part.cpu().numpy() for part in (input_ids, known, scored)))
        device = input_ids.device
        source, token, row, column = (
            torch.from_numpy(part).to(device) for part in (packed.source, packed.token, packed.row, packed.column)
        )
        with self.accelerator.autocast():
            logits = forward(model, packed, device).float()
        total = torch.logsumexp(logits, dim=-1)
        blank = torch.zeros(scored.shape, dtype=torch.float32, device=device)
        logps = blank.index_put((row, column), logits[source, token] - total[source])
        if not compute_entropy:
            return logps, None, None
        with torch.set_grad_enabled(torch.is_grad_enabled() and self._entropy_bonus_enabled):
            entropies = blank.index_put((row, column), _entropies(logits, total)[source])
        return logps, entropies, None


def _entropies(logits: Tensor, total: Tensor) -> Tensor:
    """Return the entropy of each distribution in nats: (K,); `total` is the logsumexp of each row of `logits`."""
    rows = max(1, AT_ONCE // logits.shape[1])
    parts = zip(torch.split(logits, rows), torch.split(total, rows), strict=True)
    return torch.cat([whole - ((part - whole[:, None]).exp() * part).sum(-1) for part, whole in parts])
