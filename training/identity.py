"""What a stage is trained on, by content: what `--resume` compares."""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Iterable, Sequence
from typing import Any

from .base import Base
from .collate import Weighed
from .examples import Judged, Pair
from .prepared import Prepared
from .rows import Row


def identity(prepared: Prepared[Any], base: Base) -> dict[str, Any]:
    """Return what names the examples of a stage and the weights that it begins with.

    Returns:
        `rows`, `tokens` and `id` of what is trained on, `held` and `held_id` of what is held back, `weights` of the
        base model, and the id of the adapter that training goes on from as `start` (nothing for a new one).
    """
    return {
        "rows": len(prepared.train),
        "tokens": sum(map(tokens_of, prepared.train)),
        "id": content(prepared.train),
        "held": len(prepared.validate),
        "held_id": content(prepared.validate),
        "weights": base.weights,
        "start": base.adapter.id if base.adapter is not None else "",
    }


def content(examples: Sequence[Row | Weighed | Pair | Judged]) -> str:
    """Return 32 hex digits for examples in order: their ids and all that their losses read beside those.

    Advantages are rounded to float32, in which they are trained on: how many threads computed them does not count.
    """
    digest = hashlib.sha256()
    for one in examples:
        for part in _parts(one):
            digest.update(len(part).to_bytes(4, "little"))
            digest.update(part)
    return digest.hexdigest()[:32]


def tokens_of(example: Row | Weighed | Pair | Judged) -> int:
    """Return how many tokens of an example go through the model."""
    if isinstance(example, Pair):
        return 2 * len(example.prompt_ids) + len(example.chosen_ids) + len(example.rejected_ids)
    row = example.row if isinstance(example, Weighed) else example
    return len(row.prompt_ids) + len(row.completion_ids)


def _parts(example: Row | Weighed | Pair | Judged) -> Iterable[bytes]:
    if isinstance(example, Pair):
        return map(_ids, (example.prompt_ids, example.chosen_ids, example.rejected_ids))
    if isinstance(example, Judged):
        return (_ids(example.prompt_ids), _ids(example.completion_ids), bytes([example.label]))
    row, advantages = example if isinstance(example, Weighed) else (example, ())
    return (
        _ids(row.prompt_ids),
        _ids(row.completion_ids),
        bytes(row.loss_mask),
        f"{row.policy_version} {row.stripped}".encode(),
        array("d", row.logprobs).tobytes(),
        array("f", advantages).tobytes(),
    )


def _ids(ids: Sequence[int]) -> bytes:
    return array("q", ids).tobytes()
