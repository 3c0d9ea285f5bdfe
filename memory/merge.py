"""Finding the old item that says the same as a new one."""

from __future__ import annotations

import re
from collections.abc import Callable

from ..core import Item
from .embedding import Embedder
from .index import Index
from .items import begins
from .ledger import Entry, Ledger, Transaction
from .lineage import Lineage
from .reading import Reading
from .state import merged

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


def twin(
    item: Item, reading: Reading, index: Index, lineage: Lineage, embedder: Embedder, *, least: float, same: Same
) -> str | None:
    """Return the id of the old item into which a new one should be merged, or None.

    First the item itself, then the three nearest of its kind over the similarity `least`, if the check agrees
    (EvolveR, 2510.16079: similarity, then a judgement). Retired items count too: what was tried and found useless
    shall not come back as new.
    """
    if reading.states([item.id], lineage):
        return item.id
    hits = index.search(embedder.embed([item.applies]), 4 * NEIGHBOURS)
    near = {hit.text_id: hit.similarity for hit in hits if hit.similarity >= least}
    there = [found for found in reading.applying(list(near), lineage) if found.state.kind == item.kind]
    there.sort(key=lambda found: (-near[found.text_id], found.id))
    ids = [found.id for found in there[:NEIGHBOURS]]
    old = reading.items(ids, lineage)
    return next((ident for ident in ids if ident in old and same(old[ident], item)), None)


def take_in(ledger: Ledger, old: str, item: Item) -> bool:
    """Merge an item into an old one; False where all of it is in there already."""
    done = False

    def write(transaction: Transaction) -> None:
        nonlocal done
        done = False
        state = transaction.states([old]).get(old)
        sources = [t for t in item.trajectory_ids if old not in transaction.happened(t, "merged")]
        sources = [t for t in sources if old not in transaction.happened(t, "created")]
        if state is None or not sources:
            return
        detail = {"item": item.id, "trajectory_ids": sources}
        after = merged(state, begins(item))
        entries = [Entry(old, "merged", after, trajectory_id=sources[0], detail=detail)]
        transaction.write(entries)
        done = True

    ledger.do(f"merge into item {old}", write)
    return done
