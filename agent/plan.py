"""Where a run goes on: which attempt each sample is at, by what the store holds."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence, Set
from typing import NamedTuple

from ..core import Task
from ..store import AttemptRow, Store
from .ending import trajectory_id
from .episode_state import Attempt
from .hooks import Repair, Retry

Job = tuple[Task, int]
"""A task and the number of one of its samples."""


class Plan(NamedTuple):
    """Where samples go on; each by its task id and its number."""

    attempts: Mapping[tuple[str, int], Attempt]
    """The attempt with which each unfinished sample goes on."""
    begun: Set[tuple[str, int]]
    """Those of them that an earlier process has begun: an attempt is open, failed or to be repaired."""


async def plan(run_id: str, jobs: Sequence[Job], store: Store, repair: Repair | None = None) -> Plan:
    """Say where the unfinished ones of these samples go on.

    A sample is finished when its latest attempt came to its end and nothing wants to repair it. An attempt that was
    begun and not ended goes on under its own number; one that infrastructure killed is followed by the next. Where an
    earlier attempt came to its end, the critique that followed it is asked for again.

    Raises:
        StoreError: the store cannot be read.
        ModelError: `repair` needs a model, and it does not answer.
    """
    finished = await asyncio.to_thread(store.finished, run_id)
    known: dict[tuple[str, int], list[AttemptRow]] = {}
    for row in await asyncio.to_thread(store.attempts, run_id):
        known.setdefault((row.task_id, row.sample), []).append(row)
    found = {}
    for task, sample in jobs:
        key = (task.id, sample)
        if key in finished and repair is None:
            continue
        rows = known.get(key, [])
        ended = next((row for row in reversed(rows) if not row.open and not row.failed), None)
        retry = await _retry(ended, store, repair)
        if key in finished and retry is None:
            continue
        number = 0 if not rows else rows[-1].attempt + (0 if rows[-1].open else 1)
        # What infrastructure ended in between began anew, and so does what follows it.
        forks = retry is not None and ended is not None and ended.attempt == number - 1
        found[key] = numbered(
            *(run_id, task, sample, number),
            critique=retry.critique if retry else "",
            fork_at=retry.fork_at if retry and forks else None,
            cost=retry.cost if retry else 0.0,
            deepened=retry.deepened if retry else 0,
        )
    return Plan(found, found.keys() & known.keys())


def numbered(
    run_id: str,
    task: Task,
    sample: int,
    number: int,
    critique: str = "",
    fork_at: int | None = None,
    cost: float = 0.0,
    deepened: int = 0,
) -> Attempt:
    """Return an attempt by its number; the one before it is its parent."""
    parent = trajectory_id(run_id, task.id, sample, number - 1) if number else None
    return Attempt(trajectory_id(run_id, task.id, sample, number), number, parent, critique, fork_at, cost, deepened)


async def _retry(ended: AttemptRow | None, store: Store, repair: Repair | None) -> Retry | None:
    """Return what the latest attempt that came to its end has taught, or None where nothing is to be repaired."""
    if ended is None or repair is None:
        return None
    return Retry.of(await repair(await asyncio.to_thread(store.trajectory, ended.trajectory_id)))
