"""What weighing a candidate has used up: held-out games, other environments and probes, by whichever release."""

from __future__ import annotations

from pathlib import Path

from pydantic import ValidationError

from ...agent.evolution.generation import Figures, Generation
from ...core import Usage, Wire
from ...rundir import RunDirectory
from .budget import Allowance
from .home import Home, write
from .playing import PLAYED, every

FILE = "evaluated.json"


class Before(Wire):
    """What all evaluations had taken before a candidate was weighed."""

    tokens: int
    cost_usd: float


class Evaluated:
    """Counts what is played beside the generations.

    What a release played for an earlier gate is kept, and was told there; so each gate tells by how much all of it has
    grown.

    Args:
        home: of the evolution.
    """

    def __init__(self, home: Home) -> None:
        self._home = home
        self._whole: dict[Path, Usage] = {}
        """What complete runs took."""

    def begin(self, now: Generation) -> None:
        """Write down how much there is before a candidate is weighed, once.

        Raises:
            StoreError: it cannot be written, or a run cannot be read.
        """
        file = self._home.generation(now.number) / FILE
        if not file.exists():
            used = self._used()
            write(file, Before(tokens=used.tokens, cost_usd=used.cost_usd).model_dump_json() + "\n")

    def spent(self, now: Generation) -> Figures:
        """Return what weighing has taken since then, in all processes."""
        tokens, cost = self._since(now)
        return {"tokens": tokens, "cost_usd": round(cost, 6)}

    def reached(self, now: Generation, allowed: Allowance) -> str:
        """Return the name of the limit that is reached, else nothing."""
        return allowed.reached(*self._since(now)) if allowed.limited else ""

    def _since(self, now: Generation) -> tuple[int, float]:
        used = self._used()
        try:
            text = (self._home.generation(now.number) / FILE).read_text(encoding="utf-8")
            before = Before.model_validate_json(text)
        except (OSError, ValidationError, UnicodeDecodeError):
            before = Before(tokens=0, cost_usd=0.0)
        return used.tokens - before.tokens, used.cost_usd - before.cost_usd

    def _used(self) -> Usage:
        runs = (RunDirectory(place) for place in sorted((self._home.path / "evaluations").glob("*/*/")))
        return sum((self._of(run) for run in runs if run.exists()), Usage())

    def _of(self, run: RunDirectory) -> Usage:
        known = self._whole.get(run.path)
        if known is None:
            known = sum((one.usage for one in every(run)), Usage())
            if (run.path / PLAYED).exists():
                self._whole[run.path] = known
        return known
