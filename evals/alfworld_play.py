"""ALFWorld games as an environment, whatever they come from."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..core import Task
from ..errors import EnvironmentFailure
from .alfworld_engine import NOTHING, Engine, State
from .alfworld_game import Game

MAX_STEPS = 50
"""Steps per episode in the published evaluations."""


class GameEnvironment:
    """Plays the game of whatever task it is reset with.

    Args:
        load: from a task to its game. Games are immutable, so one may be handed out many times.
        max_steps: after this many steps the episode is truncated.
    """

    concurrency = "inline"

    def __init__(self, load: Callable[[Task], Game], max_steps: int = MAX_STEPS) -> None:
        self._load = load
        self.max_steps = max_steps
        self._engine: Engine | None = None
        self._steps = 0

    def reset(self, *, seed: int | None = None, task: Task | None = None) -> tuple[str, dict[str, Any]]:
        """Start the game of `task`; the seed changes nothing, since games hold no chance.

        Raises:
            EnvironmentFailure: no task was given, or its game cannot be read.
        """
        if task is None:
            raise EnvironmentFailure("an ALFWorld environment is reset with a task.", kind="contract")
        self._engine = Engine(self._load(task))
        self._steps = 0
        return self._engine.reset(), self._info(self._engine, True)

    def step(self, action: str) -> tuple[str, float, bool, bool, dict[str, Any]]:
        """Give one command; the reward is 1 with the step that reaches the goal.

        Raises:
            EnvironmentFailure: the episode has not begun, or is over.
        """
        engine = self._playing()
        if engine.won or self._steps >= self.max_steps:
            raise EnvironmentFailure("the episode is over; reset begins another one.", kind="order")
        text = engine.step(action)
        self._steps += 1
        won = engine.won
        info = self._info(engine, text != NOTHING)
        return text, float(won), won, not won and self._steps >= self.max_steps, info

    def close(self) -> None:
        """Forget the game."""
        self._engine = None

    def snapshot(self) -> tuple[State, int]:
        """Return the state of the play and the steps taken."""
        return self._playing().snapshot(), self._steps

    def restore(self, state: tuple[State, int]) -> None:
        """Go back to a snapshot of the same task."""
        self._playing().restore(state[0])
        self._steps = state[1]

    def _playing(self) -> Engine:
        if self._engine is None:
            raise EnvironmentFailure("the environment was not reset.", kind="contract")
        return self._engine

    def _info(self, engine: Engine, effective: bool) -> dict[str, Any]:
        return {
            "admissible_actions": engine.admissible(),
            "success": engine.won,
            "score": engine.progress,
            "effective": effective,
            "grammar": engine.game.grammar,
        }
