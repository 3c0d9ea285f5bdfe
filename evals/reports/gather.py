"""From run directories to the data of a report."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from ... import __version__
from ...core import Trajectory
from ...rundir import RunDirectory
from ...store import Store
from ..figures.at_k import usual_ks
from ..figures.compare import Pair, compare
from ..figures.curves import WINDOW, in_order, learning_curve
from ..figures.played import Played, different, same_tasks
from .data import Difference, Length, Page, RunPart, Versus
from .facts import brief_of, facts_of, notes_of, picked_of, unlike_of, warning_of
from .markup import TOTAL
from .pick import pick
from .records import ROOMS, outcome_of, record
from .texts import Texts, script_json

TRAJECTORIES = 200
"""Trajectories that a report shows, where nothing else is asked for."""
BUDGET = 14_000_000
"""Characters that they may take together, so that the page stays below 20 MB."""
REWARDED = 500
"""Episodes that the plot of rewards reads; the rest of a run would not move it."""

Progress = Callable[[str], None]


def gather(
    runs: Sequence[RunDirectory],
    *,
    trajectories: int = TRAJECTORIES,
    budget: int = BUDGET,
    progress: Progress = lambda what: None,
) -> Page:
    """Read runs and put together what a report of them shows.

    Args:
        runs: the first is what the others are compared with.
        trajectories: how many are shown, of all runs together.
        budget: characters that they may take.
        progress: called with what is being read.

    Raises:
        ConfigError: a run is not there, is named twice, or has no finished episode.
        StoreError: a store cannot be read.
    """
    different(runs)
    labels = _labels([run.path for run in runs])
    played, headers, returns = [], [], []
    for run, label in zip(runs, labels, strict=True):
        progress(f"reading {label}")
        played.append(Played.read(run))
        with Store.open(run.store_url(played[-1].config), create=False) as store:
            headers.append(list(store.headers(run_id=run.run_id)))
            returns.append(mean_returns(store, headers[-1]))
    for other in played[1:]:
        same_tasks(played[0], other)
    progress("working out figures")
    parts = [_part(*one) for one in zip(labels, played, headers, returns, strict=True)]
    versus = _versus(labels, played) if len(played) > 1 else ()
    progress("choosing trajectories")
    chosen = pick(headers, trajectories)
    records, texts, shown = _records(runs, played, chosen, budget)
    task = played[0].config.taskset
    return Page(
        title=f"{task.name} {task.split}",
        runs=tuple(parts),
        versus=tuple(versus),
        records=tuple(records),
        texts=tuple(texts.entries),
        shown=shown,
        dropped=len(chosen) - len(records),
        version=__version__,
        made_at=time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
    )


def mean_returns(store: Store, headers: Sequence[Trajectory]) -> tuple[tuple[float, ...], int]:
    """Return the mean return up to each step, and over how many evenly spaced finished episodes.

    An episode that has ended keeps its return, so the last value is the mean return of these episodes.
    """
    finished = [header for header in headers if header.failure is None]
    every = max(1, -(-len(finished) // REWARDED))
    sums, read = list[float](), finished[::every]
    for header in read:
        for number, step in enumerate(store.steps_of(header.id, brief=True)):
            if number == len(sums):
                sums.append(0.0)
            sums[number] += step.reward if math.isfinite(step.reward) else 0.0
    total, means = 0.0, []
    for value in sums:
        total += value
        means.append(total / len(read))
    return tuple(means), len(read)


def _part(label: str, played: Played, headers: Sequence[Trajectory], returns: tuple[tuple[float, ...], int]) -> RunPart:
    lasts = [sample.last for sample in played.samples if sample.last is not None]
    total = played.figures(ks=usual_ks(played.config.collect.samples if played.allocated is None else 1))
    outcomes = in_order(played.samples)
    return RunPart(
        label=label,
        facts=facts_of(played, total),
        notes=notes_of(played, total),
        brief=brief_of(played, total),
        warning=warning_of(total),
        picked=picked_of(played),
        total=total,
        categories=played.by_category(),
        curve=learning_curve([float(bool(one.success)) for one in outcomes], window=min(WINDOW, len(outcomes) or 1)),
        returns=returns[0],
        returns_of=returns[1],
        lengths=tuple(
            Length({True: "solved", False: "failed", None: "unknown"}[one.success], one.steps, one.usage.tokens)
            for one in lasts
        ),
        outcomes=Counter(outcome_of(header) for header in headers),
    )


def _versus(labels: Sequence[str], played: Sequence[Played]) -> tuple[Versus, ...]:
    found = compare([one.side(label) for label, one in zip(labels, played, strict=True)])
    made = []
    for place, pair in enumerate(found.pairs):
        parts = [(name, pairs[place]) for name, pairs in found.categories.items()]
        rows = [_difference(name, one) for name, one in [*parts, (TOTAL, pair)]]
        left = {name: len(ids) for name, ids in found.left_out.items() if name in (pair.first, pair.second)}
        notes = tuple(f"{count} tasks have no outcome in {name} and are left out." for name, count in left.items())
        tests = {name: one.as_dict() for name, one in parts}
        unlike = unlike_of(played[0], played[place + 1])
        raw = {**pair.as_dict(), "categories": tests, "differences": list(unlike)}
        made.append(Versus(pair.second, pair.first, tuple(rows), pair.sentence(), notes, unlike, raw))
    return tuple(made)


def _difference(name: str, pair: Pair) -> Difference:
    gap = pair.difference
    return Difference(
        category=name,
        value=gap.value,
        low=gap.low,
        high=gap.high,
        tasks=pair.tasks,
        first=pair.first_mean,
        second=pair.second_mean,
        wins=pair.wins,
        losses=pair.losses,
        test=pair.test,
        p=pair.p,
        adjusted=pair.adjusted,
        verdict=pair.verdict,
    )


def _records(
    runs: Sequence[RunDirectory], played: Sequence[Played], chosen: Sequence[tuple[int, str]], budget: int
) -> tuple[list[str], Texts, Counter[str]]:
    """Return the chosen trajectories as JSON, as far as there is room, the texts they share, and their outcomes."""
    texts, records, shown = Texts(), list[str](), Counter[str]()
    share, used = budget // max(1, len(chosen)), 0
    stores = [Store.open(run.store_url(one.config), create=False) for run, one in zip(runs, played, strict=True)]
    try:
        for run, ident in chosen:
            trajectory = stores[run].trajectory(ident)
            for room in ROOMS:
                mark = texts.mark()
                made = script_json(record(trajectory, run, texts, room))
                size = len(made) + texts.chars - mark.chars
                if size <= share or room is ROOMS[-1]:
                    break
                texts.back_to(mark)
            if used + size > budget:
                texts.back_to(mark)
                continue
            used += size
            records.append(made)
            shown[outcome_of(trajectory)] += 1
    finally:
        for store in stores:
            store.close()
    return records, texts, shown


def _labels(paths: Sequence[Path]) -> list[str]:
    """Return a short name for each run: the folder's, or the path where two folders bear the same."""
    names = [path.resolve().name for path in paths]
    return [name if names.count(name) == 1 else str(path) for name, path in zip(names, paths, strict=True)]
