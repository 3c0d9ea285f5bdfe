"""Household games by number: genuine ALFWorld games, each with a walkthrough that wins.

The same (seed, size, split, type, index) gives the same bytes everywhere. Splits share no game: what a game contains is
hashed, and each split owns a residue class of the hash. `train` and `valid_seen` share room layouts; `valid_unseen` and
`test` have layouts of their own.
"""

from __future__ import annotations

import functools
import hashlib
import random
from collections import Counter
from collections.abc import Iterator
from importlib import resources
from typing import Any, NamedTuple

from .alfworld_engine import Engine
from .alfworld_game import Game, parse_game
from .household_problem import Layout, Place, Plot, grammar_of, problem_of
from .household_world import (
    ALWAYS_SHUT,
    ROOMS,
    SIZES,
    SOMETIMES_SHUT,
    SPLITS,
    THINGS,
    Size,
    Split,
    TaskType,
    contains,
    rooms_for,
)

LAYOUTS = 500
"""Room layouts of each kind of room."""
UNSEEN: dict[Split, int] = {"valid_unseen": 0, "test": 1}
"""Splits with rooms of their own: the tenth of all rooms that is theirs. The other splits share the rest."""
TRIES = 1000


class Made(NamedTuple):
    """A generated game."""

    data: dict[str, Any]
    """The content of a game file."""
    game: Game
    name: str
    """Folder name in ALFWorld's manner, such as `pick_and_place_simple-Mug-None-Shelf-12`."""
    signature: str
    plot: Plot


def make_game(*, seed: int, size: Size, split: Split, kind: TaskType, index: int) -> Made:
    """Make one game.

    Raises:
        RuntimeError: no game came out in `TRIES` tries, which would be a defect of the catalogue.
    """
    for plot, signature in _plots(seed, size, split, kind, index):
        made = _finish(plot, kind, signature)
        if made is not None:
            return made
    raise RuntimeError(f"household: no game for {size} {split} {kind} {index}")


def plot_of_game(*, seed: int, size: Size, split: Split, kind: TaskType, index: int, known: str) -> Plot:
    """Return the plot of a game that was made before, without proving it again.

    Args:
        seed, size, split, kind, index: as in `make_game`.
        known: what its signature begins with, 16 characters. Where there is no such game, it is what is made now.

    Raises:
        RuntimeError: as `make_game`.
    """
    for plot, signature in _plots(seed, size, split, kind, index):
        if signature[:16] == known or _finish(plot, kind, signature) is not None:
            return plot
    raise RuntimeError(f"household: no game for {size} {split} {kind} {index}")


def _plots(seed: int, size: Size, split: Split, kind: TaskType, index: int) -> Iterator[tuple[Plot, str]]:
    """Yield what a game may become, each with its signature; the first that can be finished is the game."""
    # A room in which something is heated has a microwave even when it is tiny, so furniture depends on the type there.
    needs = {"pick_heat_then_place_in_recep": "Microwave", "pick_cool_then_place_in_recep": "Fridge"}.get(kind)
    needs = "SinkBasin" if kind == "pick_clean_then_place_in_recep" else needs
    for attempt in range(TRIES):
        generator = random.Random(f"{seed}/{size}/{split}/{kind}/{index}/{attempt}")
        room = generator.choice(rooms_for(kind))
        furnished = (seed, size, room, needs, generator.randrange(LAYOUTS))
        if not _belongs(_tenth(*furnished), split):
            continue
        plot = _plot(_layout(*furnished), kind, SIZES[size].objects, generator)
        if plot is None:
            continue
        signature = hashlib.sha256(problem_of(plot).encode()).hexdigest()
        if int(signature[:8], 16) % len(SPLITS) == SPLITS.index(split):
            yield plot, signature


@functools.lru_cache(maxsize=1024)
def _layout(seed: int, size: Size, room: str, needs: str | None, number: int) -> Layout:
    """Furnish a room. The layout depends on its number, not on the game played in it."""
    generator = random.Random(f"layout/{seed}/{size}/{room}/{needs}/{number}")
    measure, furniture = SIZES[size], ROOMS[room]
    wanted = generator.randint(*measure.receptacles) + (measure.device if needs else 0)
    always = list(furniture.always)
    if len(always) + 2 > wanted:
        generator.shuffle(always)
        always = sorted(always[:2], key=always.index)
    if needs and needs not in always:
        always[-1] = needs
    kinds = Counter(always)
    pool = [kind for kind, most in furniture.more.items() for _ in range(max(0, most - kinds[kind]))]
    generator.shuffle(pool)
    for extra in pool[: max(0, wanted - len(always))]:
        kinds[extra] += 1
    places: list[Place] = []
    spot = 0
    for name in sorted(kinds):
        for _ in range(kinds[name]):
            near = places and places[-1].kind == name and generator.random() < measure.shared
            spot += 0 if near else 1
            shut = name in ALWAYS_SHUT or (name in SOMETIMES_SHUT and generator.random() < 0.5)
            places.append(Place(name, spot, shut))
    return Layout(room, number, tuple(places))


