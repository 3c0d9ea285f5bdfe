"""The nouns of the gate as frozen, versioned data: checks, and the report that a decision leaves behind."""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import Field, JsonValue

from .core import Wire, content_id

Decision = Literal["promote", "refuse", "not_yet"]
CheckOutcome = Literal["pass", "fail", "unknown"]
Claim = Literal["better", "cheaper"]


class Check(Wire):
    """One thing that a gate asks, with the answer."""

    name: str
    outcome: CheckOutcome
    """`unknown` is that the evidence does not say; it never passes."""
    sentence: str
    figures: dict[str, JsonValue] = Field(default_factory=dict)


class GateReport(Wire):
    """A decision on a candidate, with everything it rests on, so that it can be checked and be accounted for later."""

    schema_version: Literal[1] = 1
    id: str = ""
    candidate: str
    """Release id."""
    incumbent: str
    """Release id of what the candidate would take the place of."""
    decision: Decision
    checks: tuple[Check, ...]
    further_episodes: int | None = None
    """Episodes, of both releases together, that would settle what is open; None where episodes would not."""
    alpha: float
    """Level that this test could spend: the largest chance of a promotion, were the candidate no better."""
    test_number: int
    """Which test it is of those that looked at any of the same tasks; the first is 1."""
    held_out: str
    """Content id of the held-out tasks that were looked at."""
    claim: Claim = "better"
    """What was to be shown of the candidate."""
    looked_at: dict[str, dict[str, dict[int, float]]] = Field(default_factory=dict)
    """Environment to task, by its content, to sample number: what the candidate did minus what the incumbent did. The
    first environment is the one with the held-out tasks. Later tests are accounted by it."""
    settings: dict[str, JsonValue] = Field(default_factory=dict)
    """Of the gate, all of them."""
    created_at: float = 0.0

    @classmethod
    def of(cls, *, created_at: float = 0.0, **fields: Any) -> Self:
        """Make a report whose id is the hash of everything in it but the time it was made."""
        draft = cls(created_at=created_at, **fields)
        return draft.model_copy(update={"id": draft.hashed()})

    def hashed(self) -> str:
        """Return the id that the contents have; a field that a later version adds does not change it."""
        return content_id(self.model_dump(mode="json", exclude={"id", "created_at"}, exclude_defaults=True))

    def check(self, name: str) -> Check:
        """Return the check of this name.

        Raises:
            KeyError: there is none.
        """
        for one in self.checks:
            if one.name == name:
                return one
        raise KeyError(name)

    def sentence(self) -> str:
        """Return the decision as one sentence, with the names of the checks it is for."""
        who, waived = self.candidate[:12], self.settings.get("waived")
        let_go = [name for name in waived if isinstance(name, str)] if isinstance(waived, list) else []
        unknown = [one.name for one in self.checks if one.outcome == "unknown"]
        if self.decision == "promote":
            but = f" but {', '.join(unknown)}, which may stay unknown" if unknown else ""
            return f"Promote {who}: every check has passed{but}; level {self.alpha:.2g}."
        if self.decision == "refuse":
            return f"Refuse {who}: failed {', '.join(one.name for one in self.checks if one.outcome == 'fail')}."
        more = "more episodes alone would not settle it"
        if self.further_episodes is not None:
            more = f"about {self.further_episodes:,} further episodes would settle what episodes can"
        return f"Not yet on {who}: not known is {', '.join(name for name in unknown if name not in let_go)}; {more}."

    def lines(self) -> list[str]:
        """Return the decision and each check as sentences."""
        return [self.sentence(), *(f"{one.name}: {one.outcome}. {one.sentence}" for one in self.checks)]
