"""How likely today's policy makes what is stored."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .collate import Weighed, collate
from .rows import Row


def logprobs(model: Any, rows: Sequence[Row], *, batch: int, pad_id: int) -> list[tuple[float, ...]]:
    """Return the log-probability of each completion token under a model at temperature 1: (N,) per row.

    Args:
        model: a causal language model; it is left in the mode it was in.
        rows: rows of ids; the longest first, so that too long a batch shows at once.
        batch: rows that go through the model at once.
        pad_id: token that fills up.
    """
    import torch

    out: list[tuple[float, ...]] = [()] * len(rows)
    order = sorted(range(len(rows)), key=lambda n: -len(rows[n].prompt_ids) - len(rows[n].completion_ids))
    device, training = model.device, model.training
    model.eval()
    try:
        with torch.inference_mode():
            for start in range(0, len(order), batch):
                some = order[start : start + batch]
                made = collate([Weighed(rows[n], (0.0,) * len(rows[n].completion_ids)) for n in some], pad_id)
                ids = torch.cat([made["prompt_ids"], made["completion_ids"]], 1).to(device)
                mask = torch.cat([made["prompt_mask"], made["completion_mask"]], 1).to(device)
                width = made["completion_ids"].size(1)
                places = (mask.cumsum(1) - 1).clamp(min=0)
                logits = model(
                    input_ids=ids, attention_mask=mask, position_ids=places, logits_to_keep=width + 1, use_cache=False
                ).logits[:, :-1]
                found = logits.float().log_softmax(-1).gather(2, ids[:, -width:, None]).squeeze(2).cpu()
                for n, values in zip(some, found.tolist(), strict=True):
                    out[n] = tuple(values[: len(rows[n].completion_ids)])
    finally:
        model.train(training)
    return out
