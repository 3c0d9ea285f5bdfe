"""Collecting episodes: many at once, each exactly once, infrastructure failures apart from task failures."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field

from ..config import RunConfig
from ..core import Task
from ..seams import LLM
from ..store import Store
from .checkpoints import EpisodeSaver
from .events import Event, RunResult
from .hooks import Hooks
from .hosting import WorldPool
from .plan import Job, Plan, plan
from .prompting import Prompts
from .rounds import AnswerOf, Rounds
from .sample_runner import SampleRunner


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
        self._workers: list[asyncio.Task[None]] = []
        self._interrupted = False
        self._failures_in_a_row = 0
        if self.prompts is None:
            self.prompts = Prompts(self.config.solver.prompts)
        self._samples = SampleRunner(
            run_id=self.run_id,
            config=self.config,
            store=self.store,
            llm=self.llm,
            worlds=self.worlds,
            saver=self.saver,
            hooks=self.hooks,
            prompts=self.prompts,
            release_id=self.release_id,
            on_event=self.on_event,
        )

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
                queue = [job for job in jobs if (job[0].id, job[1]) in planned.attempts]
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

    async def _round(self, queue: list[Job], planned: Plan, result: RunResult) -> None:
        """Play these samples, as many at once as the configuration says."""
        # From the end: first what was begun, then the others, both in order.
        queue.sort(key=lambda job: (job[0].id, job[1]) not in planned.begun)
        queue.reverse()
        # Told to stop before there was anything to stop: then nothing is begun.
        size = 0 if self._interrupted else min(self.config.collect.concurrency, len(queue))
        self._workers = [asyncio.create_task(self._work(queue, planned, result)) for _ in range(size)]
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

    async def _work(self, queue: list[Job], planned: Plan, result: RunResult) -> None:
        while queue and not result.stopped_by:
            task, sample = queue[-1]
            if (task.id, sample) not in planned.begun and self.enough():
                break
            queue.pop()
            self.on_event(Event("started", task, sample))
            if await self._samples.run(task, sample, planned.attempts[task.id, sample]):
                result.finished += 1
                self._failures_in_a_row = 0
                continue
            result.failed += 1
            self._failures_in_a_row += 1
            if self._failures_in_a_row >= self.config.collect.max_failures:
                result.stopped_by = f"{self._failures_in_a_row} infrastructure failures in a row"
