"""Tasks made of what was reached: whatever an episode brought about on its way becomes the goal of a task of its own.

As in autotelic agents that relabel what they did (LMA3, Colas et al. 2023); here the goals are not a
model's words but conditions that the game's engine holds true, so nothing is relabelled in doubt.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from pydantic import JsonValue

from ...agent.proposers.admission import HeldOut
from ...agent.proposers.making import Attempt, Made, Making, refused
from ...agent.proposers.proposer import Materials
from ...core import Origin, Task, Trajectory
from ...errors import EnvironmentFailure
from ..alfworld_engine import NOTHING, Engine
from ..alfworld_game import CATEGORIES, Game
from ..household_problem import Plot
from ..household_world import THINGS, TaskType
from .described import task_of
from .known import knowing, plot_of_task
from .plots import HOLDERS, game_of, said_of, won_at_once

_TREATED: dict[str, TaskType] = {
    "isclean": "pick_clean_then_place_in_recep",
    "ishot": "pick_heat_then_place_in_recep",
    "iscool": "pick_cool_then_place_in_recep",
}

LOOKED_AT = 16
"""Trajectories that are looked at for one task."""


class RelabelMaker:
    """Makes household tasks of what trajectories reached.

    Args:
        materials: the trajectories, and what is held out. Only attempts at tasks to train on are used.
        types: task types, all six if not given.
    """

    name = "relabelled"

    def __init__(self, materials: Materials, types: Sequence[str] | None = None) -> None:
        self.categories = tuple(sorted(set(types or CATEGORIES)))
        self._said = materials.said
        self._held_out = HeldOut([materials.said(task) for task in materials.held_out], near=materials.near)
        self._trajectories = sorted(materials.trajectories, key=lambda one: one.id)
        self._reached: dict[str, list[Plot]] = {}

    async def make(self, category: str, generator: random.Random, examples: Sequence[JsonValue]) -> Attempt:
        """Make one task of a type, of one trajectory."""
        attempt = refused("nothing_reached", "there are no trajectories")
        for source in generator.sample(self._trajectories, min(LOOKED_AT, len(self._trajectories))):
            attempt = self._of(source, category, generator)
            if attempt.made is not None:
                break
        return attempt

    async def close(self) -> None:
        """Nothing is open."""

    def _of(self, source: Trajectory, category: str, generator: random.Random) -> Attempt:
        if source.task.split != "train" or self._held_out.has(self._said(source.task)):
            return refused("not_for_training", f"{source.id} is of {source.task.id}")
        try:
            found = [plot for plot in self._goals(source) if plot.kind == category]
        except EnvironmentFailure as error:
            return refused("unchecked", f"{source.id}: {error.message}")
        if not found:
            return refused("nothing_reached", f"{category} in {source.id}")
        return checked(generator.choice(found), actions_of(source), source.id)

    def _goals(self, source: Trajectory) -> list[Plot]:
        # The same trajectory is looked at again and again, and always says the same.
        if source.id not in self._reached:
            self._reached[source.id] = list(reached(plot_of_task(source.task), actions_of(source)))
        return self._reached[source.id]


def relabelled(
    materials: Materials,
    types: Sequence[str] | None = None,
    rule: str = "uniform",
    rule_options: dict[str, Any] | None = None,
) -> Making:
    """Return the proposer of tasks made of what was reached."""
    materials = knowing(materials)
    return Making(RelabelMaker(materials, types), materials, rule, rule_options)


def actions_of(trajectory: Trajectory) -> tuple[str, ...]:
    """Return what a trajectory gave to its world."""
    return tuple(step.action for step in trajectory.steps if step.action is not None)


def replayed(game: Game, actions: Sequence[str]) -> Engine:
    """Return a game after these actions, which ends with the one that wins it."""
    engine = Engine(game)
    engine.reset()
    for action in actions:
        if engine.won:
            break
        engine.step(action)
    return engine


def reached(plot: Plot, actions: Sequence[str]) -> Iterator[Plot]:
    """Yield the same room with each goal that these actions reach and its own goal is not, in a stable order."""
    game = game_of(plot)
    engine = Engine(game)
    engine.reset()
    if sum(engine.step(action) != NOTHING for action in actions) == 0:
        return
    own = (plot.kind, plot.target, plot.goal, plot.lamp)
    seen = {own}
    for goal in _goals(game, engine):
        if goal in seen:
            continue
        seen.add(goal)
        kind, target, holder, lamp = goal
        other = replace(plot, kind=kind, target=target, goal=holder, lamp=lamp)
        if not won_at_once(game_of(other)):
            yield other


def checked(plot: Plot, actions: Sequence[str], source: str) -> Attempt:
    """Return the task of a plot if the actions reach its goal, and the planner does as well."""
    game = game_of(plot)
    if won_at_once(game):
        return refused("solved_already", game.goal)
    if not game.walkthrough:
        return refused("unsolvable", game.goal)
    if not replayed(game, actions).won:
        return refused("not_reached", f"{game.goal} by {source}")
    task: Task = task_of(plot, Origin(kind="relabelled", by=source))
    return Attempt(Made(task, said_of(plot)))


def _goals(game: Game, engine: Engine) -> Iterator[tuple[TaskType, str, str, str]]:
    """Yield (type, target, goal, lamp) of all goals that are reached now, whether or not they were at the start."""
    kinds = {f"{name}type".lower(): name for name in THINGS}

    def of(thing: int) -> str:
        return next((kinds[one] for one in sorted(game.object_types[thing]) if one in kinds), "")

    for r, inside in enumerate(engine.contents):
        holder = next((name for name in sorted(_holders(game, r))), "")
        if not holder:
            continue
        names = [of(thing) for thing in inside]
        for thing, name in zip(inside, names, strict=True):
            if not name or THINGS[name].lamp:
                continue
            for mark, kind in _TREATED.items():
                if thing in engine.marks[mark]:
                    yield kind, name, holder, ""
            if names.count(name) > 1:
                yield "pick_two_obj_and_place", name, holder, ""
            yield "pick_and_place_simple", name, holder, ""
    here = set(game.at[engine.location])
    for lamp in sorted(engine.marks["istoggled"]):
        if any(lamp in engine.contents[r] for r in here):
            for thing in sorted(engine.held):
                if of(thing) and of(lamp):
                    yield "look_at_obj_in_light", of(thing), "", of(lamp)


def _holders(game: Game, r: int) -> list[str]:
    known = {f"{name}type".lower(): name for name in HOLDERS}
    return [known[one] for one in game.receptacle_types[r] if one in known]
