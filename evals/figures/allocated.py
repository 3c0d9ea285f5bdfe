"""What became of a budget of samples that was allocated by answers: how much was used, on how many questions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from statistics import median

from ...agent.allocation import allocate, settled, top
from ...config import CollectConfig
from .outcomes import Sample
from .pick import Candidate


@dataclass(frozen=True, slots=True)
class Allocated:
    """How the samples of a run were spread over its questions."""

    rule: str
    budget: int
    """Samples there might have been: the mean number per question, times the questions."""
    used: int
    tasks: int
    clear: int
    """Questions whose most frequent answer is as certain as was asked for."""
    least: int
    """Fewest samples of a question."""
    median: float
    most: int
    left: int
    """Samples of the round that would come next; 0 for a run that has come to its end."""

    def as_dict(self) -> dict[str, object]:
        """Return it as JSON-serialisable values."""
        return asdict(self)

    def line(self) -> str:
        """Say it in one line."""
        saved = f" ({100 * (1 - self.used / self.budget):.0f} % saved)" if self.used < self.budget else ""
        return (
            f"samples allocated by {self.rule}: {self.used} of {self.budget}{saved}, {self.least} to {self.most} per "
            f"question (median {self.median:g}); {self.clear} of {self.tasks} questions have a clear answer"
        )


def allocated(
    samples: Sequence[Sample], candidates: Iterable[Candidate], tasks: Iterable[str], config: CollectConfig
) -> Allocated | None:
    """Return how the samples of a run were spread, or None where each task has as many.

    Args:
        samples: of the run, lost ones too, which are in the budget and have no vote.
        candidates: their attempts, with what was answered.
        tasks: ids of all tasks there are.
        config: how samples were allocated.
    """
    if config.allocate == "uniform":
        return None
    answers = {
        (one.task_id, one.sample): one.answer for one in sorted(candidates, key=lambda candidate: candidate.attempt)
    }
    votes: dict[str, Counter[str | None]] = {ident: Counter() for ident in tasks}
    lost = Counter[str]()
    for sample in samples:
        key, counted = (sample.task_id, sample.sample), votes.setdefault(sample.task_id, Counter())
        if key in answers:
            counted[answers[key]] += 1
        else:
            lost[sample.task_id] += 1
    budget = config.samples * len(votes)
    counts = [one.total() + lost[ident] for ident, one in votes.items()]
    return Allocated(
        rule=config.allocate,
        budget=budget,
        used=sum(counts),
        tasks=len(votes),
        clear=sum(settled(top(one), config.clear) for one in votes.values()),
        least=min(counts),
        median=median(counts),
        most=max(counts),
        left=len(allocate(votes, budget - lost.total(), rule=config.allocate, clear=config.clear)),
    )
