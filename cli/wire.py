"""Putting the parts of a run together; the only place that knows all of them."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

from ..agent.checkpoints import open_checkpoints
from ..agent.llms import build_llm
from ..agent.prompting import Prompts
from ..agent.runner import Event, Runner, RunResult
from ..agent.tasksets import load_taskset, maker, open_pool
from ..config import RunConfig, TasksetConfig
from ..core import Release, Task
from ..errors import ConfigError
from ..rundir import RunDirectory
from ..seams import LLM, Taskset
from ..store import Store


@dataclass
class Wired:
    """A runner ready to go, and the tasks it is to play."""

    runner: Runner
    tasks: Sequence[Task]
    release: Release


@asynccontextmanager
async def wired(
    config: RunConfig, directory: RunDirectory, store: Store, on_event: Callable[[Event], None]
) -> AsyncIterator[Wired]:
    """Open everything a run needs, and close it again.

    Raises:
        LamarckError: something is missing or wrong; nothing was played then.
    """
    taskset = load_taskset(config.taskset.name, config.taskset.options)
    tasks = select(taskset, config.taskset)
    llm = build_llm(config.model)
    try:
        prompts = Prompts(config.solver.prompts)
        release = release_of(config, llm, prompts)
        store.put_release(release)
        store.put_run(directory.run_id, config=config.model_dump(mode="json"), release_id=release.id)
        pool = open_pool(
            taskset,
            make=maker(config.taskset.name, config.taskset.options),
            size=config.collect.concurrency,
            timeout_s=config.collect.environment_timeout_s,
        )
        try:
            with open_checkpoints(directory.checkpoints_path) as saver:
                runner = Runner(
                    run_id=directory.run_id,
                    config=config,
                    store=store,
                    llm=llm,
                    worlds=pool,
                    saver=saver,
                    prompts=prompts,
                    release_id=release.id,
                    on_event=on_event,
                )
                yield Wired(runner, tasks, release)
        finally:
            await pool.close()
    finally:
        await llm.close()


async def collect(
    config: RunConfig, directory: RunDirectory, store: Store, on_event: Callable[[Event], None]
) -> RunResult:
    """Play all tasks of a run; Ctrl-C stops it cleanly."""
    async with wired(config, directory, store, on_event) as parts:
        loop = asyncio.get_running_loop()
        with suppress(NotImplementedError):  # Windows loops take no signal handlers
            loop.add_signal_handler(signal.SIGINT, parts.runner.interrupt)
            loop.add_signal_handler(signal.SIGTERM, parts.runner.interrupt)
        return await parts.runner.run(parts.tasks)


def select(taskset: Taskset, config: TasksetConfig) -> Sequence[Task]:
    """Return the tasks that the configuration names.

    Raises:
        ConfigError: an id or the split does not exist, or the split is empty.
    """
    if not config.ids:
        tasks = taskset.tasks(config.split, seed=config.seed, limit=config.limit)
        if not tasks:
            raise ConfigError(f"split {config.split} of taskset {config.name} has no tasks.")
        return tasks
    known = {task.id: task for task in taskset.tasks(config.split, seed=config.seed)}
    unknown = [ident for ident in config.ids if ident not in known]
    if unknown:
        raise ConfigError(f"taskset {config.name}, split {config.split} has no task {unknown[0]!r}.")
    return [known[ident] for ident in config.ids]


def release_of(config: RunConfig, llm: LLM, prompts: Prompts) -> Release:
    """Return the release that this configuration amounts to before anything was learned."""
    settings = config.solver.model_dump(mode="json", exclude={"prompts"})
    settings |= {"temperature": config.model.temperature, "top_p": config.model.top_p}
    return Release.of(
        base_model=llm.name, prompts=prompts.hashes(), settings=settings, created_at=round(time.time(), 3)
    )
