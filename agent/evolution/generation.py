"""What is written down of one generation, and where a generation stands while it goes on."""

from __future__ import annotations

from typing import Literal, NamedTuple

from pydantic import Field, JsonValue

from ...core import Wire

Phase = Literal["propose", "collect", "verify", "credit", "distil", "train", "build", "gate", "settle"]
PHASES: tuple[Phase, ...] = ("propose", "collect", "verify", "credit", "distil", "train", "build", "gate", "settle")
"""In the order in which a generation goes through them."""

Decision = Literal["promote", "refuse", "not_yet", "unchanged", "ungated"]
"""What became of a generation's candidate. `unchanged`: it is what it was grown from; `ungated`: the gate is off, so
that nothing is promoted; `not_yet` also where it was better than a release that was no longer in force by then."""

OVERTAKEN = "overtaken"
"""Figure of `settle` that says so: which release came into force meanwhile, and what to do."""

Figures = dict[str, JsonValue]


class Generation(Wire):
    """The record of one generation: what it was grown from, what each phase did, and what was decided."""

    schema_version: Literal[1] = 1
    number: int
    """From 1."""
    parent: str
    """Release it was grown from."""
    head: str
    """Release that was in force when it began."""
    candidate: str | None = None
    """Release that was made of it, from the phase `build` on."""
    decision: Decision | None = None
    """None until it was decided."""
    ended: bool = False
    """Whether what was decided has been carried out."""
    report: str | None = None
    """Id of the gate's report."""
    figures: dict[str, Figures] = Field(default_factory=dict)
    """Phase -> what it counted."""
    seconds: dict[str, float] = Field(default_factory=dict)
    """Phase -> seconds it took, over all processes that worked on it where the clock says that."""
    skipped: dict[str, str] = Field(default_factory=dict)
    """Phase -> why it was not done."""

    @property
    def played(self) -> Figures:
        """What came of the attempts: the figures of `collect`, with those of `verify` that could be told only when all
        attempts were there."""
        later = self.figures.get("verify", {}).get("played")
        return {**self.figures.get("collect", {}), **(later if isinstance(later, dict) else {})}

    def after(self, phase: Phase, figures: Figures, seconds: float) -> Generation:
        """Return it with a phase that has ended."""
        return self.model_copy(
            update={
                "figures": {**self.figures, phase: figures},
                "seconds": {**self.seconds, phase: round(seconds, 3)},
            }
        )

    def without(self, phase: Phase, why: str) -> Generation:
        """Return it with a phase that was left out."""
        return self.model_copy(update={"skipped": {**self.skipped, phase: why}})


class Ruling(NamedTuple):
    """What the gate said."""

    decision: Literal["promote", "refuse", "not_yet"]
    report: str
    """Id of the stored report."""
    figures: Figures
