"""A game file as an immutable `Game` that any number of engines can play at once."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

from ..errors import EnvironmentFailure
from .alfworld_facts import KINDS, Pairs, inner, names_of, things
from .alfworld_goal import Goal, read_goal
from .alfworld_wording import Wording, goal_of, read_wording
from .pddl import canonical_actions, read_pddl, tested_types

_ATOM = re.compile(r"\(\s*([\w-]+)((?:\s+[^\s()]+)*)\s*\)")
CATEGORIES = (
    *("pick_and_place_simple", "look_at_obj_in_light", "pick_clean_then_place_in_recep"),
    *("pick_heat_then_place_in_recep", "pick_cool_then_place_in_recep", "pick_two_obj_and_place"),
)


@dataclass(frozen=True)
class Rules:
    """What a domain allows: its actions, and the types of places and tools they ask for."""

    actions: frozenset[str]
    sinks: frozenset[str]
    heaters: frozenset[str]
    coolers: frozenset[str]
    knives: frozenset[str]


@dataclass(frozen=True)
class Game:
    """Everything about a game that does not change while it is played.

    Receptacles, objects and locations are numbered in the order of their ids, which is the order in which the stock
    engine lists them. Relations are indexed by these numbers.
    """

    name: str
    goal: str
    task: str
    """The task sentence as the game shows it."""
    category: str
    walkthrough: tuple[str, ...]
    wording: Wording
    rules: Rules
    receptacles: tuple[str, ...]
    """Names such as `fridge 1`, by number."""
    objects: tuple[str, ...]
    locations: tuple[str, ...]
    places: tuple[tuple[int, ...], ...]
    """Locations of each receptacle, usually one."""
    at: tuple[tuple[int, ...], ...]
    """Receptacles at each location."""
    receptacle_types: tuple[frozenset[str], ...]
    object_types: tuple[frozenset[str], ...]
    holds_types: Mapping[str, frozenset[str]]
    """Receptacle type to the object types it can contain."""
    openable: frozenset[int]
    kinds: Mapping[str, frozenset[int]]
    """`pickupable`, `cleanable`, `heatable`, `coolable`, `toggleable`, `sliceable`, `isreceptacleobject`: objects."""
    inner: Mapping[int, tuple[int, ...]]
    """Object to the objects inside it."""
    start: int
    contents: tuple[tuple[int, ...], ...]
    lying: frozenset[tuple[int, int]]
    """(object, location) pairs."""
    opened: frozenset[int]
    held: tuple[int, ...]
    marks: Mapping[str, frozenset[int]]
    """`isclean`, `ishot`, `iscool`, `issliced`, `istoggled`: objects that are so at the start."""
    objective: Goal
    texts: dict[Any, Any] = field(default_factory=dict, compare=False, repr=False)
    """Texts made on first use; entries are only ever added, and always the same for the same key."""

    @property
    def grammar(self) -> str:
        """`move`, or `put` for games of old releases."""
        return self.wording.grammar


def load_game(path: str | Path) -> Game:
    """Read a `game.tw-pddl` file.

    Raises:
        EnvironmentFailure: the file is missing, is no game, or is one this engine cannot express.
    """
    try:
        data = json.loads(Path(path).read_bytes())
    except OSError as error:
        raise EnvironmentFailure(f"cannot read game {path}: {error.strerror}.", kind="missing") from error
    except (ValueError, RecursionError) as error:
        raise EnvironmentFailure(f"game {path} is not JSON: {error}.", kind="broken") from error
    return parse_game(data, name=str(path))


def parse_game(data: Mapping[str, Any], *, name: str) -> Game:
    """Make a game of the contents of a game file.

    Raises:
        EnvironmentFailure: a part is missing, or is one this engine cannot express.
    """
    if not isinstance(data, Mapping):
        raise EnvironmentFailure(f"game {name} is not a JSON object.", kind="broken")
    for key in ("pddl_domain", "grammar", "pddl_problem"):
        if not isinstance(data.get(key), str):
            raise EnvironmentFailure(f"game {name} has no {key}.", kind="broken")
    walkthrough = data.get("walkthrough") or ()
    wording, task = read_wording(data["grammar"], name)
    try:
        rules = _rules(data["pddl_domain"])
        return _build(name, data["pddl_problem"], rules, wording, task, tuple(str(step) for step in walkthrough))
    except EnvironmentFailure as error:
        raise EnvironmentFailure(f"game {name}: {error.message}.", kind=error.kind) from None
    except (ValueError, KeyError, IndexError) as error:
        raise EnvironmentFailure(f"game {name}: its problem cannot be read ({error!r}).", kind="broken") from error


@functools.cache
def _reference() -> dict[str, tuple[Any, ...]]:
    text = resources.files(__package__).joinpath("household.pddl").read_text(encoding="utf-8")
    return canonical_actions(read_pddl(text))


@functools.lru_cache(maxsize=16)
def _rules(text: str) -> Rules:
    """Check a domain against what the engine does; all games of a release share one."""
    domain = read_pddl(text)
    for action, form in canonical_actions(domain).items():
        if _reference().get(action) != form:
            raise EnvironmentFailure(f"its domain's action {action} is not one this engine knows", kind="domain")
    return Rules(
        actions=frozenset(canonical_actions(domain)),
        sinks=tested_types(domain, "cleanobject"),
        heaters=tested_types(domain, "heatobject"),
        coolers=tested_types(domain, "coolobject"),
        knives=tested_types(domain, "sliceobject"),
    )


def _build(name: str, problem: str, rules: Rules, wording: Wording, task: str, walkthrough: tuple[str, ...]) -> Game:
    unsaid = rules.actions - {action.lower() for action in wording.commands}
    if unsaid:
        raise EnvironmentFailure(f"its grammar has no command for {sorted(unsaid)[0]}", kind="grammar")
    lowered = problem.lower()
    begin, end = lowered.index("(:init"), lowered.index("(:goal")
    facts: dict[str, list[list[str]]] = {}
    for predicate, arguments in _ATOM.findall(lowered, begin, end):
        facts.setdefault(predicate, []).append(arguments.split())
    names = names_of(facts)
    receptacles, objects, locations = things(facts)
    r = {ident: number for number, ident in enumerate(receptacles)}
    o = {ident: number for number, ident in enumerate(objects)}
    where = {ident: number for number, ident in enumerate(locations)}
    pairs = Pairs(facts)
    places = pairs.lists("receptacleatlocation", r, where)
    contents = [sorted(found) for found in pairs.lists("inreceptacle", r, o, swap=True)]
    types: dict[str, set[str]] = {}
    for row in facts.get("cancontain", []):
        types.setdefault(row[0], set()).add(row[1])
    receptacle_types = tuple(frozenset(found) for found in pairs.names("receptacletype", r))
    object_types = tuple(frozenset(found) for found in pairs.names("objecttype", o))
    kinds = {kind: frozenset(o[row[0]] for row in facts.get(kind, [])) for kind in KINDS}
    category = next((kind for kind in CATEGORIES if kind in name), "")
    return Game(
        name=name,
        goal=goal_of(task),
        task=task,
        category=category,
        walkthrough=walkthrough,
        wording=wording,
        rules=rules,
        receptacles=tuple(names[ident] for ident in receptacles),
        objects=tuple(names[ident] for ident in objects),
        locations=tuple(names[ident] for ident in locations),
        places=tuple(tuple(sorted(found)) for found in places),
        at=tuple(tuple(n for n, found in enumerate(places) if spot in found) for spot in range(len(locations))),
        receptacle_types=receptacle_types,
        object_types=object_types,
        holds_types={kind: frozenset(found) for kind, found in types.items()},
        openable=frozenset(r[row[0]] for row in facts.get("openable", [])),
        kinds=kinds,
        inner=inner(facts, o),
        start=where[facts["atlocation"][0][1]],
        contents=tuple(tuple(found) for found in contents),
        lying=frozenset((o[row[0]], where[row[1]]) for row in facts.get("objectatlocation", [])),
        opened=frozenset(r[row[0]] for row in facts.get("opened", [])),
        held=tuple(sorted(o[row[1]] for row in facts.get("holds", []))),
        marks={mark: frozenset(o[row[0]] for row in facts.get(mark, [])) for mark in MARKS},
        objective=read_goal(
            read_pddl(problem[end:]), receptacle_types, object_types, kinds, tuple(range(len(locations)))
        ),
    )


MARKS = ("isclean", "ishot", "iscool", "issliced", "istoggled")
