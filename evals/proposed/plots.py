"""Household games that are given as a whole, not by a number: plots as plain JSON, read strictly."""

from __future__ import annotations

import functools
import hashlib
import json
from importlib import resources
from typing import Any, get_args

from pydantic import JsonValue

from ...agent.proposers.likeness import Said
from ...errors import EnvironmentFailure
from ..alfworld_engine import Engine
from ..alfworld_game import Game, parse_game
from ..household_generate import UNSEEN
from ..household_plan import plan
from ..household_problem import Layout, Place, Plot, errand_of, grammar_of, problem_of
from ..household_world import ALWAYS_SHUT, ROOMS, SOMETIMES_SHUT, SPLITS, THINGS, TaskType, contains

KINDS: tuple[TaskType, ...] = get_args(TaskType)
HOLDERS = frozenset(kind for thing in THINGS.values() for kind in thing.holders) | {
    kind for room in ROOMS.values() for kind in (*room.always, *room.more)
}
"""All kinds of receptacles."""
PLACES, LYING = 40, 60
"""Most receptacles and objects of a game."""


def plot_json(plot: Plot) -> dict[str, JsonValue]:
    """Return a plot as plain JSON."""
    return {
        "room": plot.layout.room,
        "number": plot.layout.number,
        "places": [[place.kind, place.spot, place.shut] for place in plot.layout.places],
        "kind": plot.kind,
        "target": plot.target,
        "goal": plot.goal,
        "lamp": plot.lamp,
        "lying": [[thing, number] for thing, number in plot.lying],
    }


def plot_of(value: Any) -> Plot:
    """Return the plot that was written down.

    Raises:
        EnvironmentFailure: it is none, or holds what there is not.
    """
    try:
        places = tuple(Place(str(kind), int(spot), shut is True) for kind, spot, shut in value["places"])
        lying = tuple((str(thing), int(number)) for thing, number in value["lying"])
        layout = Layout(str(value["room"]), int(value["number"]), places)
        target, goal, lamp = (str(value[key]) for key in ("target", "goal", "lamp"))
        plot = Plot(layout, value["kind"], target, goal, lamp, tuple(sorted(lying)))
    except (KeyError, TypeError, ValueError) as error:
        raise EnvironmentFailure(f"a described game cannot be read ({error!r:.80}).", kind="task") from None
    wrong = _wrong(plot)
    if wrong:
        raise EnvironmentFailure(f"a described game is none: {wrong}.", kind="task")
    return plot


def _wrong(plot: Plot) -> str:
    """Return what in a plot is not of this world."""
    places, light = plot.layout.places, plot.kind == "look_at_obj_in_light"
    if plot.kind not in KINDS or plot.layout.room not in ROOMS:
        return f"no task type {plot.kind!r} or no room {plot.layout.room!r}"
    if not 0 < len(places) <= PLACES or not 0 < len(plot.lying) <= LYING:
        return f"{len(places)} receptacles and {len(plot.lying)} objects"
    if any(place.kind not in HOLDERS or not 0 <= place.spot <= PLACES for place in places):
        return "a receptacle there is not"
    if any(place.shut is not door for place in places if (door := _door(place.kind)) is not None):
        return "a door where there is none, or none where there is one"
    if plot.target not in THINGS or THINGS[plot.target].lamp:
        return f"no target {plot.target!r}"
    if light and not (plot.lamp in THINGS and THINGS[plot.lamp].lamp and not plot.goal):
        return f"no lamp {plot.lamp!r}"
    if not light and (plot.goal not in HOLDERS or plot.lamp):
        return f"no goal {plot.goal!r}"
    for thing, number in plot.lying:
        if thing not in THINGS or not 0 <= number < len(places):
            return f"an object {thing!r} at {number}"
    return ""


def _door(kind: str) -> bool | None:
    """Say whether a kind of receptacle has a door; None where some have."""
    return True if kind in ALWAYS_SHUT else None if kind in SOMETIMES_SHUT else False


def lies_well(plot: Plot) -> bool:
    """Say whether each thing lies where such things may lie."""
    return all(contains(plot.layout.places[number].kind, thing) for thing, number in plot.lying)


def signature(plot: Plot) -> str:
    """Return the hash of what a game contains, as the generated games have it."""
    return hashlib.sha256(problem_of(plot).encode()).hexdigest()


def split_of(plot: Plot) -> str:
    """Return the split whose games a game is one of: each owns a residue class of the hash.

    A game of the class of `train` cannot be a generated game of another split, whatever its seed.
    """
    return SPLITS[int(signature(plot)[:8], 16) % len(SPLITS)]


def unseen_room(plot: Plot) -> bool:
    """Say whether a room is one of those that only `valid_unseen` and `test` have, by the rule of the generator."""
    layout = plot.layout
    tenth = int(hashlib.sha256(repr((layout.room, layout.places)).encode()).hexdigest()[:8], 16) % 10
    return tenth in UNSEEN.values()


def game_of(plot: Plot) -> Game:
    """Return the game of a plot, with a walkthrough where the planner finds one.

    Raises:
        EnvironmentFailure: the engine cannot express it.
    """
    return _game(json.dumps(plot_json(plot)))


def won_at_once(game: Game) -> bool:
    """Say whether there is nothing to do in a game."""
    return Engine(game).won


def said_of(plot: Plot) -> Said:
    """Return what a game says: its errand, and what stands and lies where.

    Spots are left out: where in a room a table stands changes nothing but numbers.
    """
    lines = sorted(f"{thing} in {plot.layout.places[number].kind} {number}" for thing, number in plot.lying)
    doors = [f"{place.kind}{' with a door' if place.shut else ''}" for place in plot.layout.places]
    return Said(errand_of(plot), "; ".join([plot.layout.room, *doors, *lines]))


@functools.lru_cache(maxsize=256)
def _game(text: str) -> Game:
    plot = plot_of(json.loads(text))
    name = f"{plot.kind}-{plot.target}-None-{plot.goal or plot.lamp}-{plot.layout.number}"
    data: dict[str, Any] = {
        "pddl_domain": _file("household.pddl"),
        "grammar": grammar_of(plot, _file("household.twl2")),
        "pddl_problem": problem_of(plot),
        "walkthrough": [],
    }
    game = parse_game(data, name=name)
    data["walkthrough"] = list(plan(game) or ())
    return parse_game(data, name=name)


@functools.cache
def _file(name: str) -> str:
    return resources.files(__package__.rpartition(".")[0]).joinpath(name).read_text(encoding="utf-8")
