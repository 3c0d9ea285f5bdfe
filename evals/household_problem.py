"""From a furnished and filled room to the PDDL problem and the grammar of its game file."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from .household_world import THINGS, TaskType, contains


@dataclass(frozen=True)
class Place:
    """A receptacle: its kind, the spot from which it is reached, and whether it has a door."""

    kind: str
    spot: int
    shut: bool


@dataclass(frozen=True)
class Layout:
    """A furnished room."""

    room: str
    number: int
    places: tuple[Place, ...]


@dataclass(frozen=True)
class Plot:
    """A furnished and filled room with a task in it."""

    layout: Layout
    kind: TaskType
    target: str
    goal: str
    lamp: str
    lying: tuple[tuple[str, int], ...]
    """(thing, number of its receptacle), sorted, so that equal rooms read equally."""


def problem_of(plot: Plot) -> str:
    """Return the PDDL problem. Equal plots give equal text."""
    places = _numbered([place.kind for place in plot.layout.places])
    things = _numbered([thing for thing, _ in plot.lying])
    spots = sorted({place.spot for place in plot.layout.places})
    # The domain names these types whether or not the room has such a thing.
    holder_kinds = sorted({place.kind for place in plot.layout.places} | {"SinkBasin", "Microwave", "Fridge"})
    thing_kinds = sorted({thing for thing, _ in plot.lying} | {"Knife", "ButterKnife"})
    declared = [
        "agent1 - agent",
        *(f"{ident} - receptacle" for ident in places),
        *(f"{ident} - object" for ident in things),
        *(f"{kind}Type - rtype" for kind in holder_kinds),
        *(f"{kind}Type - otype" for kind in thing_kinds),
        *(f"loc_bar_{spot} - location" for spot in (0, *spots)),
    ]
    facts = ["(atLocation agent1 loc_bar_0)", "(= (total-cost) 0)"]
    for ident, place in zip(places, plot.layout.places, strict=True):
        facts.append(f"(receptacleType {ident} {place.kind}Type)")
        facts.append(f"(receptacleAtLocation {ident} loc_bar_{place.spot})")
        if place.shut:
            facts.append(f"(openable {ident})")
    for ident, (thing, number) in zip(things, plot.lying, strict=True):
        kind = THINGS[thing]
        facts.append(f"(objectType {ident} {thing}Type)")
        facts.append(f"(inReceptacle {ident} {places[number]})")
        facts.append(f"(objectAtLocation {ident} loc_bar_{plot.layout.places[number].spot})")
        facts += [f"({ability} {ident})" for ability in sorted(kind.can)]
        facts.append(f"({'toggleable' if kind.lamp else 'pickupable'} {ident})")
    facts += [
        f"(canContain {holder}Type {thing}Type)"
        for holder in holder_kinds
        for thing in thing_kinds
        if contains(holder, thing)
    ]
    return (
        "(define (problem errand)\n  (:domain household)\n  (:objects\n    "
        + "\n    ".join(declared)
        + "\n  )\n  (:init\n    "
        + "\n    ".join(facts)
        + f"\n  )\n  (:goal {goal_of(plot)})\n  (:metric minimize (total-cost))\n)\n"
    )


def goal_of(plot: Plot) -> str:
    """Return the goal condition."""
    thing, holder = f"{plot.target}Type", f"{plot.goal}Type"
    if plot.kind == "look_at_obj_in_light":
        return (
            "(and (exists (?lamp - object ?r - receptacle ?a - agent ?l - location) "
            f"(and (objectType ?lamp {plot.lamp}Type) (isToggled ?lamp) (inReceptacle ?lamp ?r) "
            "(receptacleAtLocation ?r ?l) (atLocation ?a ?l))) "
            f"(exists (?o - object ?a - agent) (and (objectType ?o {thing}) (holds ?a ?o))))"
        )
    if plot.kind == "pick_two_obj_and_place":
        return (
            "(exists (?r - receptacle ?o1 - object ?o2 - object) "
            f"(and (receptacleType ?r {holder}) (objectType ?o1 {thing}) (objectType ?o2 {thing}) "
            "(not (= ?o1 ?o2)) (inReceptacle ?o1 ?r) (inReceptacle ?o2 ?r)))"
        )
    done = {
        "pick_clean_then_place_in_recep": " (isClean ?o)",
        "pick_heat_then_place_in_recep": " (isHot ?o)",
        "pick_cool_then_place_in_recep": " (isCool ?o)",
    }.get(plot.kind, "")
    return (
        "(exists (?r - receptacle ?o - object) "
        f"(and (receptacleType ?r {holder}) (objectType ?o {thing}){done} (inReceptacle ?o ?r)))"
    )


def errand_of(plot: Plot) -> str:
    """Return the task in words."""
    thing, goal = plot.target.lower(), plot.goal.lower()
    sentences: dict[str, str] = {
        "pick_and_place_simple": f"bring a {thing} to the {goal}",
        "look_at_obj_in_light": f"hold a {thing} in the light of the {plot.lamp.lower()}",
        "pick_clean_then_place_in_recep": f"clean a {thing} and bring it to the {goal}",
        "pick_heat_then_place_in_recep": f"heat a {thing} and bring it to the {goal}",
        "pick_cool_then_place_in_recep": f"cool a {thing} and bring it to the {goal}",
        "pick_two_obj_and_place": f"bring two {thing} to one and the same {goal}",
    }
    return f"Your errand: {sentences[plot.kind]}."


def grammar_of(plot: Plot, template: str) -> str:
    """Return the grammar with the task sentence in it."""
    return template.replace("UNKNOWN ERRAND", errand_of(plot))


def _numbered(kinds: list[str]) -> list[str]:
    """Return an id for each entry, in ALFWorld's manner: the kind, then what tells it from others of its kind."""
    seen: Counter[str] = Counter()
    idents = []
    for kind in kinds:
        seen[kind] += 1
        # ALFWorld's names add "basin" to whatever has it in its id, so a sink basin is a sink with a basin.
        name, tail = (kind.removesuffix("Basin"), "_bar_basin") if kind.endswith("Basin") else (kind, "")
        idents.append(f"{name}_bar_{seen[kind]:02d}{tail}")
    return idents
