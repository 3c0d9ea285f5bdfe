"""How long a phase has taken, over all processes that worked on it: also those that were killed."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from pydantic import ValidationError

from ...agent.evolution.generation import Generation, Phase
from ...core import Wire
from ...errors import StoreError
from .home import Home, write

FILE = "clock.json"
EVERY_S = 5.0
"""How often it is written down, in seconds: what a kill may take from it."""


class Worked(Wire):
    """What is written down of the phase that goes on."""

    phase: str
    seconds: float


class PhaseClock:
    """Measures the phases of an evolution.

    Args:
        home: of the evolution.
        now: the time in seconds, for tests.
        every_s: how often it is written down.
    """

    def __init__(self, home: Home, now: Callable[[], float] = time.monotonic, every_s: float = EVERY_S) -> None:
        self._home, self._now, self._every_s = home, now, every_s
        self._before, self._began = 0.0, now()

    def seconds(self) -> float:
        """Return what the phase that goes on has taken so far."""
        return self._before + self._now() - self._began

    @contextmanager
    def __call__(self, now: Generation, phase: Phase) -> Iterator[Callable[[], float]]:
        """Measure a phase, from where an earlier process has left it; give what tells its seconds."""
        file = self._home.generation(now.number) / FILE
        self._before, self._began = worked(file, phase), self._now()
        ended = threading.Event()

        def note() -> None:
            with suppress(StoreError):  # a full disk ends the phase by itself, and says so
                write(file, Worked(phase=phase, seconds=round(self.seconds(), 3)).model_dump_json() + "\n")

        def beat() -> None:
            while not ended.wait(self._every_s):
                note()

        note()
        beating = threading.Thread(target=beat, name="phase clock", daemon=True)
        beating.start()
        try:
            yield self.seconds
        finally:
            ended.set()
            beating.join()
            note()

    def unended(self, one: Generation) -> float:
        """Return the seconds of a phase of a generation that its record does not have, since it has not ended."""
        file = self._home.generation(one.number) / FILE
        found = _read(file)
        return found.seconds if found is not None and found.phase not in one.seconds else 0.0


def worked(file: Path, phase: str) -> float:
    """Return how long earlier processes have worked on a phase; 0 where the file is of another one, or damaged."""
    found = _read(file)
    return found.seconds if found is not None and found.phase == phase else 0.0


def _read(file: Path) -> Worked | None:
    try:
        return Worked.model_validate_json(file.read_text(encoding="utf-8"))
    except (OSError, ValidationError, UnicodeDecodeError):
        return None  # time is all that is lost with it
