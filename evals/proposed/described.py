"""Household games by description: what stands in the room, what lies about, and what is to be brought where."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from ...agent.proposers.making import Attempt, Made, Making, refused
from ...agent.proposers.proposer import Materials
from ...agent.proposers.writing import Writer
from ...core import Origin, Task, content_id
from ...errors import ConfigError, EnvironmentFailure
from ..alfworld_game import CATEGORIES
from ..alfworld_play import MAX_STEPS
from ..household_problem import Layout, Place, Plot
from ..household_world import ALWAYS_SHUT, ROOMS, SIZES, SOMETIMES_SHUT, THINGS, Measure, contains, rooms_for
from .known import knowing
from .plots import HOLDERS, LYING, PLACES, game_of, plot_json, said_of, split_of, unseen_room, won_at_once

NAME = "household"
PLACEMENTS = 48
"""Ways to lay things out that are tried until a game is one of the split that is trained on; a quarter is."""


class Description(BaseModel):
    """A game as it is asked for. Which thing lies where is left to the seed."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    type: str
    room: str
    receptacles: dict[str, int] = Field(min_length=1, max_length=PLACES)
    objects: dict[str, int] = Field(min_length=1, max_length=LYING)
    target: str
    goal: str = ""
    """Receptacle the target is brought to; empty where it is looked at in the light."""
    lamp: str = ""
    """Lamp to look by; empty for all other types."""


class HouseholdMaker:
    """Makes games of descriptions by a model, or by the seed, and passes on those that the planner can win.

    Args:
        size: `tiny`, `small`, `room` or `full`: bounds for what descriptions hold.
        types: task types, all six if not given.
        max_steps: a game whose walkthrough is longer is refused.
        writer: asks a model for the descriptions.
    """

    name = NAME

    def __init__(
        self,
        size: str = "tiny",
        types: Sequence[str] | None = None,
        max_steps: int = MAX_STEPS,
        writer: Writer | None = None,
    ) -> None:
        if size not in SIZES:
            raise ConfigError(f"household has no size {size!r}; there are: {', '.join(SIZES)}.")
        for kind in types or ():
            rooms_for(kind)
        self._size, self._max_steps, self._writer = size, max_steps, writer
        self.categories = tuple(sorted(set(types or CATEGORIES)))

    async def make(self, category: str, generator: random.Random, examples: Sequence[JsonValue]) -> Attempt:
        """Make one game of a task type."""
        if self._writer is None:
            return self.built(described(category, self._size, generator), generator)
        written = await self._writer.write(generator, **_told(category, self._size, examples, generator))
        if not isinstance(written.form, Description):
            return Attempt(refusal=written.refusal, asked=written.asked)
        if written.form.type != category:
            attempt = refused("unknown", f"type {written.form.type} instead of {category}")
        else:
            attempt = self.built(written.form, generator)
        return attempt._replace(asked=written.asked)

    def built(self, description: Description, generator: random.Random) -> Attempt:
        """Lay a described game out, and check it."""
        wrong = _unknown(description, SIZES[self._size])
        if wrong:
            return refused(*wrong)
        for _ in range(PLACEMENTS):
            plot = _laid_out(description, generator)
            if isinstance(plot, str):
                return refused("no_place", plot)
            if split_of(plot) != "train" or unseen_room(plot):
                continue
            return self._checked(plot, description)
        return refused("other_split", f"none of {PLACEMENTS} ways to lay it out is a game to train on")

    async def close(self) -> None:
        """Nothing is open."""

    def _checked(self, plot: Plot, description: Description) -> Attempt:
        try:
            game = game_of(plot)
        except EnvironmentFailure as error:
            return refused("unchecked", error.message)
        if won_at_once(game):
            return refused("solved_already", game.goal)
        if not game.walkthrough:
            return refused("unsolvable", game.goal)
        if len(game.walkthrough) > self._max_steps:
            return refused("too_long", f"{len(game.walkthrough)} steps")
        return Attempt(Made(task_of(plot, Origin(kind="proposed", by=self.name)), said_of(plot), _kept(description)))


def task_of(plot: Plot, origin: Origin) -> Task:
    """Return the task of a plot; its id is a hash of what the game holds."""
    game = game_of(plot)
    plain = plot_json(plot)
    return Task(
        id=f"proposed/{NAME}/{plot.kind}/{content_id(plain)[:12]}",
        goal=game.goal,
        environment="proposed",
        options={"world": NAME, "plot": plain, "grammar": game.grammar},
        split="train",
        category=plot.kind,
        origin=origin,
    )


def household(
    materials: Materials,
    size: str = "tiny",
    types: Sequence[str] | None = None,
    max_steps: int = MAX_STEPS,
    rule: str = "uniform",
    rule_options: dict[str, Any] | None = None,
) -> Making:
    """Return the proposer of household games, by the model of the materials where there is one."""
    writer = Writer(materials.llm, "propose_household", Description, materials.prompts) if materials.llm else None
    return Making(HouseholdMaker(size, types, max_steps, writer), knowing(materials), rule, rule_options)


