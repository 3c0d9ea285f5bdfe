"""The tree of releases with the held-out games that each was judged by."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from ...agent.evolution.clade import Node, best
from ...agent.evolution.generation import Generation
from ...release_tree import Node as Branch


def nodes(records: Sequence[Generation], tree: Iterable[Branch]) -> list[Node]:
    """Return every release with its held-out outcomes; none where no gate has looked at it."""
    outcomes: dict[str, tuple[int, int]] = {}
    for one in records:
        gated: dict[str, Any] = one.figures.get("gate", {})
        for ident, side in ((one.head, "incumbent"), (one.candidate, "candidate")):
            if ident is not None and isinstance(gated.get(side), dict):
                games, solved = int(gated[side]["games"]), int(gated[side]["solved"])
                outcomes[ident] = (solved, games - solved)
    return [Node(node.release.id, node.release.parent, *outcomes.get(node.release.id, (0, 0))) for node in tree]


def judged_before(records: Iterable[Generation], number: int) -> frozenset[str]:
    """Return the releases that the gates of generations before this one have let play: what that took is counted."""
    gated = [one for one in records if one.number < number and "gate" in one.figures]
    return frozenset(ident for one in gated for ident in (one.head, one.candidate) if ident is not None)


def surest(records: Sequence[Generation], tree: Iterable[Branch], head: str | None = None) -> Node | None:
    """Return the release whose own held-out games promise most (see `best`), None where none was judged.

    Of several that promise as much, `head` is it if it is one of them.
    """
    judged = {node.id: node for node in nodes(records, tree) if node.evaluations}
    if not judged:
        return None
    most, ours = judged[best(list(judged.values()))], judged.get(head or "")
    return ours if ours and (ours.successes, ours.failures) == (most.successes, most.failures) else most
