"""Runs compared on the same tasks, with a verdict in words for each pair."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from statistics import fmean
from typing import Literal

from .intervals import RESAMPLES, Interval
from .outcomes import Sample
from .paired import McNemar, Word, difference, holm, mcnemar, sign_flip, tasks_needed, word
from .summary import Infrastructure

By = Literal["success", "score"]
MAX_INFRASTRUCTURE = 0.05
"""Share of samples without an outcome above which nothing is said: who is missing is not left to chance."""


@dataclass(frozen=True, slots=True)
class Side:
    """One run in a comparison."""

    name: str
    samples: tuple[Sample, ...]
    infrastructure: Infrastructure


@dataclass(frozen=True, slots=True)
class Pair:
    """The second of two runs against the first, on the tasks that both have outcomes of."""

    first: str
    second: str
    tasks: int
    samples: int
    """Pairs of one task and one sample number."""
    first_mean: float
    second_mean: float
    difference: Interval
    """Second minus first."""
    wins: int
    """Tasks on which the second did better on average."""
    losses: int
    test: Literal["McNemar exact", "sign flip"]
    p: float
    adjusted: float
    """Holm-adjusted over all pairs of the same comparison."""
    mcnemar: McNemar | None
    """None where tasks have several samples, or scores are compared: pairs would not be independent yes and no."""
    verdict: Word
    further_tasks: int | None
    """Tasks needed beyond these at the discordance seen, for a chance of 80 %; None where none is in sight."""
    reason: str
    """Why there is no verdict; else empty."""

    def as_dict(self) -> dict[str, object]:
        """Return everything as JSON-serialisable values."""
        return asdict(self)

    def sentence(self) -> str:
        """Return the verdict as one sentence."""
        if self.verdict == "no verdict":
            return f"No verdict on {self.second} against {self.first}: {self.reason}."
        low, high = 100 * self.difference.low, 100 * self.difference.high
        what = f"{100 * self.difference.value:+.1f} points [{low:+.1f}, {high:+.1f}], p {self.adjusted:.3g} after Holm"
        if self.verdict != "not told apart":
            return f"{self.second} is {self.verdict} than {self.first}: {what}."
        more = "the two are the same on average, so no number of tasks would tell"
        if self.further_tasks is not None:
            more = f"about {self.further_tasks:,} further tasks would tell, were the difference as it seems"
        return f"{self.second} and {self.first} are not told apart: {what}; {more}."


@dataclass(frozen=True, slots=True)
class Comparison:
    """All pairs, over everything and per category, and what was left out."""

    by: By
    alpha: float
    pairs: tuple[Pair, ...]
    categories: dict[str, tuple[Pair, ...]]
    """Adjusted together, as a family of their own."""
    left_out: dict[str, tuple[str, ...]]
    """Run name to tasks that it has no outcome of, and another run has."""

    def as_dict(self) -> dict[str, object]:
        """Return everything as JSON-serialisable values."""
        return {
            "by": self.by,
            "alpha": self.alpha,
            "pairs": [pair.as_dict() for pair in self.pairs],
            "categories": {name: [pair.as_dict() for pair in pairs] for name, pairs in self.categories.items()},
            "left_out": {name: list(ids) for name, ids in self.left_out.items()},
        }


def compare(
    sides: Sequence[Side],
    *,
    by: By = "success",
    alpha: float = 0.05,
    resamples: int = RESAMPLES,
    seed: int = 0,
    all_pairs: bool = False,
    max_infrastructure: float = MAX_INFRASTRUCTURE,
) -> Comparison:
    """Compare runs: each with the first, or all with all.

    Args:
        sides: at least two runs of the same tasks.
        by: what is compared.
        alpha: two-sided level, for all pairs together.
        resamples: of the bootstrap and of drawn signs.
        seed: of the resampling.
        all_pairs: compare all with all.
        max_infrastructure: share of samples without an outcome above which a pair has no verdict.
    """
    index = [(i, j) for i in range(len(sides)) for j in range(i + 1, len(sides)) if all_pairs or i == 0]
    outcomes = [_values(side.samples, by) for side in sides]
    category = {one.task_id: one.category for side in sides for one in side.samples}
    pairs, parts = [], dict[str, list[Pair]]()

    def pair(i: int, j: int, tasks: set[str] | None = None) -> Pair:
        joined = _joined(outcomes[i], outcomes[j], tasks)
        made = _pair(sides[i].name, sides[j].name, joined, by, alpha, len(index), resamples, seed)
        reason = _blocked((sides[i], sides[j]), max_infrastructure) or ("" if joined else "no task has both outcomes")
        return replace(made, verdict="no verdict", reason=reason) if reason else made

    names = sorted(set(category.values()))
    for i, j in index:
        pairs.append(pair(i, j))
        for name in names if len(names) > 1 else ():
            tasks = {ident for ident, one in category.items() if one == name}
            parts.setdefault(name, []).append(pair(i, j, tasks))
    family = adjusted([one for part in parts.values() for one in part], alpha)
    everything = set().union(*(_tasks(values) for values in outcomes))
    return Comparison(
        by=by,
        alpha=alpha,
        pairs=tuple(adjusted(pairs, alpha)),
        categories={
            name: tuple(family[place * len(index) : (place + 1) * len(index)]) for place, name in enumerate(parts)
        },
        left_out={
            side.name: tuple(sorted(everything - _tasks(values)))
            for side, values in zip(sides, outcomes, strict=True)
            if everything - _tasks(values)
        },
    )


def _values(samples: Sequence[Sample], by: By) -> dict[tuple[str, int], float]:
    found = {}
    for sample in samples:
        last = sample.last
        if last is None or not last.scored or (by == "success" and last.success is None):
            continue
        found[sample.task_id, sample.sample] = float(bool(last.success)) if by == "success" else last.credit
    return found


def _tasks(values: Mapping[tuple[str, int], float]) -> set[str]:
    return {task for task, _ in values}


def _joined(
    first: Mapping[tuple[str, int], float], second: Mapping[tuple[str, int], float], tasks: set[str] | None
) -> dict[str, list[tuple[float, float]]]:
    """Return for each task the pairs of outcomes of the same sample number."""
    joined: dict[str, list[tuple[float, float]]] = {}
    for key in sorted(first.keys() & second.keys()):
        if tasks is None or key[0] in tasks:
            joined.setdefault(key[0], []).append((first[key], second[key]))
    return joined


def _pair(
    first: str,
    second: str,
    joined: Mapping[str, Sequence[tuple[float, float]]],
    by: By,
    alpha: float,
    family: int,
    resamples: int,
    seed: int,
) -> Pair:
    gaps = [fmean(b - a for a, b in pairs) for pairs in joined.values()]
    single = by == "success" and all(len(pairs) == 1 for pairs in joined.values())
    wins, losses = sum(gap > 0 for gap in gaps), sum(gap < 0 for gap in gaps)
    tested = mcnemar(losses, wins) if single else None
    p = tested.exact if tested is not None else sign_flip(gaps, resamples=resamples, seed=seed)
    # What Holm asks of the first of them, so that the number of tasks is rather too high than too low.
    needed = tasks_needed(gaps, alpha=alpha / family)
    return Pair(
        first=first,
        second=second,
        tasks=len(gaps),
        samples=sum(len(pairs) for pairs in joined.values()),
        first_mean=fmean(fmean(a for a, _ in pairs) for pairs in joined.values()) if joined else float("nan"),
        second_mean=fmean(fmean(b for _, b in pairs) for pairs in joined.values()) if joined else float("nan"),
        difference=difference(gaps, level=1 - alpha, resamples=resamples, seed=seed),
        wins=wins,
        losses=losses,
        test="McNemar exact" if single else "sign flip",
        p=p,
        adjusted=p,
        mcnemar=tested,
        verdict="not told apart",
        further_tasks=max(1, needed - len(gaps)) if needed is not None else None,
        reason="",
    )


def adjusted(pairs: Sequence[Pair], alpha: float) -> list[Pair]:
    """Return the pairs with p adjusted for their number (Holm), and what may be said."""
    made = []
    for pair, p in zip(pairs, holm([pair.p for pair in pairs]), strict=True):
        said = pair.verdict if pair.reason else word(pair.difference.value, p, alpha)
        further = pair.further_tasks if said == "not told apart" else None
        made.append(replace(pair, adjusted=p, verdict=said, further_tasks=further))
    return made


def _blocked(sides: Sequence[Side], most: float) -> str:
    """Say why infrastructure forbids a verdict, or nothing."""
    for side in sides:
        found = side.infrastructure
        if found.share > most:
            missing = found.lost + found.unfinished
            return (
                f"{missing} of {found.planned} samples of {side.name} have no outcome "
                f"({found.lost} lost to infrastructure, {found.unfinished} not finished), more than {100 * most:g} %"
            )
    return ""
