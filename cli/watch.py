"""Watching a run: a progress bar with time left on a terminal, plain lines elsewhere, one line per failure."""

from __future__ import annotations

import asyncio
import logging
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import TracebackType

from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.progress import TimeRemainingColumn as TimeLeft

from ..agent.events import Event
from ..evals.metrics import Tally
from .screen import Alone, Screen
from .tables import warnings_to

PLAIN_EVERY_S = 15.0
"""Seconds between lines where there is no terminal to draw on."""
TOLD = ("lamarck.memory", "lamarck.model")
"""Logs whose warnings are shown while a run is watched."""


class Watch:
    """Shows events as they come. Use as a context manager and pass it as `on_event`.

    Args:
        label: what stands in front of the bar.
        quiet: show failures only.
        screen: what the bar is part of, where it is not alone.
    """

    def __init__(self, label: str, *, quiet: bool = False, screen: Screen | None = None) -> None:
        self._screen: Screen = screen or Alone()
        self.console = self._screen.console
        self.tally = Tally()
        self._label = label
        self._quiet = quiet
        self._steps = 0
        self._done = self._total = self._already = 0
        self._started = self._last_line = time.monotonic()
        self._bar = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TextColumn("{task.fields[figures]}"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeLeft(),
            console=self.console,
            transient=True,
            disable=quiet or not self.console.is_terminal,
        )
        self._warnings = warnings_to(self.console)
        self._task = self._bar.add_task(label, total=None, figures="")

    def __enter__(self) -> Watch:
        self._screen.put(self._bar, self.tally)
        for name in TOLD:
            logging.getLogger(name).addHandler(self._warnings)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._screen.take(self._bar)
        for name in TOLD:
            logging.getLogger(name).removeHandler(self._warnings)

    def say(self, text: str) -> None:
        """Print one line of what is going on."""
        self.console.print(text, style="dim", markup=False)

    def __call__(self, event: Event) -> None:
        """Take note of one event."""
        if event.kind == "planned":
            self._total, self._already = event.total, event.done
            self._done = event.done
            self._bar.update(self._task, total=event.total, completed=event.done)
            if event.done:
                self._say(f"{event.done} of {event.total} episodes were finished before")
        elif event.kind == "step":
            self._steps += 1
            self._draw()
        elif event.kind == "repaired" and event.trajectory is not None:
            # The attempt after it is what counts; what this one took counts as well.
            self.tally.usage = self.tally.usage + event.trajectory.usage
        elif event.trajectory is not None:
            self.tally.add(event.trajectory)
            if event.kind == "finished":
                self._done += 1
            else:
                self._failure(event)
            self._draw()

    def _failure(self, event: Event) -> None:
        assert event.trajectory is not None and event.trajectory.failure is not None
        failure = event.trajectory.failure
        what = "trying again" if event.kind == "failed" else "given up, no reward"
        self.console.print(
            f"{failure.boundary} failure, task {event.trajectory.task.id} sample {event.sample}: "
            f"{failure.message} ({what})",
            style="yellow",
            markup=False,
        )

    def _draw(self) -> None:
        self._bar.update(self._task, completed=self._done, figures=self._figures())
        now = time.monotonic()
        if not self.console.is_terminal and now - self._last_line >= PLAIN_EVERY_S:
            self._last_line = now
            fresh = self._done - self._already
            left = f", about {(now - self._started) / fresh * (self._total - self._done):.0f} s left" if fresh else ""
            self._say(f"{self._label}: {self._done}/{self._total} episodes, {self._figures()}{left}")

    def _figures(self) -> str:
        seconds = max(1e-9, time.monotonic() - self._started)
        won = f"{self.tally.successes}/{self.tally.episodes} solved" if self.tally.episodes else "none finished yet"
        if self.tally.episodes and self.tally.unknown == self.tally.episodes:
            won = f"{self.tally.episodes} ended"
        return f"{won}, {self._steps / seconds:.1f} steps/s"

    def _say(self, text: str) -> None:
        if not self._quiet:
            self.console.print(text, markup=False)


@contextmanager
def own_signals() -> Iterator[None]:
    """Afterwards take back the handlers that collecting puts on the loop, which would swallow Ctrl-C while something
    else runs; SIGTERM does again what it did before."""
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            with suppress(NotImplementedError):  # Windows loops take none
                loop.remove_signal_handler(number)
        if before is not None and threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, before)


@contextmanager
def sigterm_stops() -> Iterator[None]:
    """Let SIGTERM stop what goes on as Ctrl-C does, so that what is drawn is taken down and the cursor comes back."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
