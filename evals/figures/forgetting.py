"""What becomes of one environment while others are learned: a matrix of success, environments by stages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import fmean


@dataclass(frozen=True, slots=True)
class Kept:
    """One environment over the stages."""

    environment: str
    learned: str | None
    """The stage that is about it; None where none is."""
    at_learning: float | None
    """Success right after that stage."""
    best: float | None
    """Highest success after any stage."""
    last: float | None
    """Success after the last stage."""
    transfer: float | None
    """Last minus at learning: below 0 something was lost, above 0 later stages helped."""
    forgetting: float | None
    """Best before the last stage minus last: below 0 it never was better than now."""


@dataclass(frozen=True, slots=True)
class Forgetting:
    """The matrix, and what is read off it. NaN where there is nothing to average."""

    stages: tuple[str, ...]
    environments: tuple[str, ...]
    matrix: tuple[tuple[float | None, ...], ...]
    """Success by stage (rows) and environment (columns); None where it was not evaluated."""
    kept: tuple[Kept, ...]
    average: float
    """Mean success after the last stage."""
    backward_transfer: float
    """Mean of `transfer` over the environments learned before the last stage."""
    forgetting: float
    """Mean of `forgetting` over the environments learned before the last stage."""

    def as_dict(self) -> dict[str, object]:
        """Return everything as JSON-serialisable values."""
        return asdict(self)


def forgetting(
    stages: Sequence[str], environments: Sequence[str], cells: Mapping[tuple[str, str], float]
) -> Forgetting:
    """Read forgetting off a matrix in which stage i learns environment i, as in the papers.

    Average and backward transfer are Lopez-Paz and Ranzato 2017 (1706.08840), eq. 2 and 3:
    BWT = 1/(T-1) sum over i < T of R[T,i] - R[i,i]. The forgetting measure is Chaudhry et al. 2018 (1801.10112),
    its forgetting measure: F = 1/(T-1) sum over j < T of max over l < T of a[l,j], minus a[T,j]. Cells that were not
    evaluated are left out of means and maxima; environments beyond the number of stages are learned in none.

    Args:
        stages: in the order in which they were learned.
        environments: in the same order.
        cells: success in [0, 1] by (stage, environment).

    Raises:
        ValueError: there are no stages.
    """
    if not stages:
        raise ValueError("forgetting needs at least one stage.")
    kept = []
    for place, name in enumerate(environments):
        column = [cells.get((stage, name)) for stage in stages]
        now = column[-1]
        earlier = [value for value in column[:-1] if value is not None]
        then = column[place] if place < len(stages) else None
        known = [value for value in column if value is not None]
        kept.append(
            Kept(
                environment=name,
                learned=stages[place] if place < len(stages) else None,
                at_learning=then,
                best=max(known, default=None),
                last=now,
                transfer=now - then if now is not None and then is not None and place < len(stages) - 1 else None,
                forgetting=max(earlier) - now if now is not None and earlier and place < len(stages) - 1 else None,
            )
        )
    return Forgetting(
        stages=tuple(stages),
        environments=tuple(environments),
        matrix=tuple(tuple(cells.get((stage, name)) for name in environments) for stage in stages),
        kept=tuple(kept),
        average=_mean([one.last for one in kept]),
        backward_transfer=_mean([one.transfer for one in kept]),
        forgetting=_mean([one.forgetting for one in kept]),
    )


def _mean(values: Sequence[float | None]) -> float:
    known = [value for value in values if value is not None]
    return fmean(known) if known else float("nan")
