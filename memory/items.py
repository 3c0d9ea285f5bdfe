"""Making items, and the state in which they enter."""

from __future__ import annotations

from collections.abc import Sequence

from ..core import Item, content_id
from .state import State


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


def begins(item: Item) -> State:
    """Return the state in which an item enters: as it is given, with all it brings along."""
    return State(
        kind=item.kind,
        status=item.status,
        q_value=item.q_value,
        retrievals=item.retrieval_count,
        rewards=item.reward_count,
        successes=item.success_count,
        used_at=item.last_used_at,
    )
