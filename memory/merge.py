"""Finding the old item that says the same as a new one."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING

from ..core import Item
from .index import Index
from .items import begins
from .ledger import Entry, Ledger, Transaction
from .lineage import Lineage
from .reading import Reading
from .state import merged

if TYPE_CHECKING:
    from .embedding import Matrix

Same = Callable[[Item, Item], bool]
"""Decides whether two items whose `applies` are similar say the same."""

WORDS = re.compile(r"\w+")
SHARED = 0.8
NEIGHBOURS = 3


def alike(old: Item, new: Item) -> bool:
    """Say whether two contents share four fifths of their words (Jaccard); cheap, and never asks a model."""
    one, other = (set(WORDS.findall(item.content.lower())) for item in (old, new))
    together = one | other
    return len(one & other) >= SHARED * len(together) if together else True


def candidates(
    item: Item, vectors: Matrix, reading: Reading, index: Index, lineage: Lineage, *, least: float
) -> list[Item]:
    """Return the old items that may say the same as a new one, the likeliest first.

    The item itself if it is there, else the three nearest of its kind over the similarity `least` (EvolveR,
    2510.16079: similarity, then a judgement). Retired items count too: what was tried and found useless shall not
    come back as new.
    """
    there = reading.items([item.id], lineage)
    if there:
        return list(there.values())
    hits = index.search(vectors, 4 * NEIGHBOURS)
    near = {hit.text_id: hit.similarity for hit in hits if hit.similarity >= least}
    kin = [found for found in reading.applying(list(near), lineage) if found.state.kind == item.kind]
    kin.sort(key=lambda found: (-near[found.text_id], found.id))
    ids = [found.id for found in kin[:NEIGHBOURS]]
    old = reading.items(ids, lineage)
    return [old[ident] for ident in ids if ident in old]


def take_in(ledger: Ledger, old: Item, item: Item, alpha: float) -> bool:
    """Merge an item into an old one: provenance, and counts where it is another item; False where it was done before.

    Args:
        ledger: the memory's tables.
        old: the item that stays.
        item: the item that goes into it.
        alpha: step size of the values.
    """
    done = False

    def write(transaction: Transaction) -> None:
        nonlocal done
        done = False
        state = transaction.states([old.id]).get(old.id)
        if state is None:
            return
        before = transaction.details(old.id, "merged")
        known = {*old.trajectory_ids, *(ident for detail in before for ident in detail["trajectory_ids"])}
        sources = [ident for ident in item.trajectory_ids if ident not in known]
        other = item.id != old.id and item.id not in {detail["item"] for detail in before}
        if not sources and not other:
            return
        detail = {"item": item.id, "trajectory_ids": sources}
        after = merged(state, begins(item, alpha)) if other else state
        first = sources[0] if sources else None
        transaction.write([Entry(old.id, "merged", after, trajectory_id=first, detail=detail)])
        done = True

    ledger.do(f"merge into item {old.id}", write)
    return done
