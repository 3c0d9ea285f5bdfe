"""`lamarck memory learn`: a memory from episodes that were stored before."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

from ..agent.distiller import Distiller, LLMDistiller, ScriptDistiller, llm_same
from ..agent.llms import build_llm
from ..agent.prompting import Prompts
from ..agent.remember import Remembering
from ..config import ModelConfig
from ..memory.bank import Memory
from ..rundir import RunDirectory
from ..store import Store


def learn_from(
    memory: Memory, source: Path, model: str, progress: Callable[[int, int], None] | None = None
) -> dict[str, int]:
    """Learn from all finished episodes of a run directory or store; return how many, and what became of them.

    Raises:
        LamarckError: there is no such run or store, or the model that distils cannot be had.
    """
    url: str | Path = source
    if source.is_dir():
        directory = RunDirectory(source)
        url = directory.store_url(directory.load_config())
    with Store.open(url, create=False) as store:
        return asyncio.run(_learn(memory, store, model, progress))


async def _learn(
    memory: Memory, store: Store, model: str, progress: Callable[[int, int], None] | None
) -> dict[str, int]:
    counts = {"learned": 0, "known": 0, "new": 0, "merged": 0}

    def note(new: int, merged: int) -> None:
        counts["learned"] += 1
        counts["new"] += new
        counts["merged"] += merged

    prompts, config = Prompts(), memory.config.distil
    rewarded = {header.id: header.reward is not None for header in store.headers(failed=False)}
    llm = build_llm(ModelConfig(name=model)) if config.by == "llm" else None
    try:
        distiller: Distiller | None = ScriptDistiller(config) if config.by == "script" else None
        if llm is not None:
            memory.same = llm_same(llm, prompts)
            # Attempts without a reward are those whose truth was withheld.
            hide_end = not all(rewarded.values())
            distiller = LLMDistiller(llm, prompts, config, hide_end=hide_end)
        learner = Remembering(memory, prompts, store, distiller=distiller, on_learned=note)
        new = await learner.unlearned(list(rewarded))
        counts["known"] = len(rewarded) - len(new)
        for done, ident in enumerate(new, 1):
            await learner.learn(store.trajectory(ident))
            if progress is not None:
                progress(done, len(new))
    finally:
        if llm is not None:
            await llm.close()
    return counts
