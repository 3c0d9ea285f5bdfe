"""What somebody who can play an ALFWorld game would do without seeing through its doors.

A walkthrough knows where everything lies and goes straight there. Whoever imitates it learns to know what cannot be
known. So a demonstration first looks into some places that do not hold what is wanted, by lot, and goes on to the
walkthrough's own: what is to be seen in it, and not more, decides what is done next.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

from ..core import Task, content_id
from ..errors import ConfigError
from ..seams import Taskset
from .alfworld_check import Games
from .alfworld_engine import Engine
from .alfworld_game import Game


def demonstrate(taskset: Taskset, task: Task, sample: int = 0, *, most: int = 3) -> tuple[str, ...]:
    """Return commands that win a task's game; another sample looks elsewhere first.

    Args:
        taskset: made of ALFWorld games, such as `household` and `alfworld`.
        task: one of its tasks.
        sample: which of several demonstrations.
        most: places looked into in vain before each find, at most.

    Raises:
        ConfigError: the taskset has no walkthroughs, or this game carries none.
    """
    if not hasattr(taskset, "game"):
        raise ConfigError(
            f"taskset {taskset.name} has no walkthroughs to follow; alfworld and household have.",
            hint="Choose another --model than expert.",
        )
    games: Games = taskset  # type: ignore[assignment]
    game = games.game(task)
    if not game.walkthrough:
        raise ConfigError(f"task {task.id} carries no walkthrough to follow.", hint="Leave it out with taskset.ids.")
    draw = random.Random(int(content_id(task.id, sample)[:15], 16))
    found = searching(game, draw, most)
    return found if _wins(game, found) else game.walkthrough


def searching(game: Game, draw: random.Random, most: int) -> tuple[str, ...]:
    """Return the walkthrough with places looked into before each thing that has to be found."""
    engine, made = Engine(game), list[str]()
    engine.reset()
    # Places the walkthrough needs are not looked into beforehand: a third visit with nothing new counts as a loop.
    needed = {command.removeprefix("go to ") for command in game.walkthrough}
    seen = set[str]()

    def give(command: str) -> None:
        engine.step(command)
        made.append(command)

    for number, command in enumerate(game.walkthrough):
        place = command.removeprefix("go to ")
        if place != command:
            sought = _sought(game, game.walkthrough[number + 1 :])
            if sought and place not in seen:
                vain = [name for name in _without(game, sought) if name not in seen | needed]
                for name in draw.sample(vain, draw.randint(0, min(most, len(vain)))):
                    give(f"go to {name}")
                    if (door := f"open {name}") in engine.admissible():
                        give(door)
                    seen.add(name)
            seen.add(place)
        if command in engine.admissible():
            give(command)  # a door may stand open by now
    return tuple(made)


def _sought(game: Game, after: Sequence[str]) -> str:
    """Return the kind of thing that the walkthrough goes to a place for, or nothing where it brings one there."""
    for command in after:
        verb, _, rest = command.partition(" ")
        if verb in ("take", "use"):
            return rest.split(" from ")[0].rsplit(" ", 1)[0]
        if verb != "open":
            return ""
    return ""


def _without(game: Game, sought: str) -> list[str]:
    """Return the places that hold nothing of a kind when the game begins."""
    return [
        name
        for name, inside in zip(game.receptacles, game.contents, strict=True)
        if not any(game.objects[thing].rsplit(" ", 1)[0] == sought for thing in inside)
    ]


def _wins(game: Game, commands: Sequence[str]) -> bool:
    engine = Engine(game)
    engine.reset()
    for command in commands:
        if command not in engine.admissible():
            return False
        engine.step(command)
    return engine.won
