"""Our ALFWorld engine beside stock TextWorld: the same games, the same commands, by turns in one run."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..errors import EnvironmentFailure
from .alfworld import AlfworldTaskset
from .alfworld_engine import Engine
from .alfworld_game import load_game
from .alfworld_stock import StockGame, require_stock

REPEAT = 20
"""How often our engine plays what the stock engine plays once; one play of ours is too short to time."""


def bench_engine(
    *, data: str | None = None, split: str = "valid_seen", limit: int = 12, stock: bool = True
) -> dict[str, Any]:
    """Measure starts and steps per second; a start is from the file to the first observation with its commands.

    Without data, household games of full size are written to a folder and played.

    Raises:
        ConfigError: the stock engine is wanted and not installed.
    """
    if stock:
        require_stock()
    with tempfile.TemporaryDirectory() as folder:
        if data is None:
            from .household import export_games

            export_games(Path(folder), split=split, size="full", games=limit)
        taskset = AlfworldTaskset(data or folder)
        paths = [str(taskset.path(task)) for task in taskset.tasks(split, limit=limit)]
        ours, theirs = [0.0, 0, 0.0, 0], [0.0, 0, 0.0, 0]
        for path in paths:
            plan = _plan(path)
            for _ in range(REPEAT):
                _add(ours, time_own(path, plan))
            if stock:
                # A process per game: the stock engine grows, and slows down as it grows.
                _add(theirs, _in_child(path, plan))
    figures: dict[str, Any] = {
        "games": len(paths),
        "source": data or "household, full size",
        "own_starts_per_s": round(ours[1] / ours[0], 1),
        "own_steps_per_s": round(ours[3] / ours[2], 1),
    }
    if stock:
        figures |= {
            "stock_starts_per_s": round(theirs[1] / theirs[0], 3),
            "stock_steps_per_s": round(theirs[3] / theirs[2], 2),
            "starts_ratio": round((ours[1] / ours[0]) / (theirs[1] / theirs[0]), 1),
            "steps_ratio": round((ours[3] / ours[2]) / (theirs[3] / theirs[2]), 1),
        }
    return figures


def time_own(path: str, plan: Sequence[str]) -> tuple[float, int, float, int]:
    """Return seconds and count of starts, seconds and count of steps, in our engine."""
    clock = time.perf_counter()
    engine = Engine(load_game(path))
    engine.reset()
    engine.admissible()
    begun = time.perf_counter()
    for command in plan:
        engine.step(command)
        engine.admissible()
        engine.won  # noqa: B018 - part of what a step is asked for
    return begun - clock, 1, time.perf_counter() - begun, len(plan)


def time_stock(path: str, plan: Sequence[str]) -> tuple[float, int, float, int]:
    """Return the same figures for the stock engine; importing it is not counted."""
    require_stock()
    StockGame.warm()
    clock = time.perf_counter()
    game = StockGame(path)
    game.reset()
    begun = time.perf_counter()
    for command in plan:
        game.step(command)
    return begun - clock, 1, time.perf_counter() - begun, len(plan)


def _plan(path: str) -> list[str]:
    """Return the walkthrough with looking about in between: what an agent does, some twenty steps."""
    plan: list[str] = []
    for command in load_game(path).walkthrough:
        plan += [command, "inventory", "look"]
    return plan[:24]


def _in_child(path: str, plan: Sequence[str]) -> tuple[float, int, float, int]:
    command = [sys.executable, "-m", "lamarck.evals.bench_engine", path, json.dumps(list(plan))]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise EnvironmentFailure(f"the stock engine failed on {path}: {last}.")
    seconds, starts, step_seconds, steps = json.loads(done.stdout.strip().splitlines()[-1])
    return float(seconds), int(starts), float(step_seconds), int(steps)


def _add(total: list[float], part: tuple[float, int, float, int]) -> None:
    for index, value in enumerate(part):
        total[index] += value


if __name__ == "__main__":
    print(json.dumps(time_stock(sys.argv[1], json.loads(sys.argv[2]))))  # noqa: T201 - read by the parent
