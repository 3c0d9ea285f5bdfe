"""What the conformance checks found, and the ways in which a check can end."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

Outcome = Literal["pass", "fail", "not offered", "not judged"]
"""`not offered`: the world does not claim it. `not judged`: something else is in the way, and is said."""


@dataclass(frozen=True, slots=True)
class Spot:
    """Where something was seen, and how to get there again."""

    task: str = ""
    """Task id."""
    seed: int | None = None
    """The seed that `reset` was called with."""
    actions: tuple[str, ...] = ()
    """What was done since `reset`; the last one is the action in question."""

    def __str__(self) -> str:
        if not self.task:
            return ""
        acts = f", actions [{', '.join(map(shown, self.actions))}]" if self.actions else ""
        return f"task {self.task}, seed {self.seed}{acts}"


@dataclass(frozen=True, slots=True)
class Finding:
    """How one check ended."""

    check: str
    outcome: Outcome
    detail: str
    """What was seen, or why it could not be judged."""
    spot: Spot = Spot()
    crashed: bool = False
    """The world raised, hung or returned what nobody can read where the check asked for nothing unusual."""
    figures: Mapping[str, float] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """Return the finding as one flat JSON object."""
        rest = {"check": self.check, "outcome": self.outcome, "detail": self.detail, **asdict(self.spot)}
        return {**rest, "actions": list(self.spot.actions), "figures": dict(self.figures)}


class Failed(Exception):
    """The world does something that it must not do.

    Args:
        detail: what, in one line.
        spot: how to see it again.
        crashed: the world could not even be played.
    """

    outcome: Outcome = "fail"

    def __init__(self, detail: str, spot: Spot | None = None, *, crashed: bool = False) -> None:
        super().__init__(detail)
        self.detail = detail
        self.spot = spot or Spot()
        self.crashed = crashed


class NotOffered(Exception):
    """The world does not claim what the check is about."""


class NotJudged(Exception):
    """Something else is in the way of the check."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What a check that passed has to say."""

    detail: str
    figures: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Report:
    """All findings about one split of a taskset."""

    taskset: str
    split: str
    seed: int
    findings: tuple[Finding, ...]

    @property
    def passed(self) -> bool:
        """Whether nothing failed."""
        return not self.failures

    @property
    def failures(self) -> tuple[Finding, ...]:
        """The findings that failed."""
        return tuple(finding for finding in self.findings if finding.outcome == "fail")

    def finding(self, check: str) -> Finding:
        """Return the finding of one check.

        Raises:
            KeyError: it did not run.
        """
        for finding in self.findings:
            if finding.check == check:
                return finding
        raise KeyError(check)

    def as_json(self) -> dict[str, Any]:
        """Return the report as a JSON object."""
        counts = {
            outcome: sum(finding.outcome == outcome for finding in self.findings)
            for outcome in ("pass", "fail", "not offered", "not judged")
        }
        head = {"taskset": self.taskset, "split": self.split, "seed": self.seed, "passed": self.passed}
        return {**head, "counts": counts, "checks": [finding.as_json() for finding in self.findings]}


def without_echoes(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Take back crashes that are only the echo of a broken contract or of tasks that cannot be had: one fault, once."""
    rows = tuple(findings)
    failed = {row.check: row for row in rows if row.outcome == "fail"}
    tasks, contract = failed.get("tasks"), failed.get("contract")
    source = tasks if tasks is not None and tasks.crashed else contract
    if source is None:
        return rows
    return tuple(
        Finding(row.check, "not judged", f"see {source.check}: {row.detail}", row.spot)
        if row.outcome == "fail" and row.crashed and row.check not in (source.check, "tasks")
        else row
        for row in rows
    )


def shown(value: object, longest: int = 70) -> str:
    """Return a value as one short line."""
    text = repr(value)
    return text if len(text) <= longest else f"{text[: longest - 3]}..."
