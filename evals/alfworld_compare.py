"""Playing a game in our engine and in the stock one side by side, step by step.

`python -m lamarck.evals.alfworld_compare FILE... ` prints one JSON line per game; the stock engine leaks, so callers
start a fresh process every few games.
"""

from __future__ import annotations

import json
import random
import sys
from collections.abc import Iterator
from typing import Any

from .alfworld_engine import Engine
from .alfworld_game import load_game
from .alfworld_stock import StockGame

USEFUL = ("take ", "move ", "put ", "open ", "heat ", "cool ", "clean ", "use ", "slice ", "examine ")
"""Commands that change or show something; playing at random among all of them would mostly walk."""


def compare(path: str, *, steps: int, seed: int = 0) -> dict[str, Any]:
    """Play the walkthrough, then `steps` more at random, half of them useful ones; compare everything shown.

    Returns:
        `steps` played, `won` states seen, and `differences`: at most three, each with the commands that led there.
    """
    game, stock = Engine(load_game(path)), StockGame(path)
    generator = random.Random(f"{seed}/{path.rsplit('/', 3)[-3:]}")
    shown = [(game.reset(), game.admissible(), game.won), stock.reset()]
    played: list[str] = []
    differences: list[dict[str, Any]] = []
    won = 0
    for command in _commands(game, generator, steps):
        if shown[0] != shown[1]:
            differences.append({"after": played[-8:], "ours": shown[0], "stock": shown[1]})
            if len(differences) == 3:
                break
        won += shown[1][2]
        played.append(command)
        shown = [(game.step(command), game.admissible(), game.won), stock.step(command)]
    if shown[0] != shown[1] and len(differences) < 3:
        differences.append({"after": played[-8:], "ours": shown[0], "stock": shown[1]})
    won += shown[1][2]
    return {"game": path, "steps": len(played), "won": won, "differences": differences}


def _commands(game: Engine, generator: random.Random, steps: int) -> Iterator[str]:
    yield from ("look", "inventory", "help", "fly to the moon")
    # From the untouched start, so that it must win in both engines.
    yield from game.game.walkthrough
    for _ in range(steps):
        yield _pick(game, generator)


def _pick(game: Engine, generator: random.Random) -> str:
    admissible = game.admissible()
    useful = [command for command in admissible if command.startswith(USEFUL)]
    return generator.choice(useful if useful and generator.random() < 0.6 else admissible)


def main(arguments: list[str]) -> None:
    """Compare the games named on the command line; the first argument is the number of random steps."""
    for path in arguments[1:]:
        print(json.dumps(compare(path, steps=int(arguments[0]))), flush=True)  # noqa: T201 - this is the output


if __name__ == "__main__":
    main(sys.argv[1:])
