"""The facts of a game file: what they are about, and what they say of it by number."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import NamedTuple

Facts = Mapping[str, list[list[str]]]
"""Predicate to the arguments of each fact."""

KINDS = ("pickupable", "cleanable", "heatable", "coolable", "toggleable", "sliceable", "isreceptacleobject")
"""Predicates that say what an object is good for."""


class Things(NamedTuple):
    """Ids of what there is in a game, each kind in order."""

    receptacles: list[str]
    objects: list[str]
    locations: list[str]


def things(facts: Facts) -> Things:
    """Return what facts are about."""
    seen = {predicate: {row[0] for row in rows if row} for predicate, rows in facts.items()}
    second = {predicate: {row[1] for row in rows if len(row) > 1} for predicate, rows in facts.items()}
    return Things(
        receptacles=sorted(
            seen.get("receptacletype", set())
            | seen.get("receptacleatlocation", set())
            | second.get("inreceptacle", set())
            | seen.get("openable", set())
        ),
        objects=sorted(
            set().union(*(seen.get(kind, set()) for kind in ("objecttype", "objectatlocation", "inreceptacle", *KINDS)))
        ),
        locations=sorted(
            second.get("receptacleatlocation", set()) | second.get("objectatlocation", set()) | second["atlocation"]
        ),
    )


def inner(facts: Facts, objects: Mapping[str, int]) -> dict[int, tuple[int, ...]]:
    """Return what lies in objects that hold others, by number."""
    found: dict[int, set[int]] = {}
    for inside, outer in facts.get("inreceptacleobject", []):
        found.setdefault(objects[outer], set()).add(objects[inside])
    return {outer: tuple(sorted(lying)) for outer, lying in found.items()}


class Pairs:
    """Binary facts as lists by number."""

    def __init__(self, facts: Facts) -> None:
        self._facts = facts

    def lists(self, predicate: str, of: dict[str, int], to: dict[str, int], *, swap: bool = False) -> list[set[int]]:
        """Return what stands second for each that stands first, or the other way round with `swap`."""
        found: list[set[int]] = [set() for _ in of]
        for row in self._facts.get(predicate, []):
            left, right = (row[1], row[0]) if swap else (row[0], row[1])
            found[of[left]].add(to[right])
        return found

    def names(self, predicate: str, of: dict[str, int]) -> list[set[str]]:
        """Return what stands second for each that stands first, as it is written."""
        found: list[set[str]] = [set() for _ in of]
        for row in self._facts.get(predicate, []):
            found[of[row[0]]].add(row[1])
        return found


def names_of(facts: Facts) -> dict[str, str]:
    """Return the name shown for each id: kind and a number that runs downwards over the sorted ids."""
    idents = sorted({argument for rows in facts.values() for row in rows for argument in row})
    kinds: list[tuple[str, str]] = []
    for ident in idents:
        kind, bar, _ = ident.partition("_bar_")
        if bar:
            kinds.append((ident, kind + "basin" if "basin" in ident else kind))
    left = Counter(kind for _, kind in kinds)
    names = {ident: f"{ident} " for ident in idents}
    for ident, kind in kinds:
        names[ident] = f"{kind} {left[kind]}"
        left[kind] -= 1
    return names
