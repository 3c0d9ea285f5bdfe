"""What is handed to a gate: outcomes in pairs, what was seen before, other environments, safety probes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from statistics import fmean
from typing import Literal

from ...core_evolution import Claim
from ...errors import ConfigError
from ..figures.compare import Side
from ..figures.outcomes import Sample

By = Literal["success", "score"]
Gaps = dict[str, dict[int, float]]
"""Task id to sample number to what the candidate did minus what the incumbent did."""


@dataclass(frozen=True)
class Environment:
    """Two runs of the same tasks: what was there, and what would take its place."""

    name: str
    incumbent: Side
    candidate: Side
    names: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Task id to hashes of its contents, the one it goes by first (see `held_out.names`)."""

    def gaps(self, by: By = "success") -> Gaps:
        """Return the differences of the pairs that both have an outcome.

        Raises:
            ConfigError: by score, and scores lie outside of [0, 1].
        """
        return self._by_success if by == "success" else self._by_score

    @cached_property
    def _by_success(self) -> Gaps:
        return self.paired(lambda one: outcome(one, "success"), lambda old, new: new - old)

    @cached_property
    def _by_score(self) -> Gaps:
        found = self.paired(lambda one: outcome(one, "score"), lambda old, new: new - old)
        if any(abs(gap) > 1 for task in found.values() for gap in task.values()):
            raise ConfigError(
                f"scores of {self.name} lie outside of [0, 1], and a gate needs bounds.", hint="Set by = success."
            )
        return found

    def paired(self, read: Callable[[Sample], float | None], gap: Callable[[float, float], float]) -> Gaps:
        """Return, of each task and sample, how both differ in some figure; where one has none it is no pair.

        Args:
            read: the figure of a sample.
            gap: of the incumbent's figure and the candidate's.
        """
        before = {(one.task_id, one.sample): read(one) for one in self.incumbent.samples}
        found: Gaps = {}
        for one in sorted(self.candidate.samples, key=lambda one: (one.task_id, one.sample)):
            old, new = before.get((one.task_id, one.sample)), read(one)
            if old is not None and new is not None:
                found.setdefault(one.task_id, {})[one.sample] = gap(old, new)
        return found

    @property
    def planned(self) -> int:
        """How many pairs there should be."""
        return max(self.incumbent.infrastructure.planned, self.candidate.infrastructure.planned)

    @property
    def categories(self) -> dict[str, list[str]]:
        """Task ids by category."""
        found: dict[str, set[str]] = {}
        for one in (*self.incumbent.samples, *self.candidate.samples):
            found.setdefault(one.category, set()).add(one.task_id)
        return {name: sorted(ids) for name, ids in sorted(found.items())}

    def called(self, task: str) -> str:
        """Return what a task goes by: its contents, or its id where these are not known."""
        return next(iter(self.names.get(task, ())), f"{self.name}: {task}")


@dataclass(frozen=True, slots=True)
class ProbeFigures:
    """What a safety probe found of one release."""

    unsafe: int
    """Cases that went wrong."""
    cases: int


@dataclass(frozen=True, slots=True)
class Probed:
    """A safety probe of the incumbent and of the candidate."""

    name: str
    before: ProbeFigures | None
    after: ProbeFigures | None
    critical: bool = True
    """Whether a single case more that goes wrong is too many."""
    most: float | None = None
    """Unsafe share that no release may have, whatever the incumbent's is: small steps down add up."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """Everything that a decision on a candidate rests on.

    To be told of slow decline, hand in an environment twice: against the incumbent and, under another name, against
    the best release there was: losses that each stay within the margin add up, and against the last incumbent nobody
    sees it. Outcomes of the incumbent may be those that it was promoted with; they flatter it, which makes the next
    promotion harder, never easier.
    """

    incumbent: str
    """Release id."""
    candidate: str
    """Release id."""
    held_out: Environment
    seen: Mapping[str, str] | None = None
    """Hashes of contents of all tasks that the candidate, or what it was grown from, learned from, and where; None
    where that is not known."""
    unknown: Sequence[str] = ()
    """What the candidate has that learned from something not known, in words: an adapter, a memory that came from
    elsewhere. `seen` is then a part of it."""
    others: Sequence[Environment] = ()
    probes: Sequence[Probed] | None = None
    """None where none were run."""
    claim: Claim = "better"
    """What is to be shown: that it solves more, or that it is no worse and saves something."""

    def looked_at(self, by: By) -> dict[str, dict[str, dict[int, float]]]:
        """Return all differences, by what tasks contain, for a report."""
        return {
            place.name: {place.called(task): gaps for task, gaps in place.gaps(by).items()}
            for place in (self.held_out, *self.others)
        }


def rounds(gaps: Gaps, samples: int, most: int, missing: float) -> list[list[float]]:
    """Return, for each round that there is, the mean difference of each task; the first round comes first.

    The j-th round, from 0, counts the samples numbered below `samples` times 2^j. A later one counts once so many of
    its pairs are there that at most the share `missing` lacks; which samples a round takes is never chosen by what
    they show. Samples beyond the last round are not looked at.

    Args:
        gaps: see `Gaps`.
        samples: of the first round.
        most: rounds at most.
        missing: share of pairs that a later round may lack.
    """
    found = []
    for j in range(most):
        limit = samples * 2**j
        within = [[gap for sample, gap in task.items() if sample < limit] for task in gaps.values()]
        if j and sum(map(len, within)) < (1 - missing) * limit * len(gaps):
            break
        found.append([fmean(one) for one in within if one])
    return found


def outcome(sample: Sample, by: By) -> float | None:
    """Return what a sample counts for, or None where that is not known."""
    last = sample.last
    if last is None or not last.scored or (by == "success" and last.success is None):
        return None
    return float(bool(last.success)) if by == "success" else last.credit
