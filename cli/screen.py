"""Where a progress bar is drawn: alone on the terminal, or inside of a view that is drawn already."""

from __future__ import annotations

from typing import Protocol

from rich.console import Console
from rich.progress import Progress

from ..evals.metrics import Tally


class Screen(Protocol):
    """Draws bars. Two live views on one terminal would write over each other, so there is one screen for all."""

    @property
    def console(self) -> Console:
        """Where lines are printed while a bar is drawn."""
        ...

    def put(self, bar: Progress, tally: Tally | None = None) -> None:
        """Draw a bar from now on; `tally` says what is used up meanwhile."""
        ...

    def take(self, bar: Progress) -> None:
        """Draw it no more."""
        ...


class Alone:
    """A bar by itself, at the bottom of the terminal."""

    def __init__(self) -> None:
        self.console = Console(stderr=True, highlight=False, soft_wrap=True)

    def put(self, bar: Progress, tally: Tally | None = None) -> None:
        """Draw a bar from now on."""
        bar.start()

    def take(self, bar: Progress) -> None:
        """Draw it no more."""
        bar.stop()
