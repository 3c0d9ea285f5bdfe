"""Which commands do something in a state of a game."""

from __future__ import annotations

from typing import Protocol

from .alfworld_game import Game

Move = tuple[str, int, int]
"""Action name and the numbers of what it is done to; -1 where there is nothing."""


class Play(Protocol):
    """What the commands depend on."""

    location: int
    contents: list[list[int]]
    held: list[int]
    opened: set[int]
    lying: set[tuple[int, int]]


def make_offers(game: Game, state: Play) -> dict[str, Move]:
    """Return the commands that do something now, each with what it does."""
    here = state.location
    offers = dict(_standing(game, here))
    commands, actions = game.wording.commands, game.rules.actions
    at = game.at[here]
    names, things = game.receptacles, game.objects
    kinds = game.kinds
    held = state.held
    for r in at:
        shut = r in game.openable and r not in state.opened
        if r in game.openable:
            action = "OpenObject" if shut else "CloseObject"
            if action in commands:
                offers[commands[action].format(names[r])] = (action, r, -1)
        inside = state.contents[r]
        if not inside:
            continue
        if not held and not shut:
            take, pickupable = commands["PickupObject"], kinds["pickupable"]
            for o in inside:
                if o in pickupable:
                    offers[take.format(things[o], names[r])] = ("PickupObject", o, r)
        for o in inside:
            if o in kinds["toggleable"]:
                offers[commands["ToggleObject"].format(things[o])] = ("ToggleObject", o, r)
    for o in held:
        _offer_held(game, state, offers, o)
    if held and "sliceobject" in actions:
        for knife in held:
            if game.object_types[knife] & game.rules.knives:
                for o, place in state.lying:
                    if place == here and o in kinds["sliceable"]:
                        offers[commands["SliceObject"].format(things[o], things[knife])] = ("SliceObject", o, knife)
    return offers


def _offer_held(game: Game, state: Play, offers: dict[str, Move], o: int) -> None:
    """Add what can be done with a thing in the hand."""
    name, at = game.objects[o], game.at[state.location]
    commands, kinds, rules = game.wording.commands, game.kinds, game.rules
    offers[commands["examineObject"].format(name)] = ("examineObject", o, -1)
    for r in at:
        shut = r in game.openable and r not in state.opened
        types = game.receptacle_types[r]
        if not shut and any(game.object_types[o] & game.holds_types.get(kind, frozenset()) for kind in types):
            offers[commands["PutObject"].format(name, game.receptacles[r])] = ("PutObject", o, r)
        for action, kind, where in (
            ("CleanObject", "cleanable", rules.sinks),
            ("HeatObject", "heatable", rules.heaters),
            ("CoolObject", "coolable", rules.coolers),
        ):
            if types & where and o in kinds[kind]:
                offers[commands[action].format(name, game.receptacles[r])] = (action, o, r)


def _standing(game: Game, here: int) -> dict[str, Move]:
    """Return what can always be done at a location: look about, go elsewhere, examine what stands there."""
    key = ("standing", here)
    if key not in game.texts:
        commands = game.wording.commands
        always = ("look", "inventory", "help")
        offers: dict[str, Move] = {
            commands[action]: (action, -1, -1) for action in always if action in game.rules.actions
        }
        go = commands["GotoLocation"]
        for r, places in enumerate(game.places):
            for place in places:
                # Going where one is would change nothing, so the planner offers no such action.
                if place != here:
                    offers.setdefault(go.format(game.receptacles[r]), ("GotoLocation", r, place))
        for r in game.at[here]:
            offers[commands["examineReceptacle"].format(game.receptacles[r])] = ("examineReceptacle", r, -1)
        game.texts[key] = offers
    return game.texts[key]  # type: ignore[no-any-return]
