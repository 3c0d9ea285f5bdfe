"""The tree of releases with the held-out games that each was judged by, and which of them may be grown from."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import compress
from typing import Any

from ...agent.evolution.clade import Node, best
from ...agent.evolution.generation import Generation
from ...core import Release
from ...promotions import heads
from ...release_tree import Node as Branch
from ...releases import Releases

UNSAFE = frozenset({"held-out", "probes"})
"""Checks of the gate that say what a release holds, and not how well it plays."""


def latest(records: Sequence[Generation], tree: Iterable[Branch], head: str) -> str | None:
    """Return the candidate that was made last, where it may be grown further; None where the head is to be grown from.

    A generation that acquired nothing made none. A candidate is given up where the gate refused it, also when it was
    weighed again, and where what it was weighed against is no longer in force.

    Args:
        records: of all generations, the oldest first.
        tree: of releases.
        head: the release in force.
    """
    last = next((one for one in reversed(records) if one.decision != "unchanged"), None)
    if last is None or last.decision not in ("not_yet", "ungated") or last.head != head:
        return None
    refused = {branch.release.id for branch in tree if branch.decision == "refuse"}
    return last.candidate if last.candidate not in refused else None


def fit(releases: Releases, records: Sequence[Generation]) -> list[Branch]:
    """Return the releases that any generation may be grown from, each behind its parent.

    They are of the base model in force, and were in force, made by a generation, or weighed here: of one that was
    merely imported nothing is known. None is among them whose safety or contents the gate refused when it looked last,
    or that was rolled back, nor what descends from such a one; unless someone has put it in force since, knowing that.

    Args:
        releases: there is a head.
        records: of all generations.
    """
    tree, rows = releases.tree(), releases.log.rows()
    reports, line = {one.candidate: one for one in releases.log.reports()}, heads(rows)
    base = next(_base(branch.release) for branch in tree if branch.head)
    known = {*line, *reports, *(one.candidate for one in records)}
    unsafe = (any(at.name in UNSAFE and at.outcome == "fail" for at in one.checks) for one in reports.values())
    barred = {row.release_id for row in rows}.union(compress(reports, unsafe)) - set(line)
    found = []
    for branch in tree:
        release = branch.release
        if release.parent in barred and release.id not in line:
            barred.add(release.id)
        if release.id in known - barred and _base(release) == base:
            found.append(branch)
    return found


def nodes(records: Sequence[Generation], tree: Iterable[Branch]) -> list[Node]:
    """Return releases with their held-out outcomes, of the longest look at each; none where no gate has looked."""
    outcomes: dict[str, tuple[int, int]] = {}
    for one in records:
        gated: dict[str, Any] = one.figures.get("gate", {})
        for ident, side in ((one.head, "incumbent"), (one.candidate, "candidate")):
            if ident is not None and isinstance(gated.get(side), dict):
                games, solved = int(gated[side]["games"]), int(gated[side]["solved"])
                if games >= sum(outcomes.get(ident, (0, 0))):
                    outcomes[ident] = (solved, games - solved)
    return [Node(node.release.id, node.release.parent, *outcomes.get(node.release.id, (0, 0))) for node in tree]


def surest(records: Sequence[Generation], tree: Iterable[Branch], head: str | None = None) -> Node | None:
    """Return the release whose own held-out games promise most (see `best`), None where none was judged.

    Of several that promise as much, `head` is it if it is one of them.
    """
    judged = {node.id: node for node in nodes(records, tree) if node.evaluations}
    if not judged:
        return None
    most, ours = judged[best(list(judged.values()))], judged.get(head or "")
    return ours if ours and (ours.successes, ours.failures) == (most.successes, most.failures) else most


def _base(release: Release) -> tuple[object, ...]:
    return release.base_model, release.settings.get("base_weights")
