"""How far a stock of made tools has converged."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from .made_shelf import RAN, LogEntry


@dataclass(frozen=True)
class Convergence:
    """How many new tools are still needed: the less, the more the agent already has what its tasks ask for.

    The measure is Yunjue's (2601.18226, evolve.py), cumulative new tools over cumulative tool calls; `recent` is the
    same over the latest calls only. A tool is new with its first version; later versions and merged proposals are not.
    """

    tools: int = 0
    """New tools so far."""
    calls: int = 0
    """Calls of made tools so far."""
    recent_tools: int = 0
    """New tools since the first of the latest calls."""
    recent_calls: int = 0

    @property
    def total(self) -> float | None:
        """New tools per call, over all; None before the first call."""
        return self.tools / self.calls if self.calls else None

    @property
    def recent(self) -> float | None:
        """New tools per call, over the latest calls; None before the first call."""
        return self.recent_tools / self.recent_calls if self.recent_calls else None


def convergence(entries: Iterable[LogEntry], *, window: int = 100) -> Convergence:
    """Compute the figure from a log.

    Args:
        entries: in the order of their numbers; for a curve, give ever more of them.
        window: how many of the latest calls `recent` is about.
    """
    new, calls = list[int](), list[int]()
    for entry in entries:
        if entry.event in RAN:
            calls.append(entry.seq)
        elif entry.event == "admitted" and entry.version == 1:
            new.append(entry.seq)
    latest = calls[-window:]
    # Before the window is full, it reaches back to the beginning.
    since = latest[0] if len(calls) > window else 0
    return Convergence(len(new), len(calls), sum(seq > since for seq in new), len(latest))
