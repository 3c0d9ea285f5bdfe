"""Solving a game with full sight of it: the walkthrough, and the proof that there is one."""

from __future__ import annotations

from collections.abc import Sequence

from .alfworld_engine import Engine
from .alfworld_game import Game

_TREAT = {
    "pick_clean_then_place_in_recep": ("clean", "sinks", "cleanable"),
    "pick_heat_then_place_in_recep": ("heat", "heaters", "heatable"),
    "pick_cool_then_place_in_recep": ("cool", "coolers", "coolable"),
}


def plan(game: Game) -> tuple[str, ...] | None:
    """Return commands that win the game, each admissible when it is given, or None when none were found.

    Tries every choice of things and places that the goal allows, shortest walks first, and plays each to see.
    """
    for commands in _candidates(game):
        if _wins(game, commands):
            return tuple(commands)
    return None


def _candidates(game: Game) -> list[list[str]]:
    wanted = game.name.split("-")
    target, goal = wanted[1].lower(), wanted[3].lower()
    kind = wanted[0]
    things = [
        (o, r)
        for r, inside in enumerate(game.contents)
        for o in inside
        if f"{target}type" in game.object_types[o] and o in game.kinds["pickupable"]
    ]
    if kind == "look_at_obj_in_light":
        lamps = [
            (lamp, r)
            for r, inside in enumerate(game.contents)
            for lamp in inside
            if f"{goal}type" in game.object_types[lamp] and lamp in game.kinds["toggleable"]
        ]
        return [
            [*_fetch(game, o, r), *_go(game, lamp_at, {r}), f"use {game.objects[lamp]}"]
            for o, r in things
            for lamp, lamp_at in lamps
        ]
    ends = [r for r, types in enumerate(game.receptacle_types) if f"{goal}type" in types]
    if kind == "pick_two_obj_and_place":
        return [
            [*_bring(game, first, end, set()), *_bring(game, second, end, {first[1], end})]
            for end in ends
            for first in things
            for second in things
            if first != second
        ]
    return [_bring(game, thing, end, set(), kind) for end in ends for thing in things]


def _bring(game: Game, thing: tuple[int, int], end: int, opened: set[int], kind: str = "") -> list[str]:
    o, r = thing
    commands = _fetch(game, o, r, opened)
    opened = opened | {r}
    if kind in _TREAT:
        verb, where, _ = _TREAT[kind]
        types: frozenset[str] = getattr(game.rules, where)
        at = next((n for n, found in enumerate(game.receptacle_types) if found & types), None)
        if at is not None:
            commands += [*_walk(game, at), f"{verb} {game.objects[o]} with {game.receptacles[at]}"]
    return [*commands, *_go(game, end, opened), f"move {game.objects[o]} to {game.receptacles[end]}"]


def _fetch(game: Game, o: int, r: int, opened: Sequence[int] | set[int] = ()) -> list[str]:
    return [*_go(game, r, opened), f"take {game.objects[o]} from {game.receptacles[r]}"]


def _go(game: Game, r: int, opened: Sequence[int] | set[int]) -> list[str]:
    door = [f"open {game.receptacles[r]}"] if r in game.openable and r not in opened else []
    return [*_walk(game, r), *door]


def _walk(game: Game, r: int) -> list[str]:
    return [f"go to {game.receptacles[r]}"]


def _wins(game: Game, commands: list[str]) -> bool:
    """Play the commands, leaving out walks to where the agent already is; `commands` becomes what was played."""
    engine = Engine(game)
    played = []
    for command in commands:
        if command not in engine.admissible():
            if command.startswith("go to "):
                continue
            return False
        engine.step(command)
        played.append(command)
    commands[:] = played
    return engine.won
