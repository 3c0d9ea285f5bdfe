"""ALFWorld's text engine in plain Python: the official text byte for byte, at a small part of the cost.

Facts that text equality with the stock engine demands are noted where they are met; they were found by comparing.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from .alfworld_game import MARKS, Game
from .alfworld_offers import Move, make_offers

NOTHING = "Nothing happens."
_INTO = re.compile(r"^put (.+) in/on (.+)$")
_ONTO = re.compile(r"^move (.+) to (.+)$")


class State(NamedTuple):
    """A snapshot of a game."""

    location: int
    contents: tuple[tuple[int, ...], ...]
    held: tuple[int, ...]
    opened: frozenset[int]
    lying: frozenset[tuple[int, int]]
    taken: frozenset[tuple[int, int]]
    marks: tuple[frozenset[int], ...]


class Engine:
    """One play of one game. Many engines may play the same `Game` in many threads."""

    def __init__(self, game: Game) -> None:
        self.game = game
        self.reset()

    def reset(self) -> str:
        """Begin anew and return the first text."""
        game = self.game
        self.location = game.start
        self.contents: list[list[int]] = [list(things) for things in game.contents]
        self.held: list[int] = list(game.held)
        self.opened: set[int] = set(game.opened)
        self.lying: set[tuple[int, int]] = set(game.lying)
        self.taken: set[tuple[int, int]] = set()
        """(object, receptacle) it was taken from and has not been put back into."""
        self.marks: dict[str, set[int]] = {mark: set(things) for mark, things in game.marks.items()}
        self._moves: dict[str, Move] | None = None
        self._reached: int | None = None
        key = "intro"
        if key not in game.texts:
            wording = game.wording
            look = self._look(everywhere=True)
            game.texts[key] = wording.say("intro", {"#look.feedback#": look, "#task#": game.task})
        return str(game.texts[key])

    @property
    def won(self) -> bool:
        """Whether the goal is reached."""
        return self._count() == self.game.objective.total

    @property
    def progress(self) -> float:
        """Share of the goal's conditions that hold, for the best choice of things, in [0, 1]."""
        total = self.game.objective.total
        return self._count() / total if total else 1.0

    def admissible(self) -> list[str]:
        """Return the commands that do something now, sorted as the stock engine sorts them."""
        return sorted(self._offers())

    def step(self, command: str) -> str:
        """Carry out a command and return what is shown; one that is not admissible changes nothing."""
        command = command.strip()
        offers = self._offers()
        move = offers.get(command)
        if move is None:
            move = offers.get(self._other_wording(command))
            if move is None:
                return NOTHING
        self._moves = None
        return _DO[move[0]](self, move[1], move[2])

    def snapshot(self) -> State:
        """Return the whole state of the play."""
        return State(
            location=self.location,
            contents=tuple(tuple(things) for things in self.contents),
            held=tuple(self.held),
            opened=frozenset(self.opened),
            lying=frozenset(self.lying),
            taken=frozenset(self.taken),
            marks=tuple(frozenset(self.marks[mark]) for mark in MARKS),
        )

    def restore(self, state: State) -> None:
        """Go back to a snapshot of the same game."""
        self.location = state.location
        self.contents = [list(things) for things in state.contents]
        self.held = list(state.held)
        self.opened = set(state.opened)
        self.lying, self.taken = set(state.lying), set(state.taken)
        self.marks = {mark: set(things) for mark, things in zip(MARKS, state.marks, strict=True)}
        self._moves = self._reached = None

    # What a goal asks for.

    def contains(self, receptacle: int, thing: int) -> bool:
        """Whether a thing is in or on a receptacle."""
        return thing in self.contents[receptacle]

    def is_open(self, receptacle: int) -> bool:
        """Whether a receptacle has been opened."""
        return receptacle in self.opened

    def is_at(self, receptacle: int, location: int) -> bool:
        """Whether a receptacle stands at a location."""
        return location in self.game.places[receptacle]

    def _count(self) -> int:
        if self._reached is None:
            self._reached = self.game.objective.reached(self)
        return self._reached

    # Commands.

    def _other_wording(self, command: str) -> str:
        """Return `put X in/on Y` as this game words it, and `move X to Y` likewise."""
        found = _INTO.match(command) or _ONTO.match(command)
        template = self.game.wording.commands.get("PutObject")
        return template.format(*found.groups()) if found and template else command

    def _offers(self) -> dict[str, Move]:
        if self._moves is None:
            self._moves = make_offers(self.game, self)
        return self._moves

    # What the actions do and show.

    def _say(self, action: str, values: dict[str, str], facts: set[str] | frozenset[str] = frozenset()) -> str:
        return self.game.wording.say(self.game.wording.feedback[action], values, facts)

    def _goto(self, r: int, place: int) -> str:
        self.location = place
        if self.game.objective.uses_location:
            self._reached = None
        return self._say(
            "GotoLocation",
            {
                "{r.name}": self.game.receptacles[r],
                "{lend.name}": self.game.locations[place],
                "#examineReceptacle.feedback#": self._examine(r),
            },
        )

    def _open(self, r: int, _: int) -> str:
        self.opened.add(r)
        self._reached = None
        name = self.game.receptacles[r]
        return self._say("OpenObject", {"{r.name}": name, "#examineReceptacle.feedback#": self._examine(r)})

    def _close(self, r: int, _: int) -> str:
        self.opened.discard(r)
        self._reached = None
        return self._say("CloseObject", {"{r.name}": self.game.receptacles[r]})

    def _take(self, o: int, r: int) -> str:
        self.contents[r].remove(o)
        self.held.append(o)
        # The thing leaves the place where the agent is; if it was said to lie elsewhere, that stays said.
        self.lying.discard((o, self.location))
        self.taken.add((o, r))
        self._reached = None
        return self._say("PickupObject", self._both(o, r))

    def _put(self, o: int, r: int) -> str:
        self.held.remove(o)
        things = self.contents[r]
        if o not in things:
            things.append(o)
            things.sort()
        self.lying.add((o, self.location))
        self.taken.discard((o, r))
        self._reached = None
        return self._say("PutObject", self._both(o, r))

    def _clean(self, o: int, r: int) -> str:
        return self._mark("CleanObject", o, r, "isclean", None)

    def _heat(self, o: int, r: int) -> str:
        return self._mark("HeatObject", o, r, "ishot", "iscool")

    def _cool(self, o: int, r: int) -> str:
        return self._mark("CoolObject", o, r, "iscool", "ishot")

    def _mark(self, action: str, o: int, r: int, on: str, off: str | None) -> str:
        self.marks[on].add(o)
        if off is not None:
            self.marks[off].discard(o)
        self._reached = None
        return self._say(action, self._both(o, r))

    def _toggle(self, o: int, _: int) -> str:
        # Toggling is for good: a second time says "on" again.
        self.marks["istoggled"].add(o)
        self._reached = None
        return self._say("ToggleObject", {"{o.name}": self.game.objects[o]}, {"toggleable", "istoggled"})

    def _slice(self, o: int, knife: int) -> str:
        self.marks["issliced"].add(o)
        self._reached = None
        return self._say("SliceObject", {"{co.name}": self.game.objects[o], "{ko.name}": self.game.objects[knife]})

    def _inventory(self, _: int, __: int) -> str:
        held = self.game.wording.join([f"a {self.game.objects[o]}" for o in sorted(self.held)])
        facts = {"holdsany"} if self.held else set[str]()
        return self._say("inventory", {"[{o.indefinite+''+o.name|holds(a:agent,o:object)}]": held}, facts)

    def _help(self, _: int, __: int) -> str:
        return self._say("help", {})

    def _look_here(self, _: int, __: int) -> str:
        return self._look(everywhere=False)

    def _examine_receptacle(self, r: int, _: int) -> str:
        return self._examine(r)

    def _examine(self, r: int) -> str:
        game = self.game
        facts = set[str]()
        if r in game.openable:
            facts.add("openable")
        if r in self.opened:
            facts.add("opened")
        inside = game.wording.join([f"a {game.objects[o]}" for o in self.contents[r]])
        values = {
            "{r.name}": game.receptacles[r],
            "[{o.indefinite+''+o.name|inreceptacle(o:object,r:receptacle)}]": inside,
        }
        return game.wording.say("examineReceptacle.feedback", values, facts)

    def _examine_object(self, o: int, _: int) -> str:
        game = self.game
        facts = {mark for mark in MARKS if o in self.marks[mark]}
        facts |= {kind for kind in ("isreceptacleobject", "toggleable", "sliceable") if o in game.kinds[kind]}
        inside = game.wording.join([f"a {game.objects[inner]}" for inner in game.inner.get(o, ())])
        values = {
            "{o.name}": game.objects[o],
            "[{o2.indefinite+''+o2.name|inreceptacleobject(o2:object,o:object)}]": inside,
        }
        return self._say("examineObject", values, facts)

    def _look(self, *, everywhere: bool) -> str:
        """Look about. Only before the first action are all receptacles of the house named."""
        game, wording = self.game, self.game.wording
        at = game.at[self.location]
        if at:
            return wording.say(
                "look.feedback", {"#look-variations#": self._facing(at), _FLOOR: self._floor(at)}, {"yes"}
            )
        named = range(len(game.receptacles)) if everywhere else at
        items = [self._overview("r", game.receptacles[r]) for r in named for _ in game.places[r]]
        listed = wording.say("list_appliances", {_APPLIANCES: wording.join(items)}, {"yes"} if items else set())
        return wording.say("look.feedback", {"#list_appliances#": listed})

    def _facing(self, at: tuple[int, ...]) -> str:
        names = self.game.wording.join([self.game.receptacles[r] for r in at])
        return self.game.wording.say("look-variations", {_FACING: names})

    def _floor(self, at: tuple[int, ...]) -> str:
        """List what lies here beside the receptacle it was taken from, once for each such receptacle."""
        game, wording = self.game, self.game.wording
        here = sorted(o for o, place in self.lying if place == self.location)
        items = [self._overview("o", game.objects[o]) for o in here for r in at if (o, r) in self.taken]
        return wording.say(
            "list_objects_on_the_floor", {_FLOOR_ITEMS: wording.join(items)}, {"yes"} if items else set()
        )

    def _overview(self, kind: str, name: str) -> str:
        values = {f"{{{kind}.indefinite}}": "a", f"{{{kind}.name}}": name, "{r.nameorr.id}": name}
        return self.game.wording.say(f"overview({kind})", values)

    def _both(self, o: int, r: int) -> dict[str, str]:
        return {"{o.name}": self.game.objects[o], "{r.name}": self.game.receptacles[r]}


_FLOOR = "#list_objects_on_the_floor#"
_APPLIANCES = "[{#overview(r)#|receptacleatlocation(r:receptacle,l:location)}]"
_FACING = "[{r.name|atlocation(a:agent,l:location)&receptacleatlocation(r:receptacle,l:location)}]"
_FLOOR_ITEMS = (
    "[{#overview(o)#|atlocation(a:agent,l:location)&objectatlocation(o:object,l:location)"
    "&receptacleatlocation(r:receptacle,l:location)&not_inreceptacle(o:object,r:receptacle)}]"
)
_DO = {
    "GotoLocation": Engine._goto,
    "OpenObject": Engine._open,
    "CloseObject": Engine._close,
    "PickupObject": Engine._take,
    "PutObject": Engine._put,
    "examineReceptacle": Engine._examine_receptacle,
    "examineObject": Engine._examine_object,
    "ToggleObject": Engine._toggle,
    "HeatObject": Engine._heat,
    "CleanObject": Engine._clean,
    "CoolObject": Engine._cool,
    "SliceObject": Engine._slice,
    "look": Engine._look_here,
    "inventory": Engine._inventory,
    "help": Engine._help,
}
