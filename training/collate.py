"""From rows to the tensors that TRL's GRPO loss reads."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch

from ..errors import TrainingError
from .rows import Row


class Weighed(NamedTuple):
    """A row and how much each of its tokens is to be made more or less likely."""

    row: Row
    advantages: tuple[float, ...]
    """One number per completion token: (N,)."""


def collate(batch: Sequence[Weighed], pad_id: int) -> dict[str, torch.Tensor]:
    """Return the tensors of B rows, padded to the longest prompt P (on its left) and completion T (on its right).

    Returns:
        `prompt_ids`, `prompt_mask`: (B, P) integers; `completion_ids`, `completion_mask`: (B, T) integers;
        `tool_mask`: (B, T), 1 where a token was sampled; `advantages`: (B, T); `old_per_token_logps`: (B, T), the
        behaviour policy's, where every row has them; `num_items_in_batch`: the number of sampled tokens.

    Raises:
        TrainingError: advantages do not fit their row, a row has nothing to train on, or only some rows have
            log-probabilities.
    """
    for row, advantages in batch:
        if len(advantages) != len(row.completion_ids):
            raise TrainingError(
                f"a row of trajectory {row.trajectory_id} has {len(advantages)} advantages for "
                f"{len(row.completion_ids)} tokens."
            )
        if not row.prompt_ids or not any(row.loss_mask):
            raise TrainingError(f"a row of trajectory {row.trajectory_id} has no prompt, or nothing that was sampled.")
    known = {row.on_record for row, _ in batch}
    if len(known) > 1:
        raise TrainingError(
            "a batch mixes rows with and without the log-probabilities of the policy that sampled them.",
            hint="Train on them in separate runs: imitation for the ones, reinforcement for the others.",
        )
    rows = [row for row, _ in batch]
    prompts = max(len(row.prompt_ids) for row in rows)
    masks = [row.loss_mask for row in rows]
    out = {
        "prompt_ids": _left([row.prompt_ids for row in rows], prompts, pad_id),
        "prompt_mask": _left([(1,) * len(row.prompt_ids) for row in rows], prompts, 0),
        "completion_ids": _right([row.completion_ids for row in rows], pad_id, torch.long),
        "completion_mask": _right([(1,) * len(row.completion_ids) for row in rows], 0, torch.long),
        "tool_mask": _right(masks, 0, torch.long),
        "advantages": _right([advantages for _, advantages in batch], 0.0, torch.float32),
        "num_items_in_batch": torch.tensor(sum(map(sum, masks))),
    }
    if known == {True}:
        out["old_per_token_logps"] = _right([row.logprobs for row in rows], 0.0, torch.float32)
    return out


def _left(rows: Sequence[Sequence[int]], width: int, fill: int) -> torch.Tensor:
    return torch.tensor([[fill] * (width - len(row)) + list(row) for row in rows], dtype=torch.long)


def _right(rows: Sequence[Sequence[float]], fill: float, dtype: torch.dtype) -> torch.Tensor:
    width = max(len(row) for row in rows)
    return torch.tensor([[*row, *[fill] * (width - len(row))] for row in rows], dtype=dtype)
