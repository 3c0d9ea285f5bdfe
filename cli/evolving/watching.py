"""Watching an evolution: a panel on a terminal, lines elsewhere, and curves for TensorBoard."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

from rich.console import Console
from rich.live import Live
from rich.progress import Progress
from rich.spinner import Spinner

from ...agent.evolution.generation import Generation, Phase
from ...evals.metrics import Tally
from ..screen import Screen
from .curves import curve
from .live_view import DOING, Drawn
from .standing import Standing, used
from .words import alarms, clock, said

PER_SECOND = 4
"""How often the panel is drawn anew."""
USED = ("tokens", "cost_usd")
"""What attempts use up, as their usage and the records call it."""


class EvolutionWatch:
    """Tells of each phase; writes a curve point per generation where TensorBoard is there. Use as a context manager.

    On a terminal it is a `Screen`: the bars of phases are drawn within its panel, and lines are printed above it.

    Args:
        generations: how many there are to be.
        logs: folder of the curves.
        quiet: tell nothing.
        records: of generations that there are already.
        console: where to; the terminal if not given.
    """

    def __init__(
        self,
        generations: int,
        logs: Path,
        *,
        quiet: bool = False,
        records: Sequence[Generation] = (),
        console: Console | None = None,
    ) -> None:
        self.console = console or Console(stderr=True, highlight=False, soft_wrap=True, quiet=quiet)
        self._generations, self._logs = generations, logs
        self._records = {one.number: one for one in records}
        self._phase: Phase | None = None
        self._began = time.monotonic()
        self._bars: tuple[Progress, ...] = ()
        self._tallies: tuple[Tally, ...] = ()
        self._seen: dict[str, defaultdict[tuple[int, str], float]] = {name: defaultdict(float) for name in USED}
        self._stopped = False
        self._live: Live | None = None
        if self.console.is_terminal and not self.console.is_dumb_terminal and not quiet:
            spinner = Spinner("dots", style="cyan")
            self._live = Live(
                get_renderable=lambda: Drawn(self.standing(), spinner),
                console=self.console,
                refresh_per_second=PER_SECOND,
                transient=True,
            )

    @property
    def screen(self) -> Screen | None:
        """What bars are drawn in; None where each is drawn alone."""
        return self if self._live is not None else None

    def __enter__(self) -> EvolutionWatch:
        if self._live is not None:
            self._live.start(refresh=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            # What ended by itself is told by the table that follows; of what was stopped, the last moment stays.
            self._stopped, self._live.transient = True, kind is None
            self._live.stop()

    def __call__(self, now: Generation, begins: Phase | None) -> None:
        """Take note of a phase that begins, or (None) of one that has ended."""
        self._settle()
        self._records[now.number] = now
        self._phase, self._began = begins, time.monotonic()
        if begins is not None:
            self._say(f"generation {now.number} of {self._generations}: {DOING.get(begins, begins)}", style="dim")
        elif now.ended:
            left = self.standing().seconds_left or 0.0
            self._say(said(now) + (f", about {clock(left)} left" if left >= 1 else ""))
            for alarm in alarms(now):
                self._say(alarm, style="red")
            curve(now, self._logs)

    # As a screen.

    def put(self, bar: Progress, tally: Tally | None = None) -> None:
        """Draw a bar from now on; what its tally has used up counts."""
        self._bars += (bar,)
        self._tallies += (tally,) if tally is not None else ()

    def take(self, bar: Progress) -> None:
        """Draw it no more."""
        self._bars = tuple(one for one in self._bars if one is not bar)

    def standing(self) -> Standing:
        """Return where the evolution stands at this moment."""
        records = tuple(self._records[number] for number in sorted(self._records))
        key = (records[-1].number if records else 0, self._phase or "")
        tallies, seen = self._tallies, {name: dict(found) for name, found in self._seen.items()}
        for name in USED:
            seen[name][key] = seen[name].get(key, 0.0) + sum(getattr(one.usage, name) for one in tallies)
        return Standing(
            generations=self._generations,
            records=records,
            phase=self._phase,
            elapsed=time.monotonic() - self._began if self._phase is not None else 0.0,
            bars=self._bars,
            tokens=int(used(records, seen["tokens"], "tokens")),
            cost_usd=used(records, seen["cost_usd"], "cost_usd"),
            stopped=self._stopped,
        )

    def _settle(self) -> None:
        """Keep what the phase that has ended was seen to use up."""
        key = (max(self._records, default=0), self._phase or "")
        for name in USED:
            self._seen[name][key] += sum(getattr(one.usage, name) for one in self._tallies)
        self._tallies = ()

    def _say(self, text: str, style: str | None = None) -> None:
        """Print a line where there is no panel that says it."""
        if self._live is None:
            self.console.print(text, style=style, markup=False)
