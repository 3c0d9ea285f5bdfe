"""What a report shows, as plain data; nothing in it knows of HTML."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from ..figures.curves import Curve
from ..figures.summary import Figures


class Length(NamedTuple):
    """How long one finished episode was."""

    outcome: str
    """`solved`, `failed` or `unknown`."""
    steps: int
    tokens: int


@dataclass(frozen=True, slots=True)
class RunPart:
    """One run of a report."""

    label: str
    """How the page calls it."""
    facts: dict[str, str]
    """Where its figures come from, in reading order."""
    notes: tuple[str, ...]
    """What a reader should know before believing them."""
    brief: tuple[str, ...]
    """The most important facts, shortened, for one line."""
    warning: str
    """What stands between these figures and a verdict, or nothing."""
    picked: str
    """How good the picked samples are, in words, where the run picks one of several."""
    total: Figures
    categories: dict[str, Figures]
    curve: Curve
    returns: tuple[float, ...]
    """Mean return of a finished episode up to each step; what has ended keeps what it had."""
    returns_of: int
    """Over how many episodes."""
    lengths: tuple[Length, ...]
    outcomes: Counter[str]
    """Trajectories by outcome, those that infrastructure ended among them."""

    def as_dict(self) -> dict[str, object]:
        """Return facts and figures as JSON-serialisable values."""
        return {
            "label": self.label,
            "facts": self.facts,
            "notes": list(self.notes),
            "warning": self.warning,
            "all": self.total.as_dict(),
            "categories": {name: part.as_dict() for name, part in self.categories.items()},
            "curve": self.curve.as_dict(),
            "returns": list(self.returns),
        }


@dataclass(frozen=True, slots=True)
class Difference:
    """How far one run is from the first one on the same tasks, in one category or in all."""

    category: str
    """`markup.TOTAL` for all of them."""
    value: float
    low: float
    high: float
    tasks: int
    first: float
    """Mean of the first run on these tasks."""
    second: float
    wins: int
    """Tasks on which the second did better."""
    losses: int
    test: str
    p: float
    adjusted: float
    """After Holm."""
    verdict: str


@dataclass(frozen=True, slots=True)
class Versus:
    """The paired comparison of one run with the first one."""

    label: str
    base: str
    rows: tuple[Difference, ...]
    """By category, all of them last."""
    sentence: str
    """The verdict in words."""
    notes: tuple[str, ...] = ()
    unlike: tuple[str, ...] = ()
    """What else differs between the two evaluations."""
    raw: dict[str, Any] = field(default_factory=dict)
    """The comparison as `lamarck compare --json` gives it."""


@dataclass(frozen=True, slots=True)
class Page:
    """Everything on the page."""

    title: str
    runs: tuple[RunPart, ...]
    versus: tuple[Versus, ...]
    records: tuple[str, ...]
    """The trajectories shown, each as JSON; see `records`."""
    texts: tuple[str | list[object], ...]
    """What their numbers stand for; see `texts.Texts`."""
    shown: Counter[str]
    """Trajectories shown by outcome."""
    dropped: int
    """Trajectories that were chosen but for which there was no room."""
    version: str
    made_at: str

    @property
    def outcomes(self) -> Counter[str]:
        """All trajectories of all runs by outcome."""
        return sum((run.outcomes for run in self.runs), Counter[str]())

    def as_dict(self) -> dict[str, object]:
        """Return facts and figures, without the trajectories, as JSON-serialisable values."""
        return {
            "title": self.title,
            "version": self.version,
            "made_at": self.made_at,
            "runs": [run.as_dict() for run in self.runs],
            "comparisons": [{"label": one.label, "base": one.base, **one.raw} for one in self.versus],
            "trajectories": {"shown": len(self.records), "of": sum(self.outcomes.values()), "by_outcome": self.shown},
        }
