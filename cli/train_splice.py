"""`samples.splice`: failed attempts of a run, spliced with solved ones, as attempts that are imitated like others."""

from __future__ import annotations

import asyncio
import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from ..agent.hosting import World, WorldPool
from ..agent.prompting import Prompts
from ..agent.tasksets import load_taskset, maker, open_pool
from ..agent.verifiers.splicing import error_in, revision, shared, splice
from ..config import RunConfig
from ..config_training import TrainConfig
from ..core import Trajectory, content_id
from ..errors import ConfigError, EnvironmentFailure, TrainingError, boundary
from ..roles import SOLVER, role_of
from ..rundir import RunDirectory
from ..store_io import read_trajectory
from ..training.sources import Sources, kind_of, load_sources
from ..whole import read_records, write_whole

Notify = Callable[[str], None]
Pairs = list[tuple[Trajectory, list[Trajectory]]]
TRIES = 4
"""Solved attempts that a failed one is spliced with, one after the other, until one holds."""


def with_splices(config: TrainConfig, sources: Sources, notify: Notify, file: Path | None = None) -> Sources:
    """Return solved attempts with what failed ones and they make together.

    Only attempts of runs are spliced, whose worlds can be opened again: what holds is found out there. A world may be
    too slow now and then, so another time it could be others: what was made of the same attempts is kept.

    Args:
        config: of kind sft, by the environment's word.
        sources: the solved attempts of `config.stores`.
        notify: is told how many there are.
        file: where they are kept; without one they are made each time.

    Raises:
        ConfigError: of another kind, or by another word; a run's worlds cannot be had.
        TrainingError, StoreError: the failed attempts cannot be read, or the splices not written.
    """
    if config.kind != "sft" or config.samples.outcome != "environment":
        raise ConfigError(
            f"samples.splice is set, with kind {config.kind} and outcome {config.samples.outcome}: it makes attempts "
            "to imitate, and asks worlds whether they end well.",
            hint="Leave it out, or take kind sft and outcome environment.",
        )
    # Another kind, so that failed attempts are read as well.
    both = load_sources(config.model_copy(update={"kind": "grpo"}))
    runs = {RunDirectory(place).run_id: RunDirectory(place) for place in config.stores if kind_of(place) == "run"}
    solving = [one for one in both.trajectories if role_of(one) == SOLVER]
    pairs = {directory: _pairs([one for one in solving if one.run_id == run_id]) for run_id, directory in runs.items()}
    name = _name(pairs.values(), config.seed)
    made = _kept(file, name) if file is not None else None
    if made is None:
        made = _made(pairs, config.seed, notify)
        if file is not None:
            _keep(file, name, made)
    else:
        notify(f"{len(made)} splices were made before, and are read from {file}")
    return replace(sources, trajectories=(*sources.trajectories, *made))


def _made(found: Mapping[RunDirectory, Pairs], seed: int, notify: Notify) -> list[Trajectory]:
    """Return the splices of the pairs of each run."""
    every = list[Trajectory]()
    for directory, pairs in found.items():
        if not pairs:
            continue
        run = directory.load_config()
        if run.solver.protocol == "tools":
            notify(f"{directory.path} was played with calls of tools, which are not spliced")
            continue
        # In a thread of its own: an evolution trains while its loop runs.
        with ThreadPoolExecutor(1) as thread:
            made = thread.submit(asyncio.run, _spliced(run, pairs, seed)).result()
        notify(f"spliced {len(made)} of {len(pairs)} failed attempts that have a solved sibling, in {directory.path}")
        every += made
    return every


def _name(found: Iterable[Pairs], seed: int) -> str:
    """Return what splices are named by: of which attempts they are made, and the seed of their thoughts."""
    idents = [[[bad.id, *(one.id for one in good)] for bad, good in pairs] for pairs in found]
    return content_id("splices", seed, idents)


def _kept(file: Path, name: str) -> list[Trajectory] | None:
    """Return the splices of this name, or None where they were not made yet."""
    try:
        first, *lines = read_records(file)
        return [read_trajectory(line) for line in lines] if json.loads(first)["of"] == name else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _keep(file: Path, name: str, made: Sequence[Trajectory]) -> None:
    lines = [json.dumps({"of": name, "schema_version": 1}), *(one.model_dump_json() for one in made)]
    with boundary(TrainingError, f"cannot write {file}", OSError):
        write_whole(file, "".join(f"{line}\n" for line in lines))


def _pairs(attempts: Sequence[Trajectory]) -> Pairs:
    """Return each failed attempt with the solved ones at its task: those first that go the same way for longest."""
    by_task: defaultdict[str, list[Trajectory]] = defaultdict(list)
    for one in attempts:
        if not any(step.tool_calls or step.rounds for step in one.steps):
            by_task[one.task.id].append(one)
    found = []
    for group in by_task.values():
        solved = [one for one in group if one.success]
        for bad in (one for one in group if one.success is False and solved):
            near = sorted(solved, key=lambda good: (-shared(bad, good), len(good.steps), good.sample, good.attempt))
            found.append((bad, near[:TRIES]))
    return found


async def _spliced(run: RunConfig, pairs: Sequence[tuple[Trajectory, list[Trajectory]]], seed: int) -> list[Trajectory]:
    """Return what holds when it is carried out, at most one splice for each failed attempt."""
    taskset = load_taskset(run.taskset.name, run.taskset.options)
    prompts = Prompts(run.solver.prompts)
    pool: WorldPool = open_pool(
        taskset,
        make=maker(run.taskset.name, run.taskset.options),
        size=1,
        timeout_s=run.collect.environment_timeout_s,
    )
    found = []
    try:
        for bad, solved in pairs:
            for good in solved:
                try:
                    async with pool.lease() as world:
                        made = await _one(run, bad, good, world, prompts, seed)
                except EnvironmentFailure:
                    made = None  # a world that cannot be played again tells nothing of this one
                if made is not None:
                    found.append(made)
                    break
    finally:
        await pool.close()
    return found


async def _one(
    run: RunConfig, bad: Trajectory, good: Trajectory, world: World, prompts: Prompts, seed: int
) -> Trajectory | None:
    made = await splice(
        bad,
        good,
        error_in(bad, good, run.verify.gate.step_score),
        prompts=prompts,
        solver=run.solver,
        thought=revision(seed, bad.id, run.solver.prompts),
        world=world,
    )
    return made.trajectory if made is not None and made.holds else None
