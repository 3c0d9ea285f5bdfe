"""What judging the attempts of a generation after it has played may use up."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

from pydantic import ValidationError

from ...agent.evolution.generation import Figures
from ...agent.verifiers.records import Record, Verdicts
from ...config_evolve import PhaseBudget
from ...core import Trajectory, Wire, content_id
from .budget import Allowance, left
from .home import write

FILE = "judging_clock.json"


class Took(Wire):
    """How long it has taken so far."""

    seconds: float


class VerdictMeter:
    """Says which attempt is judged next, and when there is enough; see `lamarck.cli.verify_judge.Pace`.

    What is limited by tokens and cost follows from the verdicts that lie beside the run. The time is measured here and
    written down after each verdict, since between links of chains the clock of a phase measures playing with it.

    Args:
        run: folder of the run, in that of its generation.
        verdicts: beside the run.
        by: under which name they are kept.
        may: what may be used up.
        clock: the time in seconds, for tests.
    """

    def __init__(
        self,
        run: Path,
        verdicts: Verdicts,
        by: str,
        may: PhaseBudget | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._generation, self._file = run.parent.name, run.with_name(FILE)
        self._allowed = Allowance(may or PhaseBudget(), self._seconds)
        self._clock, self._began, self._before = clock, clock(), _seconds_in(self._file)
        self._used = verdicts.used(by)

    def sorted(self, attempts: Sequence[Trajectory]) -> list[Trajectory]:
        """Return attempts task by task, so that a limit leaves whole tasks out; others in each generation."""
        return sorted(
            attempts, key=lambda one: (content_id(self._generation, one.task.id), one.task.id, one.sample, one.attempt)
        )

    def heard(self, record: Record) -> None:
        """Take note of a verdict."""
        self._used = self._used + record.usage
        self.note()

    def enough(self) -> bool:
        """Say whether a limit is reached."""
        return bool(self._reached())

    def note(self) -> None:
        """Write down how long it has taken, where that is limited.

        Raises:
            StoreError: it cannot be written.
        """
        if self._allowed.config.max_hours is not None:
            write(self._file, Took(seconds=round(self._seconds(), 3)).model_dump_json() + "\n")

    def figures(self, unjudged: int) -> Figures:
        """Return what judging has taken in all processes, and how many attempts which limit has left out."""
        limit = self._reached()
        spent: Figures = {"tokens": self._used.tokens, "cost_usd": round(self._used.cost_usd, 6)}
        return {**spent, **(left({limit: unjudged}) if limit else {})}

    def _reached(self) -> str:
        return self._allowed.reached(self._used.tokens, self._used.cost_usd)

    def _seconds(self) -> float:
        return self._before + self._clock() - self._began


def _seconds_in(file: Path) -> float:
    try:
        return Took.model_validate_json(file.read_text(encoding="utf-8")).seconds
    except (OSError, ValidationError, UnicodeDecodeError):
        return 0.0  # time is all that is lost with it
