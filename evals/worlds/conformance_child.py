"""The process in which a world is tested: it may hang or die, and the test goes on."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any, Self

from ...errors import ConfigError, EnvironmentFailure, LamarckError
from .conformance_report import Finding, Spot
from .conformance_subject import Make

LOAD_S = 120.0
"""Longest wait for the taskset itself: it may have an index to build, or games to make."""


@dataclass(frozen=True, slots=True)
class Settings:
    """How much of a taskset is tested.

    Raises:
        ConfigError: a number is too small.
    """

    split: str | None = None
    """The first one if not given."""
    episodes: int = 6
    """Tasks that are played."""
    steps: int = 30
    """Steps of a walk, where the world does not end it earlier."""
    seed: int = 0
    """Of the tasks and of the choice of actions."""

    def __post_init__(self) -> None:
        if self.episodes < 1 or self.steps < 1:
            raise ConfigError(f"the suite needs at least 1 episode and 1 step, not {self.episodes} and {self.steps}.")


class Stopped(Exception):
    """The world hung or took its process down."""

    def __init__(self, detail: str, spot: Spot) -> None:
        super().__init__(detail)
        self.detail = detail
        self.spot = spot


class Child:
    """Runs checks in a process of its own, in a process group of its own, which ends with it."""

    def __init__(self, make: Make, settings: Settings, checks: Sequence[str], timeout_s: float) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, other = context.Pipe()
        # No daemon: it has children of its own, worlds in processes and the fresh process of `determinism`.
        self._process = context.Process(target=_serve, args=(other, make, settings, list(checks)))
        self._process.start()
        other.close()
        self._timeout_s = timeout_s

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        pid = self._process.pid
        if pid is not None and self._process.is_alive():
            with suppress(OSError):
                os.killpg(pid, signal.SIGKILL)
            self._process.kill()
        self._process.join()
        self._pipe.close()
        self._process.close()

    def findings(self) -> Iterator[tuple[str, Finding]]:
        """Return the split and each finding as it comes.

        Raises:
            Stopped: a call of the world got no answer in time, or the process died.
            ConfigError: the taskset or split does not exist, or cannot be opened here.
            EnvironmentFailure: the taskset cannot be made.
        """
        spot, begun = Spot(), False
        while True:
            try:
                kind, value = self._received(spot, self._timeout_s if spot.task else max(self._timeout_s, LOAD_S))
            except Stopped as stopped:
                if begun:
                    raise
                raise EnvironmentFailure(f"the taskset cannot be made: {stopped.detail}") from None
            begun = begun or kind == "begin"
            if kind == "over":
                return
            if kind == "error":
                wrong, message = value
                raise ConfigError(message) if wrong else EnvironmentFailure(message)
            if kind == "finding":
                yield value
            else:
                spot = value

    def _received(self, spot: Spot, wait_s: float) -> tuple[str, Any]:
        if not self._pipe.poll(wait_s):
            raise Stopped(f"the world gave no answer within {wait_s:g} s.", spot)
        try:
            return self._pipe.recv()  # type: ignore[no-any-return]
        except EOFError:
            self._process.join(5.0)
            raise Stopped(f"the process died (exit code {self._process.exitcode}).", spot) from None


def _serve(pipe: Connection, make: Make, settings: Settings, checks: list[str]) -> None:
    # Late: the suite imports this file.
    from .conformance import serve

    with suppress(OSError):
        os.setpgid(0, 0)
    with suppress(BrokenPipeError, KeyboardInterrupt):
        try:
            serve(make(), settings, make, checks, pipe.send)
            pipe.send(("over", None))
        except LamarckError as error:
            pipe.send(("error", (isinstance(error, ConfigError), str(error))))
        except Exception as error:  # noqa: BLE001 - a guest's code may raise anything
            pipe.send(("error", (False, f"the taskset cannot be made: {type(error).__name__}: {error}.")))