def described(category: str, size: str, generator: random.Random) -> Description:
    """Return a description drawn from the catalogue, which may turn out to be none that can be played."""
    measure = SIZES[size]
    room = generator.choice(rooms_for(category))
    furniture = ROOMS[room]
    pool = [*furniture.always, *(kind for kind, most in furniture.more.items() for _ in range(min(most, 2)))]
    receptacles = Counter(generator.sample(pool, min(len(pool), generator.randint(*measure.receptacles))))
    things = [
        name
        for name, thing in THINGS.items()
        if room in thing.rooms and not receptacles.keys().isdisjoint(thing.holders)
    ]
    lamps = [name for name in things if THINGS[name].lamp]
    plain = [name for name in things if not THINGS[name].lamp] or ["Mug"]
    target = generator.choice(plain)
    goal, lamp = "", ""
    if category == "look_at_obj_in_light":
        lamp = generator.choice(lamps or ["DeskLamp"])
    else:
        goal = generator.choice(sorted(receptacles.keys() & set(THINGS[target].holders)) or sorted(receptacles))
    objects = Counter({target: 2 if category == "pick_two_obj_and_place" else 1})
    objects.update([lamp] if lamp else [])
    wanted = generator.randint(*measure.objects)
    while objects.total() < wanted:
        objects[generator.choice(plain)] += 1
    return Description(
        type=category,
        room=room,
        receptacles=dict(receptacles),
        objects=dict(objects),
        target=target,
        goal=goal,
        lamp=lamp,
    )


def _unknown(what: Description, measure: Measure) -> tuple[str, str] | None:
    """Return what in a description there is not, or is too much."""
    if what.type not in CATEGORIES or what.room not in ROOMS:
        return "unknown", f"type {what.type!r} or room {what.room!r}"
    for kind, known in ((what.receptacles, HOLDERS), (what.objects, THINGS)):
        for name, count in kind.items():
            if name not in known:
                return "unknown", name
            if not 1 <= count <= PLACES:
                return "fields", f"{count} of {name}"
    if what.target not in what.objects or THINGS[what.target].lamp:
        return "unknown", f"target {what.target!r}"
    light = what.type == "look_at_obj_in_light"
    if light and (what.goal or what.lamp not in what.objects or not THINGS[what.lamp].lamp):
        return "unknown", f"lamp {what.lamp!r}"
    if not light and (what.lamp or what.goal not in what.receptacles):
        return "unknown", f"goal {what.goal!r}"
    if what.room not in rooms_for(what.type):
        return "unknown", f"{what.type} in the {what.room}"
    places, things = sum(what.receptacles.values()), sum(what.objects.values())
    if places > measure.receptacles[1] or things > measure.objects[1]:
        return "too_long", f"{places} receptacles and {things} objects"
    return None


def _laid_out(what: Description, generator: random.Random) -> Plot | str:
    """Put every thing somewhere, the target not where it is wanted; or return what fits nowhere."""
    kinds = sorted(Counter(what.receptacles).elements())
    places = tuple(
        Place(kind, spot, kind in ALWAYS_SHUT or (kind in SOMETIMES_SHUT and generator.random() < 0.5))
        for spot, kind in enumerate(kinds, 1)
    )
    lying = []
    for thing in sorted(Counter(what.objects).elements()):
        fitting = [
            number
            for number, place in enumerate(places)
            if contains(place.kind, thing) and not (thing == what.target and place.kind == what.goal)
        ]
        if not fitting:
            return thing
        lying.append((thing, generator.choice(fitting)))
    layout = Layout(what.room, 0, places)
    return Plot(layout, what.type, what.target, what.goal, what.lamp, tuple(sorted(lying)))  # type: ignore[arg-type]


def _kept(description: Description) -> JsonValue:
    plain: JsonValue = description.model_dump(mode="json")
    return plain


def _told(category: str, size: str, examples: Sequence[JsonValue], generator: random.Random) -> dict[str, str]:
    """Return what the prompt says."""
    measure = SIZES[size]
    rooms = rooms_for(category)
    things = [name for name, thing in THINGS.items() if not set(thing.rooms).isdisjoint(rooms)]
    shown = generator.sample(list(examples), min(3, len(examples)))
    return {
        "type": category,
        "rooms": ", ".join(rooms),
        "receptacles": ", ".join(sorted(HOLDERS)),
        "objects": ", ".join(things),
        "places": str(measure.receptacles[1]),
        "things": str(measure.objects[1]),
        "examples": "\n".join(json.dumps(one) for one in shown) or "(none yet)",
    }
