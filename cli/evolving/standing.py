"""Where an evolution stands, as plain data: what a live view draws."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from rich.progress import Progress

from ...agent.evolution.generation import PHASES, Generation, Phase
from .budget import PLAYED, spent

LATEST = 5
"""Generations whose duration says how long the next ones will take."""


@dataclass(frozen=True)
class Standing:
    """A moment of an evolution."""

    generations: int
    """How many there are to be."""
    records: tuple[Generation, ...] = ()
    """The oldest first; the last one may go on."""
    phase: Phase | None = None
    """That goes on."""
    elapsed: float = 0.0
    """Seconds since that phase began, in this process."""
    bars: tuple[Progress, ...] = ()
    """Of that phase."""
    tokens: int = 0
    cost_usd: float = 0.0
    stopped: bool = False
    """Whether this is the last that will be seen of it."""

    @property
    def now(self) -> Generation | None:
        """The generation that goes on."""
        return self.records[-1] if self.records and not self.records[-1].ended else None

    @property
    def number(self) -> int:
        """The generation that goes on, or the last one that has ended."""
        return self.records[-1].number if self.records else 0

    @property
    def seconds(self) -> float:
        """How long all phases took so far."""
        return sum(sum(one.seconds.values()) for one in self.records) + self.elapsed

    @property
    def seconds_left(self) -> float | None:
        """How long it will take, if the next generations are as the latest; None where none has ended."""
        ended = [sum(one.seconds.values()) for one in self.records if one.ended][-LATEST:]
        if not ended:
            return None
        begun = self.elapsed + (sum(self.now.seconds.values()) if self.now is not None else 0.0)
        others = self.generations - self.number
        this = max(0.0, fmean(ended) - begun) if self.now is not None else 0.0
        return others * fmean(ended) + this

    def latest(self, phase: str) -> dict[str, Any]:
        """Return the figures of the latest generation that has been through a phase."""
        return next((dict(one.figures[phase]) for one in reversed(self.records) if phase in one.figures), {})

    def held_out(self) -> list[float]:
        """Return the held-out success of what was in force after each generation that was weighed."""
        found = []
        for one in self.records:
            side: dict[str, Any] = one.figures.get("gate", {}).get(  # type: ignore[assignment]
                "candidate" if one.decision == "promote" else "incumbent"
            )
            if side and side.get("games"):
                found.append(side["solved"] / side["games"])
        return found

    def marks(self) -> list[tuple[Phase, str]]:
        """Return each phase of this generation with what has become of it: done, on, skipped or to come."""
        last = self.records[-1] if self.records else None
        found: list[tuple[Phase, str]] = []
        for phase in PHASES:
            if last is not None and phase in last.figures:
                found.append((phase, "past"))
            elif last is not None and phase in last.skipped:
                found.append((phase, "skipped"))
            else:
                found.append((phase, "on" if phase == self.phase else "to come"))
        return found


def used(records: Sequence[Generation], seen: dict[tuple[int, str], float], name: str) -> float:
    """Return what was used up: of each phase what its record says, or what was seen while it went on, if that is more.

    Args:
        records: of the generations.
        seen: generation and phase to what was seen.
        name: `tokens` or `cost_usd`.
    """
    told = {(one.number, phase): spent(one, name, (phase,)) for one in records for phase in PLAYED}
    return sum(max(told.get(key, 0.0), seen.get(key, 0.0)) for key in told.keys() | seen.keys())
