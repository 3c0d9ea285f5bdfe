"""Memory in the episode graph: recall before acting and when the situation changes, learning at the end."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Sequence

from ..core import Item, Trajectory
from ..memory.bank import Memory
from ..store import Store
from .distiller import Distiller
from .hooks import Hooks, Recalled, Situation
from .prompting import Prompts

NUMBER = re.compile(r"\s*\d+")


class Remembering:
    """The hooks `recall` and `learn` of one memory.

    Args:
        memory: what is recalled from and learned into.
        prompts: has the frame in which items are shown.
        store: where the run's trajectories are, for attempts at the same task.
        distiller: makes items of trajectories; None makes none.
        learning: False leaves the memory as it is: nothing is learned, explored or left out.
        on_learned: told after each episode how many items are new and how many were merged.
    """

    def __init__(
        self,
        memory: Memory,
        prompts: Prompts,
        store: Store,
        *,
        distiller: Distiller | None = None,
        learning: bool = True,
        on_learned: Callable[[int, int], None] = lambda new, merged: None,
    ) -> None:
        self._memory = memory
        self._prompts = prompts
        self._store = store
        self._distiller = distiller
        self._learning = learning
        self._on_learned = on_learned
        self._learned = 0
        self._one_at_a_time = asyncio.Lock()

    def hooks(self, *, learn: bool = True) -> Hooks:
        """Return the hooks for an episode graph; without `learn`, what is tried out is learned from later."""
        return Hooks(recall=self.recall, learn=self if self._learning and learn else None)

    async def recall(self, now: Situation) -> Recalled:
        """Return what stands in the prompt from here on; at most the first recall draws an item to be left out."""
        if now.step > 0 and (self._memory.config.recall.again <= -1.0 or now.observation == now.before.anchor):
            return now.before
        return await asyncio.to_thread(self._recall, now)

    def _recall(self, now: Situation) -> Recalled:
        goal = now.task.goal or now.observation
        if now.step == 0:
            queries = [goal]
        elif self._alike(now.observation, now.before.anchor):
            return now.before
        else:
            queries = [goal, now.observation]
        found = self._memory.recall(
            queries,
            learning=self._learning,
            seed=str(now.seed),
            barred=now.before.withheld,
            lot=now.step == 0,
        )
        ids = tuple(item.id for item in found.items)
        withheld = now.before.withheld + tuple(item.id for item in found.withheld)
        if set(ids) == set(now.before.ids):
            # The same again: the text stays, and with it the model's prefix cache.
            return Recalled(now.before.text, now.before.ids, withheld, now.observation)
        return Recalled(render(found.items, self._prompts), ids, withheld, now.observation)

    def _alike(self, observation: str, anchor: str) -> bool:
        """Say whether two observations show the same situation; which cabinet it is does not count."""
        one, other = (NUMBER.sub("", text) for text in (observation, anchor))
        return one == other or self._memory.similar(one, other) >= self._memory.config.recall.again

    async def learn(self, trajectory: Trajectory) -> None:
        """Make items of an attempt, then credit those that stood in its prompts.

        In this order: the credit marks the attempt as learned from, so a crash in between repeats both.
        """
        if trajectory.failure is not None:
            return
        async with self._one_at_a_time:
            if await self.unlearned([trajectory.id]):
                await self._learn(trajectory)

    async def _learn(self, trajectory: Trajectory) -> None:
        new = merged = 0
        if self._distiller is not None:
            siblings = await asyncio.to_thread(self._siblings, trajectory)
            items = await self._distiller.distil([*siblings, trajectory])
            if items:
                done = await asyncio.to_thread(self._memory.remember, items)
                new, merged = len(done.new), len(done.merged)
        if await asyncio.to_thread(self._memory.learn, trajectory) is None:
            return
        self._learned += 1
        if self._learned % self._memory.config.forget.every == 0:
            await asyncio.to_thread(self._memory.forget)
        self._on_learned(new, merged)

    async def unlearned(self, trajectory_ids: Sequence[str]) -> Sequence[str]:
        """Return those attempts that were not learned from yet."""
        known = await asyncio.to_thread(self._memory.learned, trajectory_ids)
        return [ident for ident in trajectory_ids if ident not in known]

    def _siblings(self, trajectory: Trajectory) -> list[Trajectory]:
        """Return earlier attempts at the same task in the same run."""
        found = self._store.trajectories(run_id=trajectory.run_id, task_id=trajectory.task.id, failed=False)
        return [other for other in found if other.id != trajectory.id]


def render(items: Sequence[Item], prompts: Prompts) -> str:
    """Return the text that shows items in a prompt: what helped and what to beware of apart; nothing for nothing."""
    if not items:
        return ""
    helped = [item for item in items if item.kind != "warning"]
    beware = [item for item in items if item.kind == "warning"]
    return prompts.fill(
        "recalled",
        successes=_block("What helped before:", helped),
        warnings=_block("What failed before, to be avoided:", beware),
    )


def _block(title: str, items: Sequence[Item]) -> str:
    if not items:
        return ""
    return f"\n\n{title}" + "".join(f"\n\nFor: {item.applies}\n{item.content}" for item in items)
