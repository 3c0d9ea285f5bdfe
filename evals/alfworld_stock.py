"""The stock ALFWorld engine (TextWorld with its planner) behind the same environment, and as an oracle.

It is slow, not thread-safe, and grows with every game, so it runs in child processes that are replaced. It needs the
extra `alfworld`, a C++ compiler at installation, and brings GPL libraries; nothing else here does.
"""

from __future__ import annotations

import contextlib
import io
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from ..core import Task
from ..errors import ConfigError, EnvironmentFailure
from .alfworld_play import MAX_STEPS


class StockGame:
    """One game file in the stock engine."""

    def __init__(self, path: str | Path) -> None:
        with _quiet():
            self._environment = _make()
            self._environment.load(str(path))

    @staticmethod
    def warm() -> None:
        """Import the stock engine, so that timing what follows does not count it."""
        _make()

    def reset(self) -> tuple[str, list[str], bool]:
        """Return the first text, the admissible commands, and whether the game is won."""
        with _quiet():
            state = self._environment.reset()
        return str(state.feedback), list(state["admissible_commands"]), bool(state["won"])

    def step(self, command: str) -> tuple[str, list[str], bool]:
        """Return text, admissible commands, and whether the game is won."""
        with _quiet():
            state, _, _ = self._environment.step(command)
        return str(state.feedback), list(state["admissible_commands"]), bool(state["won"])


class StockEnvironment:
    """ALFWorld tasks in the stock engine, with the same observations and infos as `GameEnvironment`."""

    concurrency = "process"
    recycle_after = 20

    def __init__(self, path_of: Callable[[Task], Path], max_steps: int = MAX_STEPS) -> None:
        self._path_of = path_of
        self.max_steps = max_steps
        self._game: StockGame | None = None
        self._steps = 0
        self._over = False

    def reset(self, *, seed: int | None = None, task: Task | None = None) -> tuple[str, dict[str, Any]]:
        """Start the game of `task`.

        Raises:
            ConfigError: the extra is not installed.
        """
        if task is None:
            raise EnvironmentFailure("an ALFWorld environment is reset with a task.", kind="contract")
        self._game = StockGame(self._path_of(task))
        self._steps = 0
        text, admissible, won = self._game.reset()
        self._over = False
        return text, _info(admissible, won, True)

    def step(self, action: str) -> tuple[str, float, bool, bool, dict[str, Any]]:
        """Give one command.

        Raises:
            EnvironmentFailure: the episode has not begun, or is over.
        """
        if self._game is None:
            raise EnvironmentFailure("the environment was not reset.", kind="contract")
        if self._over:
            raise EnvironmentFailure("the episode is over; reset begins another one.", kind="order")
        text, admissible, won = self._game.step(action)
        self._steps += 1
        truncated = not won and self._steps >= self.max_steps
        self._over = won or truncated
        return text, float(won), won, truncated, _info(admissible, won, text != "Nothing happens.")

    def close(self) -> None:
        """Forget the game."""
        self._game = None


def require_stock() -> None:
    """Check that the stock engine is installed.

    Raises:
        ConfigError: it is not; says how to install it.
    """
    from importlib.util import find_spec

    missing = [name for name in ("textworld", "fast_downward", "alfworld") if find_spec(name) is None]
    if missing:
        raise ConfigError(
            f"the stock ALFWorld engine needs {', '.join(missing)}.",
            hint="Run: pip install 'lamarck-agents[alfworld]' (needs a C++ compiler; brings GPL libraries).",
        )


def _make() -> Any:
    require_stock()
    # Importing alfworld makes a folder under $ALFWORLD_DATA or in the user's cache; it need not be a real one.
    before = os.environ.get("ALFWORLD_DATA")
    os.environ["ALFWORLD_DATA"] = tempfile.gettempdir()
    try:
        from alfworld.agents.environment.alfred_tw_env import AlfredDemangler, AlfredInfos
        from textworld import EnvInfos
        from textworld.envs import PddlEnv
    finally:
        if before is None:
            del os.environ["ALFWORLD_DATA"]
        else:
            os.environ["ALFWORLD_DATA"] = before
    wanted = EnvInfos(won=True, admissible_commands=True, extras=["gamefile"])
    return AlfredInfos(AlfredDemangler(PddlEnv(wanted), shuffle=False))


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep the planner from printing and from leaving its own command line in `sys.argv`."""
    arguments = sys.argv
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        sys.argv = arguments


def _info(admissible: list[str], won: bool, effective: bool) -> dict[str, Any]:
    return {
        "admissible_actions": admissible,
        "success": won,
        "score": float(won),
        "effective": effective,
    }
