"""Collecting episodes: many at once, each exactly once, infrastructure failures apart from task failures."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence, Set
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Literal

from langchain_core.runnables import RunnableConfig

from ..config import RunConfig
from ..core import Failure, Sampling, Task, Trajectory, Usage
from ..errors import ConfigError, EnvironmentFailure, LamarckError, ModelError, SandboxError, StoreError
from ..seams import LLM
from ..store import Store
from .checkpoints import EpisodeSaver
from .context import Attempt, EpisodeContext, group_name, new_state, session_name
from .ending import trajectory_id
from .episode import EpisodeGraph, build_episode_graph
from .events import Event, RunResult
from .hooks import Hooks
from .hosting import World, WorldPool
from .plan import Job, numbered, plan
from .prompting import Prompts
from .recorder import StoreRecorder
from .rounds import AnswerOf, Rounds

log = logging.getLogger("lamarck.run")

UNLIMITED = 1_000_000_000
"""LangGraph's recursion limit; the solver's own budgets end an episode."""


@dataclass
class Runner:
    """Plays tasks with one solver and stores the trajectories.

    Args:
        run_id: id of the run; episodes of one run are told apart by task and sample.
        config: the resolved configuration.
        store: where everything goes.
        llm: the model that decides.
        worlds: environments for the tasks.
        saver: LangGraph's checkpointer, or None to run without (an interrupted episode then starts from the
            steps that are in the store).
        hooks: recall, tools, verification, repair.
        release_id: what the agent inherited.
        answer_of: what an episode answered, for `collect.allocate = blend`.
        on_event: called on the event loop for everything that happens; must not block.
        enough: asked before an episode is begun; True begins no further one. What an earlier process has begun comes to
            its end all the same.
    """

    run_id: str
    config: RunConfig
    store: Store
    llm: LLM
    worlds: WorldPool
    saver: EpisodeSaver | None = None
    hooks: Hooks = field(default_factory=Hooks)
    prompts: Prompts | None = None
    release_id: str = ""
    answer_of: AnswerOf | None = None
    on_event: Callable[[Event], None] = lambda event: None
    enough: Callable[[], bool] = lambda: False

    def __post_init__(self) -> None:
        self._graph: EpisodeGraph = build_episode_graph(self.hooks, self.saver)
        self._recorder = StoreRecorder(self.store)
        self._workers: list[asyncio.Task[None]] = []
        self._interrupted = False
        self._failures_in_a_row = 0
        if self.prompts is None:
            self.prompts = Prompts(self.config.solver.prompts)

    async def run(self, tasks: Sequence[Task]) -> RunResult:
        """Play every task `collect.samples` times, or as many samples in all where those are allocated by answers.

        What is finished already and needs no repair is left alone.

        Raises:
            ConfigError, StoreError: nothing sensible can be done; running episodes are cancelled first.
        """
        rounds = Rounds(self.run_id, tasks, self.config.collect, self.store, self.answer_of)
        result = RunResult(total=rounds.budget, already=0)
        asked, started, told = 0, time.monotonic(), False
        async with aclosing(rounds()) as each:
            async for jobs in each:
                planned = await plan(self.run_id, jobs, self.store, self.hooks.repair)
                queue = [job for job in jobs if (job[0].id, job[1]) in planned]
                asked += len(jobs)
                result.already += len(jobs) - len(queue)
                # Rounds that an earlier process has played are gone through in silence.
                if queue and not told:
                    started, told = await self._begin(result), True
                await self._round(queue, planned, result)
                result.seconds = time.monotonic() - started
                result.unbegun += len(queue)
                if self._interrupted or result.stopped_by or queue:
                    break
            else:
                result.total, result.spared = asked, rounds.budget - asked
        if not told:
            await self._begin(result)
        result.interrupted = self._interrupted
        return result

    async def _begin(self, result: RunResult) -> float:
        """Say what is there already, learn from what was left, and return when playing begins."""
        self.on_event(Event("planned", total=result.total, done=result.already))
        await self._learn_what_was_left()
        return time.monotonic()

    async def _round(self, queue: list[Job], planned: dict[tuple[str, int], Attempt], result: RunResult) -> None:
        """Play these samples, as many at once as the configuration says."""
        begun = await self._begun(queue)
        # From the end: first what was begun, then the others, both in order.
        queue.sort(key=lambda job: (job[0].id, job[1]) not in begun)
        queue.reverse()
        # Told to stop before there was anything to stop: then nothing is begun.
        size = 0 if self._interrupted else min(self.config.collect.concurrency, len(queue))
        self._workers = [asyncio.create_task(self._work(queue, begun, planned, result)) for _ in range(size)]
        try:
            await asyncio.gather(*self._workers)
        except asyncio.CancelledError:
            if not self._interrupted:
                raise
        finally:
            for worker in self._workers:
                worker.cancel()
            await asyncio.gather(*self._workers, return_exceptions=True)

    @property
    def interrupted(self) -> bool:
        """Whether it was told to stop, be it while what it played with was closed."""
        return self._interrupted

    def interrupt(self) -> None:
        """Stop now. Unfinished episodes stay in the store and go on with the next run."""
        self._interrupted = True
        for worker in self._workers:
            worker.cancel()

    async def _learn_what_was_left(self) -> None:
        """Learn from attempts that were stored when an earlier process died before it could learn from them."""
        if self.hooks.learn is None:
            return
        headers = self.store.headers(run_id=self.run_id, failed=False)
        ids = await asyncio.to_thread(lambda: [header.id for header in headers])
        for ident in await self.hooks.learn.unlearned(ids):
            await self.hooks.learn.learn(await asyncio.to_thread(self.store.trajectory, ident))

    async def _begun(self, queue: Sequence[Job]) -> Set[tuple[str, int]]:
        """Return which samples an earlier process has begun: of these an attempt is open, failed or to be repaired."""
        if not queue:
            return frozenset()
        return {(row.task_id, row.sample) for row in await asyncio.to_thread(self.store.attempts, self.run_id)}

    async def _work(
        self,
        queue: list[Job],
        begun: Set[tuple[str, int]],
        planned: dict[tuple[str, int], Attempt],
        result: RunResult,
    ) -> None:
        while queue and not result.stopped_by:
            task, sample = queue[-1]
            if (task.id, sample) not in begun and self.enough():
                break
            queue.pop()
            self.on_event(Event("started", task, sample))
            if await self._episode(task, sample, planned[task.id, sample]):
                result.finished += 1
                self._failures_in_a_row = 0
                continue
            result.failed += 1
            self._failures_in_a_row += 1
            if self._failures_in_a_row >= self.config.collect.max_failures:
                result.stopped_by = f"{self._failures_in_a_row} infrastructure failures in a row"

    async def _episode(self, task: Task, sample: int, attempt: Attempt) -> bool:
        """Play one episode, starting anew after infrastructure failures; False when it was given up."""
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
        assert self.prompts is not None
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
