"""Judging the stored attempts of a run, which stays as it is: those that have no verdict under a name yet."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Protocol

from ..config import ModelConfig, RunConfig
from ..core import Trajectory, content_id
from ..rundir import RunDirectory
from ..store import Store

if TYPE_CHECKING:
    from ..agent.verifiers.records import Record, Verdicts

Progressed = Callable[[int, int], None]
_WITHOUT_MODEL = frozenset({"environment", "rule", "code", "recompute", "consistency", "certainty", "vote", "locate"})
"""Of those that ask others, that is for these to say."""


class Pace(Protocol):
    """Says in which order attempts are judged, and when no further one is."""

    def sorted(self, attempts: Sequence[Trajectory]) -> list[Trajectory]:
        """Return attempts in the order in which they are to be judged."""
        ...

    def heard(self, record: Record) -> None:
        """Take note of a verdict that is in its file."""
        ...

    def enough(self) -> bool:
        """Say whether no further attempt is to be judged; asked before each."""
        ...


def label_of(config: RunConfig) -> str:
    """Return a name for verdicts: the verifier's, with a hash of its options and model where it has some."""
    verify = config.verify
    more = {"options": verify.options, "model": verify.model}
    return verify.by if not verify.options and verify.model is None else f"{verify.by}-{content_id(more)[:6]}"


async def judge(
    config: RunConfig,
    directory: RunDirectory,
    verdicts: Verdicts,
    label: str,
    limit: int | None,
    told: Progressed = lambda n, total: None,
    *,
    pace: Pace | None = None,
) -> tuple[int, int]:
    """Judge what is not judged yet; return how many that were, and how many there were already.

    Raises:
        LamarckError: the verifier, or what it needs, cannot be had.
    """
    from ..agent.llms import build_llm
    from ..agent.verifiers.judgements import Judgements
    from ..agent.verifiers.judging import shown_to
    from ..agent.verifiers.records import Record
    from ..agent.verifiers.verifier import ask
    from .wire_tools import open_tools
    from .wire_verify import build_verifier

    known = verdicts.read(label).records
    async with AsyncExitStack() as stack:
        store = stack.enter_context(Store.open(directory.store_url(config), create=False))
        headers = list(store.headers(run_id=directory.run_id, failed=False))
        headers = pace.sorted(headers) if pace is not None else headers
        beside = _beside(config, headers)
        again, fresh = _wanted(headers, known, limit, beside)
        # Tools are the judge's here, whatever the protocol by which the run was played.
        spoken = config.solver.model_copy(update={"protocol": "text"})
        tools = await open_tools(config.model_copy(update={"solver": spoken}), stack)
        llm = build_llm(_judging(config), at_once=config.collect.concurrency) if _asks(config) else None
        if llm is not None:
            stack.push_async_callback(llm.close)
        verifier = build_verifier(config, store, llm, tools)
        places, counted = asyncio.Semaphore(config.collect.concurrency), 0

        async def one(ident: str) -> None:
            nonlocal counted
            async with places:
                if pace is not None and pace.enough():
                    return
                trajectory = await asyncio.to_thread(store.trajectory, ident)
                judged = await ask(verifier, shown_to(verifier, trajectory, hide_end=config.verify.hide_end))
                record = Record(
                    trajectory_id=ident,
                    verdict=judged.verdict,
                    usage=judged.usage,
                    at=time.time(),
                    siblings=beside.get(trajectory.task.id),
                )
                # Before the verdict: who is killed in between judges again, and nothing that was asked is missing.
                if config.verify.record and judged.heard:
                    Judgements(verdicts.beside).add(ident, judged.heard)
                verdicts.add(label, record)
                if pace is not None:
                    pace.heard(record)
                counted += 1
                told(counted, len(again) + len(fresh))

        # Verdicts that are out of date first: while a sibling of theirs is not judged, they are known to be.
        for idents in (again, fresh):
            tasks = [asyncio.create_task(one(ident)) for ident in idents]
            try:
                await asyncio.gather(*tasks)
            finally:
                # What was judged is kept; the same command goes on with the rest.
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
        return counted, len({one.id for one in headers} & set(known) - set(again))


def _judging(config: RunConfig) -> ModelConfig:
    """Return how the model that judges is run: the player's adapter is not another model's."""
    name = config.verify.model or config.model.name
    other = {"name": name} | ({"adapter": None} if name != config.model.name else {})
    return config.model.model_copy(update=other)


def _beside(config: RunConfig, headers: Sequence[Trajectory]) -> Mapping[str, int]:
    """Return how many attempts there are at each task, where the verifier goes by siblings; else nothing."""
    from ..agent.verifiers.table import by_siblings

    goes = by_siblings(config.verify.by, config.verify.options)
    return Counter(one.task.id for one in headers) if goes else {}


def _wanted(
    headers: Sequence[Trajectory], known: Mapping[str, Record], limit: int | None, beside: Mapping[str, int]
) -> tuple[list[str], list[str]]:
    """Return the attempts that are to be judged again, and those that were not judged yet, of these at most `limit`.

    Again, where the verifier goes by siblings: those with a new one, which their verdicts know nothing of. Where it is
    not known how many there were, one that is not judged is taken for new.
    """
    fresh = [one for one in headers if one.id not in known][:limit]
    tasks = {one.task.id for one in fresh}

    def stale(one: Trajectory) -> bool:
        count = known[one.id].siblings
        return one.task.id in tasks if count is None else count != beside[one.task.id]

    again = [one.id for one in headers if beside and one.id in known and stale(one)]
    return again, [one.id for one in fresh]


def _asks(config: RunConfig) -> bool:
    """Say whether a verifier may ask a model: those of ours that never do need none to be loaded."""
    from ..agent.verifiers.table import named

    return any(one not in _WITHOUT_MODEL for one in named(config.verify.by, config.verify.options))
