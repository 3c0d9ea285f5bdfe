"""Putting the parts of a run together; the only place that knows all of them."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from ..agent.checkpoints import open_checkpoints
from ..agent.distiller import Distiller, LLMDistiller, ScriptDistiller, llm_same
from ..agent.events import Event, RunResult
from ..agent.expert import ExpertLLM
from ..agent.hooks import Hooks
from ..agent.hosting import WorldPool
from ..agent.llms import VLLM, build_llm, same_model
from ..agent.prompting import Prompts
from ..agent.reflexion import Reflexion
from ..agent.remember import Remembering
from ..agent.replay import Replay
from ..agent.runner import Runner
from ..agent.tasksets import load_taskset, maker, open_pool
from ..agent.vllm import VllmLLM
from ..config import RunConfig, TasksetConfig
from ..config_memory import MemoryConfig
from ..core import Release, Sampling, Task
from ..errors import ConfigError
from ..evals.demonstrations import demonstrate
from ..evals.figures.evaluation import Described, Evaluation, record
from ..evals.figures.pick import blind_answer
from ..memory.bank import Memory
from ..rundir import RunDirectory
from ..seams import LLM, Taskset
from ..store import Store
from ..wheels import Notify
from .release_play import played, shelved
from .wire_made import Making
from .wire_release import release_of
from .wire_tools import budget_of, open_tools
from .wire_verify import verifying, worlds


@dataclass
class Wired:
    """A runner ready to go, and the tasks it is to play."""

    runner: Runner
    tasks: Sequence[Task]
    release: Release
    replay: Replay


@asynccontextmanager
async def wired(
    config: RunConfig,
    directory: RunDirectory,
    store: Store,
    on_event: Callable[[Event], None],
    notify: Notify | None = None,
    described: Described | None = None,
    llm: LLM | None = None,
) -> AsyncIterator[Wired]:
    """Open everything a run needs, and close it again; a model that is handed in is left open.

    Raises:
        LamarckError: something is missing or wrong; nothing was played then.
    """
    taskset = load_taskset(config.taskset.name, config.taskset.options)
    tasks = select(taskset, config.taskset)
    async with AsyncExitStack() as stack:
        if llm is None:
            llm = _model(config, taskset, tasks, notify, directory.path / "logs")
            stack.push_async_callback(llm.close)
        if isinstance(llm, VllmLLM):
            await llm.start()  # a server that does not come up is said once, not in each episode
        prompts = Prompts(config.solver.prompts)
        memory = open_memory(config.memory, directory.path, notify)
        hooks = await remembering(config, store, llm, prompts, memory, stack) if memory is not None else Hooks()
        pool = _pool(config, taskset)
        stack.push_async_callback(pool.close)
        pool, shown = worlds(config, directory.path, pool, tasks, stack)
        replay = Replay(config, llm, pool, prompts)
        home = memory.store if memory is not None else store
        making = Making(home, directory.run_id, frozen=config.memory.mode == "read", replay=replay.solved)
        making = shelved(config, making, memory, store)
        tools = await open_tools(config, stack, making)
        hooks = replace(hooks, tools=tools, budget=budget_of(config), submit="submit" in config.tools.builtin)
        if config.repair.by == "reflexion":
            hooks = _reflecting(config, store, llm, prompts).hooks(hooks)
        hooks = await verifying(config, store, llm, tools, hooks, stack, directory.path)
        release = played(config, release_of(config, llm, prompts, memory, directory.path), memory)
        store.put_release(release)
        evaluation = Evaluation.of(config, taskset, tasks, release)
        record(directory.path, evaluation)
        if described is not None:
            described(evaluation)
        store.put_run(directory.run_id, config=config.model_dump(mode="json"), release_id=release.id)
        saver = stack.enter_context(open_checkpoints(directory.checkpoints_path))
        runner = Runner(
            run_id=directory.run_id,
            config=config,
            store=store,
            llm=llm,
            worlds=pool,
            saver=saver,
            hooks=hooks,
            prompts=prompts,
            release_id=release.id,
            answer_of=blind_answer,
            on_event=on_event,
        )
        yield Wired(runner, shown, release, replay)


def _model(config: RunConfig, taskset: Taskset, tasks: Sequence[Task], notify: Notify | None, logs: Path) -> LLM:
    if config.model.name == "expert":
        return expert(taskset, tasks)
    return build_llm(config.model, notify, logs, at_once=config.collect.concurrency)


def _pool(config: RunConfig, taskset: Taskset) -> WorldPool:
    return open_pool(
        taskset,
        make=maker(config.taskset.name, config.taskset.options),
        # A replay takes a world beside that of the episode it belongs to.
        size=config.collect.concurrency * (2 if config.tools.make else 1),
        timeout_s=config.collect.environment_timeout_s,
    )


def _reflecting(config: RunConfig, store: Store, llm: LLM, prompts: Prompts) -> Reflexion:
    model = config.model
    sampling = Sampling(temperature=model.temperature, top_p=model.top_p, seed=config.collect.seed)
    return Reflexion(llm, prompts, store, config.repair, sampling)


async def remembering(
    config: RunConfig, store: Store, llm: LLM, prompts: Prompts, memory: Memory, stack: AsyncExitStack
) -> Hooks:
    """Return the hooks of a memory, which is closed with `stack`.

    Raises:
        LamarckError: it cannot be used.
    """
    # In a thread: closing waits for others who use the memory, and those may wait for this loop.
    stack.push_async_callback(asyncio.to_thread, memory.close)
    # Weights that cannot be had and keys that are missing are said before the first episode, not in each.
    await asyncio.to_thread(memory.embedder.embed, ["ready?"])
    distiller = await build_distiller(config, llm, prompts, memory, stack)
    mode = config.memory.mode
    remembering = Remembering(memory, prompts, store, distiller=distiller, learning=mode != "read")
    return remembering.hooks(learn=mode == "learn")


def open_memory(config: MemoryConfig, folder: Path, notify: Notify | None) -> Memory | None:
    """Return the memory of a run, or None where it has none; a frozen one must be there already.

    Raises:
        ConfigError, StoreError, ModelError: it cannot be opened.
    """
    if config.mode == "off":
        return None
    return Memory.open(config, folder, create=config.mode == "learn", notify=notify)


async def build_distiller(
    config: RunConfig, llm: LLM, prompts: Prompts, memory: Memory, stack: AsyncExitStack
) -> Distiller | None:
    """Return what makes items of episodes, with a model of its own where the configuration names one."""
    distil = config.memory.distil
    if config.memory.mode != "learn" or distil.by == "none":
        return None
    if distil.by == "script":
        return ScriptDistiller(distil)
    model = llm
    if distil.model is not None and not _shared(distil.model, config.model.name):
        other = {"name": distil.model} | ({"adapter": None} if distil.model != config.model.name else {})
        model = build_llm(config.model.model_copy(update=other))
        stack.push_async_callback(model.close)
    hide_end = config.verify.withhold and config.verify.hide_end
    distiller = LLMDistiller(model, prompts, distil, hide_end=hide_end)
    memory.same = llm_same(model, prompts, distiller.count)
    return distiller


def _shared(wanted: str, playing: str) -> bool:
    """Say whether the model that plays is the one that is wanted: a second one would start a server of its own."""
    if wanted == playing:
        return not wanted.startswith("scripted:")  # each reads its script from the beginning
    return wanted.startswith(VLLM) and playing.startswith(VLLM) and same_model(wanted, playing)


async def collect(
    config: RunConfig,
    directory: RunDirectory,
    store: Store,
    on_event: Callable[[Event], None],
    notify: Notify | None = None,
    described: Described | None = None,
    llm: LLM | None = None,
    only: Collection[str] | None = None,
    enough: Callable[[], bool] = lambda: False,
) -> RunResult:
    """Play all tasks of a run, or those with these ids, or until there is enough; Ctrl-C stops it cleanly."""
    async with wired(config, directory, store, on_event, notify, described, llm) as parts:
        parts.runner.enough = enough
        loop = asyncio.get_running_loop()
        with suppress(NotImplementedError):  # Windows loops take no signal handlers
            loop.add_signal_handler(signal.SIGINT, parts.runner.interrupt)
            loop.add_signal_handler(signal.SIGTERM, parts.runner.interrupt)
        result = await parts.runner.run([task for task in parts.tasks if only is None or task.id in only])
        result.replays = parts.replay.usage
    # A Ctrl-C that came while all of that was closed is not lost.
    result.interrupted = parts.runner.interrupted
    return result


def expert(taskset: Taskset, tasks: Sequence[Task]) -> LLM:
    """Return the player that demonstrates how each task is solved.

    Raises:
        ConfigError: (when a task is played) nothing says how.
    """
    known = {task.id: task for task in tasks}

    def plan(session: str) -> Sequence[str]:
        task, sample = session.partition("/")[2].rsplit("/", 1)
        return demonstrate(taskset, known[task], int(sample))

    return ExpertLLM(plan)


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
