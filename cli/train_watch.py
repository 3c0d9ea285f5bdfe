"""Watching a training stage: a progress bar on a terminal, a line now and then elsewhere; Ctrl-C stops it cleanly."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any

from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from ..training.watching import Progress as Update
from .screen import Alone, Screen
from .watch import PLAIN_EVERY_S

SHOWN = {
    "loss": ".4f",
    "held-out loss": ".4f",
    "reward": ".3f",
    "margin": "+.3f",
    "accuracy": ".0%",
    "KL": ".4f",
    "entropy": ".3f",
    "ratio": ".3f",
    "clipped": ".1%",
    "gradient": ".2f",
    "learning rate": ".1e",
}
"""Which figures stand behind the bar, and how."""
STOPS = (signal.SIGINT, signal.SIGTERM)
"""Ctrl-C, and what a scheduler or a container sends when time is up."""


class TrainWatch:
    """Shows updates as they come. Use as a context manager and pass it as `watch`.

    While it is open, the first Ctrl-C (or SIGTERM) asks training to stop after the update it is in, with a checkpoint;
    a second one ends it at once.

    Args:
        label: what stands in front of the bar.
        quiet: show nothing.
        screen: what the bar is part of, where it is not alone.
        enough: says that it is to stop for another reason.
    """

    def __init__(
        self,
        label: str,
        *,
        quiet: bool = False,
        screen: Screen | None = None,
        enough: Callable[[], bool] = lambda: False,
    ) -> None:
        self._enough = enough
        self._screen: Screen = screen or Alone()
        self.console = self._screen.console
        self._label = label
        self._quiet = quiet
        self._stopping = threading.Event()
        self._before: dict[signal.Signals, Any] = {}
        self._last_line = float("-inf")
        self._figures: dict[str, float] = {}
        self._bar = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(bar_width=16),
            MofNCompleteColumn(),
            TextColumn("{task.fields[figures]}"),
            TimeElapsedColumn(),
            console=self.console,
            transient=True,
            disable=quiet or not self.console.is_terminal,
        )
        self._task = self._bar.add_task(label, total=None, figures="")

    def __enter__(self) -> TrainWatch:
        self._screen.put(self._bar)
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._interrupted) for number in STOPS}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._screen.take(self._bar)

    def say(self, text: str) -> None:
        """Print one line of what is going on."""
        if not self._quiet:
            self.console.print(text, style="dim", markup=False)

    def show(self, progress: Update) -> None:
        """Draw an update."""
        self._figures |= progress.figures
        figures = self._sentence(progress)
        self._bar.update(self._task, total=progress.steps, completed=progress.step, figures=figures)
        now = time.monotonic()
        ends = progress.step == progress.steps and "loss" in progress.figures
        if self.console.is_terminal or (now - self._last_line < PLAIN_EVERY_S and not ends):
            return
        self._last_line = now
        self.say(f"{self._label}: update {progress.step} of {progress.steps}, {figures}")

    def interrupted(self) -> bool:
        """Say whether Ctrl-C was pressed or SIGTERM came, be there enough or not."""
        return self._stopping.is_set()

    def stopping(self) -> bool:
        """Say whether Ctrl-C was pressed, SIGTERM came, or there is enough."""
        return self.interrupted() or self._enough()

    def _interrupted(self, number: int, frame: FrameType | None) -> None:
        if self._stopping.is_set():
            raise KeyboardInterrupt
        self._stopping.set()
        self.say("stopping after this update, with a checkpoint; press Ctrl-C again to stop at once")

    def _sentence(self, progress: Update) -> str:
        parts = [f"{name} {self._figures[name]:{form}}" for name, form in SHOWN.items() if name in self._figures]
        parts.append(f"{progress.tokens_per_s:,.0f} tokens/s")
        if progress.seconds_left is not None:
            parts.append(f"{_span(progress.seconds_left)} left")
        return ", ".join(parts)


def _span(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = seconds / 60
    return f"{minutes:.0f} min" if minutes < 90 else f"{minutes / 60:.1f} h"
