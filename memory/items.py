"""Making items, and the state in which they enter."""

from __future__ import annotations

from collections.abc import Sequence

from ..core import Item, content_id
from .state import State
from .values import variance_of


def make_item(
    kind: str,
    applies: str,
    content: str,
    *,
    trajectory_ids: Sequence[str] = (),
    release_id: str = "",
    model: str = "",
    q_value: float = 0.0,
    **meta: object,
) -> Item:
    """Return a new item; its id is its kind and what it says, wherever it was learned.

    Raises:
        ValueError: a field is not what it should be.
    """
    return Item.model_validate(
        {
            "id": content_id("item", kind, applies, content),
            "kind": kind,
            "applies": applies,
            "content": content,
            "trajectory_ids": tuple(trajectory_ids),
            "release_id": release_id,
            "model": model,
            "q_value": q_value,
            "meta": meta,
        }
    )


def begins(item: Item, alpha: float, q0: float = 0.0) -> State:
    """Return the state in which an item enters: as it is given, with all it brings along.

    Args:
        item: what enters.
        alpha: step size of the values, by which its uncertainty is read.
        q0: value of an item that was never rewarded.
    """
    fresh = not item.reward_count and not item.q_value
    return State(
        kind=item.kind,
        status=item.status,
        q_value=q0 if fresh else item.q_value,
        variance=variance_of(item.uncertainty, item.reward_count, alpha),
        retrievals=item.retrieval_count,
        rewards=item.reward_count,
        successes=item.success_count,
        used_at=item.last_used_at,
    )
