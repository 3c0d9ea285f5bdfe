"""What memory learns from the attempts of a generation: what its items were worth, and new items."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from statistics import fmean, pstdev

from ...agent.distiller import Asking, Distiller, ScriptDistiller
from ...agent.evolution.generation import Figures, Generation
from ...agent.llms import build_llm
from ...agent.prompting import Prompts
from ...config_evolve import EvolveConfig, PhaseBudget
from ...core import Trajectory, Usage
from ...memory.bank import Memory
from ..wire import build_distiller
from .budget import Allowance, left
from .collecting import MEMORY
from .home import Home
from .learned import Learned, Made
from .verifying import Verifying


class Learning:
    """The phases `credit` and `distil`. Both can be done again: what is learned is keyed by attempt and content, and
    what was distilled is written down.

    Args:
        home: of the evolution.
        config: its settings.
        verifying: says which attempts count, and what they came to.
        may: what distilling may use up.
        clock: the time in seconds, for tests.
    """

    def __init__(
        self,
        home: Home,
        config: EvolveConfig,
        verifying: Verifying,
        may: PhaseBudget | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._home, self._config, self._verifying = home, config, verifying
        self._may, self._clock, self._at = may or PhaseBudget(), clock, clock()

    async def credit(self, now: Generation) -> Figures:
        """Let the items that stood in prompts learn what they were worth.

        Raises:
            LamarckError: the memory or the attempts cannot be read.
        """
        found, left_out = self._verifying.counting(now.number)
        with self._memory(now) as memory:
            for one in found:
                await asyncio.to_thread(memory.learn, one)
            known = memory.learned([one.id for one in found])
        recalled = {ident for one in found for step in one.steps for ident in step.recalled}
        return {"attempts": len(known), "items": len(recalled), **left_out}

    async def distil(self, now: Generation) -> Figures:
        """Make items of the attempts, task by task and one attempt after the other, then retire what is useless.

        Raises:
            LamarckError: the memory cannot be written, or the model that distils does not answer.
        """
        groups: dict[str, list[Trajectory]] = {}
        left_out = Counter[str]()
        for one in self._verifying.counting(now.number)[0]:
            groups.setdefault(one.task.id, []).append(one)
        with self._memory(now) as memory:
            folder = self._home.generation(now.number)
            learned, self._at = Learned.begun(folder, memory), self._clock()
            allowed = Allowance(self._may, lambda: learned.seconds + self._clock() - self._at)
            async with self._distiller(memory) as distiller:
                if learned.made is not None:  # a process died while memory took this in
                    learned = await self._remembered(learned, folder, memory, distiller)
                for group in groups.values():
                    for last, one in enumerate(group, 1):
                        if one.id in learned.attempts:
                            continue
                        if limit := allowed.reached(learned.usage.tokens, learned.usage.cost_usd):
                            left_out[limit] += 1
                            continue
                        items = await distiller.distil(group[:last]) if distiller is not None else []
                        made = Made(attempt=one.id, items=tuple(items), since=memory.head.seq)
                        learned = learned.making(folder, made, _took(distiller), self._lap())
                        learned = await self._remembered(learned, folder, memory, distiller)
            await asyncio.to_thread(memory.forget)
            return {**learned.counted(memory), **holdings(memory), **left(left_out)}

    async def _remembered(self, learned: Learned, folder: Path, memory: Memory, distiller: Distiller | None) -> Learned:
        """Let memory take in what was written down, and write that down too."""
        assert learned.made is not None
        await asyncio.to_thread(memory.remember, learned.made.left(memory))
        return learned.taken(folder, _took(distiller), self._lap())

    def _lap(self) -> float:
        """Return the seconds since the last time was written down."""
        before, self._at = self._at, self._clock()
        return self._at - before

    def _memory(self, now: Generation) -> Memory:
        return Memory.open(self._config.run.memory, self._home.generation(now.number) / MEMORY, create=False)

    @asynccontextmanager
    async def _distiller(self, memory: Memory) -> AsyncIterator[Distiller | None]:
        run = self._config.run
        distil = run.memory.distil
        if distil.by != "llm":
            yield ScriptDistiller(distil) if distil.by == "script" else None
            return
        learning = run.model_copy(update={"memory": run.memory.model_copy(update={"mode": "learn"})})
        async with AsyncExitStack() as stack:
            model = build_llm(run.model)
            stack.push_async_callback(model.close)
            yield await build_distiller(learning, model, Prompts(run.solver.prompts), memory, stack)


def _took(distiller: Distiller | None) -> Usage:
    """Return what a distiller has used since this was last asked; nothing where it asks no model."""
    return distiller.took() if isinstance(distiller, Asking) else Usage()


def holdings(memory: Memory) -> Figures:
    """Return how many items a memory holds, by status, and how their values spread."""
    states = [light.state for light in memory.reading.lights(memory.lineage)]
    values = [state.q_value for state in states if state.status != "retired" and state.rewards]
    held = {name: sum(state.status == name for state in states) for name in ("candidate", "active", "retired")}
    return {
        **held,
        "valued": len(values),
        "q_mean": round(fmean(values), 4) if values else None,
        "q_spread": round(pstdev(values), 4) if values else None,
    }
