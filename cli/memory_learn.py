"""`lamarck memory learn`: a memory from episodes that were stored before."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from ..agent.distiller import Distiller, LLMDistiller, ScriptDistiller, llm_same
from ..agent.llms import build_llm
from ..agent.prompting import Prompts
from ..agent.remember import Remembering
from ..config import ModelConfig
from ..core import Item, Trajectory
from ..memory.bank import Memory
from ..rundir import RunDirectory
from ..store import Store


def learn_from(
    memory: Memory, source: Path, model: str, progress: Callable[[int, int], None] | None = None
) -> dict[str, int]:
    """Learn from all finished episodes of a run directory or store; return how many, and what became of them.

    Whether a model that distils may see what ended an attempt is as its run was set; of runs of which there is but a
    store, those with attempts that have no reward are the ones whose truth was withheld.

    Raises:
        LamarckError: there is no such run or store, or the model that distils cannot be had.
    """
    url: str | Path = source
    hidden: dict[str, bool] = {}
    if source.is_dir():
        directory = RunDirectory(source)
        config = directory.load_config()
        url = directory.store_url(config)
        hidden[directory.run_id] = config.verify.withhold and config.verify.hide_end
    with Store.open(url, create=False) as store:
        return asyncio.run(_learn(memory, store, model, hidden, progress))


async def _learn(
    memory: Memory,
    store: Store,
    model: str,
    hidden: Mapping[str, bool],
    progress: Callable[[int, int], None] | None,
) -> dict[str, int]:
    counts = {"learned": 0, "known": 0, "new": 0, "merged": 0}

    def note(new: int, merged: int) -> None:
        counts["learned"] += 1
        counts["new"] += new
        counts["merged"] += merged

    prompts, config = Prompts(), memory.config.distil
    headers = list(store.headers(failed=False))
    found = [header.id for header in headers]
    llm = build_llm(ModelConfig(name=model)) if config.by == "llm" else None
    try:
        distiller: Distiller | None = ScriptDistiller(config) if config.by == "script" else None
        if llm is not None:
            memory.same = llm_same(llm, prompts)
            shown, blind = (LLMDistiller(llm, prompts, config, hide_end=hide_end) for hide_end in (False, True))
            hidden = {header.run_id: True for header in headers if header.reward is None} | dict(hidden)
            distiller = _ByRun(shown, blind, hidden)
        learner = Remembering(memory, prompts, store, distiller=distiller, on_learned=note)
        new = await learner.unlearned(found)
        counts["known"] = len(found) - len(new)
        for done, ident in enumerate(new, 1):
            await learner.learn(store.trajectory(ident))
            if progress is not None:
                progress(done, len(new))
    finally:
        if llm is not None:
            await llm.close()
    return counts


class _ByRun:
    """Leaves distilling to one of two, by the run of the attempts, which are all of one."""

    def __init__(self, shown: Distiller, blind: Distiller, hidden: Mapping[str, bool]) -> None:
        self._shown, self._blind, self._hidden = shown, blind, hidden

    async def distil(self, trajectories: Sequence[Trajectory]) -> list[Item]:
        blind = bool(trajectories) and self._hidden.get(trajectories[-1].run_id, False)
        return await (self._blind if blind else self._shown).distil(trajectories)
