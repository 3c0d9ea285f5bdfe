"""What went wrong in single steps: a taxonomy of actions that led nowhere, and of tool calls that failed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, fields

from ...core import Trajectory

KINDS = ("unparseable", "not_admissible", "no_effect", "repeated")
"""Each step is of the first of these kinds that fits, or valid."""


@dataclass(frozen=True, slots=True)
class Invalid:
    """Counts over the steps and tool calls of one or many episodes."""

    episodes: int = 0
    affected: int = 0
    """Episodes with at least one step of one of the four kinds."""
    steps: int = 0
    unparseable: int = 0
    """The answer held no action."""
    not_admissible: int = 0
    """The action was not among those the environment offered."""
    no_effect: int = 0
    """The environment said that it did not understand, or that nothing changed."""
    repeated: int = 0
    """Valid, but the same action had led to the same observation earlier in the episode."""
    tool_calls: int = 0
    tool_errors: int = 0
    """Calls that ran and failed."""
    tool_refused: int = 0
    """Calls that were answered without being run: unknown, called wrongly, over the budget."""

    def __add__(self, other: Invalid) -> Invalid:
        return Invalid(**{name: getattr(self, name) + getattr(other, name) for name in _NAMES})

    def share(self, kind: str) -> float:
        """Return the share of all steps that are of a kind; 0 without steps."""
        return float(getattr(self, kind)) / self.steps if self.steps else 0.0

    def as_dict(self) -> dict[str, float]:
        """Return counts, and shares of all steps, as JSON-serialisable values."""
        counts = {name: getattr(self, name) for name in _NAMES}
        return {**counts, **{f"{kind}_share": self.share(kind) for kind in KINDS}}


_NAMES = tuple(field.name for field in fields(Invalid))


def invalid_of(trajectory: Trajectory) -> Invalid:
    """Return the counts of one trajectory; it must have its steps."""
    counts: Counter[str] = Counter()
    seen: set[tuple[str, str]] = set()
    results = [step.observation for step in trajectory.steps[1:]] + [trajectory.final_observation]
    for step, result in zip(trajectory.steps, results, strict=False):
        pair = (step.action or "", result)
        if step.validity != "valid":
            counts[step.validity] += 1
        elif step.action is None:
            continue  # a thought, which is given to no world
        elif pair in seen:
            counts["repeated"] += 1
        seen.add(pair)
    calls = [call for step in trajectory.steps for call in step.tool_calls]
    return Invalid(
        episodes=1,
        affected=int(bool(counts)),
        steps=len(trajectory.steps),
        **counts,
        tool_calls=len(calls),
        tool_errors=sum(call.ran and call.error is not None for call in calls),
        tool_refused=sum(not call.ran for call in calls),
    )


def together(parts: Iterable[Invalid]) -> Invalid:
    """Return the sum."""
    return sum(parts, Invalid())