@functools.lru_cache(maxsize=1 << 14)  # a game is tried in 50 rooms of other splits before one is its own
def _tenth(seed: int, size: Size, room: str, needs: str | None, number: int) -> int:
    """Return which tenth of all rooms a furnished one is of, by what stands in it, so that rooms are never shared."""
    layout = _layout(seed, size, room, needs, number)
    return int(hashlib.sha256(repr((layout.room, layout.places)).encode()).hexdigest()[:8], 16) % 10


def _belongs(tenth: int, split: Split) -> bool:
    """Say whether rooms of a tenth are a split's."""
    return tenth == UNSEEN[split] if split in UNSEEN else tenth not in UNSEEN.values()


def _plot(layout: Layout, kind: TaskType, objects: tuple[int, int], generator: random.Random) -> Plot | None:
    """Fill a room with things and set a task in it; None when this room has no such task."""
    there = {place.kind for place in layout.places}
    common = [
        name for name, thing in THINGS.items() if layout.room in thing.rooms and not there.isdisjoint(thing.holders)
    ]
    lamps = [name for name in common if THINGS[name].lamp]
    target, goal, lamp = _choose_task(kind, common, lamps, there, generator)
    if not target:
        return None
    copies = 2 if kind == "pick_two_obj_and_place" else generator.randint(1, 2)
    things = [target] * copies + ([lamp] if lamp else [])
    fillers = [name for name in common if name != target and not THINGS[name].lamp]
    count = generator.randint(*objects)
    kinds = Counter(things)
    while fillers and len(things) < count:
        name = generator.choice(fillers)
        if kinds[name] < 3:
            kinds[name] += 1
            things.append(name)
        else:
            fillers.remove(name)
    lying: list[tuple[str, int]] = []
    for name in things:
        fitting = [
            number
            for number, place in enumerate(layout.places)
            if contains(place.kind, name) and not (name == target and place.kind == goal)
        ]
        if not fitting:
            return None
        lying.append((name, generator.choice(fitting)))
    return Plot(layout, kind, target, goal, lamp, tuple(sorted(lying)))


def _choose_task(
    kind: TaskType, common: list[str], lamps: list[str], there: set[str], generator: random.Random
) -> tuple[str, str, str]:
    """Return target, goal receptacle and lamp; an empty target when the room has no such task."""
    able = {
        "pick_clean_then_place_in_recep": ("cleanable", "SinkBasin"),
        "pick_heat_then_place_in_recep": ("heatable", "Microwave"),
        "pick_cool_then_place_in_recep": ("coolable", "Fridge"),
    }.get(kind)
    targets = [name for name in common if not THINGS[name].lamp]
    if kind == "look_at_obj_in_light":
        if not lamps or not targets:
            return "", "", ""
        return generator.choice(targets), "", generator.choice(lamps)
    if able is not None:
        targets = [name for name in targets if able[0] in THINGS[name].can] if able[1] in there else []
    pairs = []
    for name in targets:
        holders = sorted(there & set(THINGS[name].holders))
        pairs += [(name, holder) for holder in holders if len(holders) > 1 and (able is None or holder != able[1])]
    if not pairs:
        return "", "", ""
    target, goal = generator.choice(pairs)
    return target, goal, ""


def _finish(plot: Plot, kind: TaskType, signature: str) -> Made | None:
    """Make the game file and prove it by playing: not won at the start, won by its walkthrough."""
    name = f"{kind}-{plot.target}-None-{plot.goal or plot.lamp}-{plot.layout.number}"
    data: dict[str, Any] = {
        "pddl_domain": _file("household.pddl"),
        "grammar": grammar_of(plot, _file("household.twl2")),
        "pddl_problem": problem_of(plot),
        "solvable": True,
        "walkthrough": [],
    }
    game = parse_game(data, name=name)
    from .household_plan import plan

    steps = plan(game)
    engine = Engine(game)
    if steps is None or engine.won:
        return None
    data["walkthrough"] = list(steps)
    return Made(data, parse_game(data, name=name), name, signature, plot)


@functools.cache
def _file(name: str) -> str:
    return resources.files(__package__).joinpath(name).read_text(encoding="utf-8")
