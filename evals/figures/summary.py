"""The figures of one set of samples: how many were solved, what it took, what went wrong, what was lost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from statistics import fmean

from .at_k import AtK, at_k
from .intervals import Interval, credit_interval, quantile, share_interval
from .invalid import Invalid, together
from .outcomes import Outcome, Sample, by_task, values

RESAMPLES = 2_000
"""Enough for an interval that is printed with three digits; comparisons take more."""


@dataclass(frozen=True, slots=True)
class Spread:
    """How a quantity is spread over samples."""

    n: int
    total: float
    mean: float
    median: float
    q10: float
    q25: float
    q75: float
    q90: float
    most: float

    @classmethod
    def of(cls, found: Iterable[float]) -> Spread:
        """Describe these values; all but `n` and `total` are NaN for none."""
        ordered = sorted(found)
        cuts = [quantile(ordered, share) for share in (0.5, 0.1, 0.25, 0.75, 0.9, 1.0)]
        return cls(len(ordered), sum(ordered), fmean(ordered) if ordered else float("nan"), *cuts)


@dataclass(frozen=True, slots=True)
class Infrastructure:
    """What has no outcome, and why; it is in none of the other figures."""

    planned: int
    """Samples there should be: tasks times samples."""
    finished: int
    lost: int
    """Samples that infrastructure ended at every attempt."""
    unfinished: int
    """Samples that were not started or did not come to their end."""
    attempts: int
    failed_attempts: int
    boundaries: dict[str, int] = field(default_factory=dict)
    """Failed attempts by where they failed: model, environment, sandbox, defect."""

    @property
    def share(self) -> float:
        """Share of the planned samples that have no outcome."""
        return (self.lost + self.unfinished) / self.planned if self.planned else 0.0

    def as_dict(self) -> dict[str, object]:
        """Return it as JSON-serialisable values."""
        return {**asdict(self), "share": self.share}


@dataclass(frozen=True, slots=True)
class Figures:
    """The figures of a run or of one category."""

    tasks: int
    infrastructure: Infrastructure
    unknown: int
    """Samples whose environment never said whether they succeeded; they are not in the success rates."""
    success: Interval
    """By the last attempt of each sample; each task weighs the same."""
    first_success: Interval
    """By the first attempt, before any repair."""
    best_success: Interval
    """By the best attempt, which cannot be chosen without the truth: a bound."""
    score: Interval
    """Without the samples of which neither score nor success is known."""
    best_score: Interval
    repairs: int
    """Attempts that followed one which had ended by itself."""
    steps: Spread
    tokens: Spread
    cost_usd: Spread
    seconds: Spread
    invalid: Invalid
    stops: dict[str, int]
    at_k: tuple[AtK, ...] = ()

    def as_dict(self) -> dict[str, object]:
        """Return everything as JSON-serialisable values."""
        plain: dict[str, object] = {"tasks": self.tasks, "unknown": self.unknown, "repairs": self.repairs}
        intervals = ("success", "first_success", "best_success", "score", "best_score")
        plain |= {name: getattr(self, name).as_dict() for name in intervals}
        plain |= {name: asdict(getattr(self, name)) for name in ("steps", "tokens", "cost_usd", "seconds")}
        plain |= {"invalid": self.invalid.as_dict(), "infrastructure": self.infrastructure.as_dict()}
        return {**plain, "stops": self.stops, "at_k": [one.as_dict() for one in self.at_k]}


def figures(
    samples: Sequence[Sample],
    *,
    planned: int | None = None,
    ks: Sequence[int] = (),
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Figures:
    """Return the figures of these samples.

    Args:
        samples: see `outcomes.samples_of`.
        planned: how many samples there should be; as many as there are if not given.
        ks: the k of mean@k, pass@k and majority@k.
        resamples: bootstrap samples of each interval.
        seed: of the resampling.
    """
    ended = [sample for sample in samples if not sample.lost]
    lasts = [sample.last for sample in ended if sample.last is not None]

    def rate(which: str) -> Interval:
        return share_interval(_grouped(ended, which), resamples=resamples, seed=seed)

    tasks = by_task(samples)
    return Figures(
        tasks=len({sample.task_id for sample in samples}),
        infrastructure=infrastructure(samples, planned),
        unknown=sum(one.success is None for one in lasts),
        success=rate("last"),
        first_success=rate("first"),
        best_success=rate("best"),
        score=_scores(ended, "last", resamples, seed),
        best_score=_scores(ended, "best", resamples, seed),
        repairs=sum(sample.repairs for sample in samples),
        steps=Spread.of(float(sample.steps) for sample in ended),
        tokens=Spread.of(float(sample.usage.tokens) for sample in ended),
        cost_usd=Spread.of(sample.usage.cost_usd for sample in ended),
        seconds=Spread.of(sample.seconds for sample in ended),
        invalid=together(one.invalid for sample in ended for one in sample.finished),
        stops=dict(Counter[str](one.stop for one in lasts)),
        at_k=tuple(at_k(tasks, k, resamples=resamples, seed=seed) for k in ks),
    )


def by_category(
    samples: Sequence[Sample], *, ks: Sequence[int] = (), resamples: int = RESAMPLES, seed: int = 0
) -> dict[str, Figures]:
    """Return the figures of each category, in alphabetical order. Samples that were never begun are in none."""
    parts: dict[str, list[Sample]] = {}
    for sample in samples:
        parts.setdefault(sample.category, []).append(sample)
    return {name: figures(part, ks=ks, resamples=resamples, seed=seed) for name, part in sorted(parts.items())}


def infrastructure(samples: Sequence[Sample], planned: int | None = None) -> Infrastructure:
    """Return what has no outcome."""
    planned = max(len(samples), planned or 0)
    failed = [one for sample in samples for one in sample.failed]
    return Infrastructure(
        planned=planned,
        finished=sum(not sample.lost for sample in samples),
        lost=sum(sample.lost for sample in samples),
        unfinished=planned - len(samples),
        attempts=sum(len(sample.attempts) for sample in samples),
        failed_attempts=len(failed),
        boundaries=dict(Counter[str](one.failure.boundary for one in failed if one.failure is not None)),
    )


def _grouped(samples: Iterable[Sample], which: str) -> list[list[float]]:
    tasks: dict[str, list[Outcome]] = {}
    for sample in samples:
        tasks.setdefault(sample.task_id, []).append(getattr(sample, which))
    return [values(outcomes) for outcomes in tasks.values()]


def _scores(samples: Iterable[Sample], which: str, resamples: int, seed: int) -> Interval:
    tasks: dict[str, list[float]] = {}
    for sample in samples:
        one: Outcome = getattr(sample, which)
        if one.scored:
            tasks.setdefault(sample.task_id, []).append(one.credit)
    return credit_interval(list(tasks.values()), resamples=resamples, seed=seed)
