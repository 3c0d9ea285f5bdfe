"""Playing one sample of a task: attempt after attempt, until one comes to its end by itself."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from langchain_core.runnables import RunnableConfig

from ..config import RunConfig
from ..core import Failure, Sampling, Task, Trajectory, Usage
from ..errors import ConfigError, EnvironmentFailure, LamarckError, ModelError, SandboxError, StoreError
from ..seams import LLM
from ..store import Store
from .checkpoints import EpisodeSaver
from .context import EpisodeContext, group_name, session_name
from .ending import trajectory_id
from .episode import EpisodeGraph, build_episode_graph
from .episode_state import Attempt, new_state
from .events import Event
from .hooks import Hooks
from .hosting import World, WorldPool
from .plan import numbered
from .prompting import Prompts
from .recorder import StoreRecorder

log = logging.getLogger("lamarck.run")

UNLIMITED = 1_000_000_000
"""LangGraph's recursion limit; the solver's own budgets end an episode."""


@dataclass
class SampleRunner:
    """Plays samples, one a call; several calls may be under way at once. Its arguments are those of `Runner`."""

    run_id: str
    config: RunConfig
    store: Store
    llm: LLM
    worlds: WorldPool
    saver: EpisodeSaver | None
    hooks: Hooks
    prompts: Prompts
    release_id: str
    on_event: Callable[[Event], None]

    def __post_init__(self) -> None:
        self._graph: EpisodeGraph = build_episode_graph(self.hooks, self.saver)
        self._recorder = StoreRecorder(self.store)

    async def run(self, task: Task, sample: int, attempt: Attempt) -> bool:
        """Play one sample, starting anew after infrastructure failures; False when it was given up.

        Args:
            task: what is played.
            sample: which of the independent samples of the task.
            attempt: where it begins, or goes on.

        Raises:
            ConfigError, StoreError: every other episode would meet the same.
        """
        over = False
        for left in reversed(range(self.config.collect.attempts)):
            context: EpisodeContext | None = None
            try:
                async with self.worlds.lease() as world:
                    context = self._context(task, sample, world, attempt)
                    try:
                        last = await self._play(context, attempt)
                    finally:
                        await asyncio.shield(context.close_tools())
            except (ConfigError, StoreError):
                # Every other episode would meet the same; and without a store nothing could be written down.
                raise
            except LamarckError as error:
                failure = Failure(boundary=_boundary(error), kind=error.kind, message=str(error))
            except Exception as error:
                log.exception("defect in episode %s sample %d", task.id, sample)
                failure = Failure(boundary="defect", kind=type(error).__name__, message=str(error))
            else:
                await self._tell_repaired(task, sample, range(attempt.number, last.attempt))
                self.on_event(Event("finished", task, sample, trajectory=last))
                return True
            finally:
                self.llm.end_session(session_name(self.run_id, task, sample))
            if context is not None:
                await self._tell_repaired(task, sample, range(attempt.number, context.attempt.number))
                attempt, over = context.attempt, context.over
            # What has come to its end in the world keeps its outcome: it stays open, and its end is tried again.
            failed = await self._fail(task, sample, attempt, failure, keep=not over)
            if over and left:
                # Its tokens are told with its end.
                failed = failed.model_copy(update={"usage": Usage()})
            self.on_event(Event("failed" if left else "given_up", task, sample, trajectory=failed))
            if not over:
                attempt = numbered(
                    *(self.run_id, task, sample, attempt.number + 1),
                    critique=attempt.critique,
                    cost=attempt.cost,
                    deepened=attempt.deepened,
                )
        return False

    def _context(self, task: Task, sample: int, world: World, attempt: Attempt) -> EpisodeContext:
        model = self.config.model
        return EpisodeContext(
            run_id=self.run_id,
            task=task,
            sample=sample,
            attempt=attempt,
            seed=self.config.collect.seed,
            llm=self.llm,
            world=world,
            recorder=self._recorder,
            solver=self.config.solver,
            sampling=Sampling(temperature=model.temperature, top_p=model.top_p, max_tokens=model.max_tokens),
            prompts=self.prompts,
            hooks=self.hooks,
            release_id=self.release_id,
            on_step=lambda step: self.on_event(Event("step", task, sample, step=step)),
        )

    async def _play(self, context: EpisodeContext, attempt: Attempt) -> Trajectory:
        """Run the graph, from its checkpoint where there is a usable one; return the last attempt, repaired or not."""
        config: RunnableConfig = {
            "configurable": {"thread_id": attempt.trajectory_id},
            "recursion_limit": UNLIMITED,
        }
        context.recorded = await asyncio.to_thread(self.store.steps_of, attempt.trajectory_id)
        if attempt.fork_at is not None and attempt.parent is not None:
            context.forked = await asyncio.to_thread(self.store.steps_of, attempt.parent)
        start = None if await self._usable(config, context) else new_state(*attempt)
        if self.saver is None:
            await self._graph.ainvoke(start, config, context=context)
        else:
            await self._graph.ainvoke(start, config, context=context, durability="sync")
            await self._forget(context.task, context.sample, attempt)
        return await asyncio.to_thread(self.store.trajectory, context.attempt.trajectory_id)

    async def _tell_repaired(self, task: Task, sample: int, numbers: range) -> None:
        """Tell of attempts that ended by themselves and were followed by others."""
        for number in numbers:
            ident = trajectory_id(self.run_id, task.id, sample, number)
            trajectory = await asyncio.to_thread(self.store.trajectory, ident)
            self.on_event(Event("repaired", task, sample, trajectory=trajectory))

    async def _usable(self, config: RunnableConfig, context: EpisodeContext) -> bool:
        """Say whether the graph can go on from its checkpoint: the store must hold all steps up to it."""
        if self.saver is None:
            return False
        found = await self.saver.aget_tuple(config)
        if found is None:
            return False
        index = found.checkpoint["channel_values"].get("index")
        if index is not None and "called" in found.checkpoint["channel_values"] and index <= len(context.recorded):
            return True
        await self.saver.adelete_thread(config["configurable"]["thread_id"])
        return False

    async def _forget(self, task: Task, sample: int, attempt: Attempt) -> None:
        """Drop the checkpoints of a sample up to an attempt: those that a repair began lie under an earlier one."""
        if self.saver is not None:
            for number in range(attempt.number + 1):
                await self.saver.adelete_thread(trajectory_id(self.run_id, task.id, sample, number))

    async def _fail(
        self, task: Task, sample: int, attempt: Attempt, failure: Failure, *, keep: bool = True
    ) -> Trajectory:
        """Store (unless not to be kept) an attempt that infrastructure ended: it has a failure and no reward."""
        await self._recorder.begin(self.run_id, task, sample, attempt)
        steps = await asyncio.to_thread(self.store.steps_of, attempt.trajectory_id)
        failed = Trajectory(
            id=attempt.trajectory_id,
            run_id=self.run_id,
            task=task,
            group_id=group_name(self.run_id, task),
            sample=sample,
            attempt=attempt.number,
            parent=attempt.parent,
            release_id=self.release_id,
            steps=steps,
            stop="infrastructure",
            failure=failure,
            usage=sum((step.usage for step in steps), Usage()),
            started_at=steps[0].started_at if steps else time.time(),
        )
        if keep:
            await self._recorder.finish(failed)
            await self._forget(task, sample, attempt)
        return failed


def _boundary(error: LamarckError) -> Literal["model", "environment", "sandbox", "defect"]:
    if isinstance(error, ModelError):
        return "model"
    if isinstance(error, EnvironmentFailure):
        return "environment"
    return "sandbox" if isinstance(error, SandboxError) else "defect"
