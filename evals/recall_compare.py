"""Three ways to remember, side by side on the same games: not at all, by similarity alone, by similarity and value.

Each arm learns by playing the training split on its own, is then frozen, and plays the test split. Task by task and
seed by seed all arms meet the same worlds with the same luck.
"""

from __future__ import annotations

import random
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from ..agent.distiller import ScriptDistiller
from ..agent.events import Event
from ..agent.hooks import Hooks
from ..agent.prompting import Prompts
from ..agent.remember import Remembering
from ..agent.runner import Runner
from ..agent.tasksets import open_pool
from ..config import CollectConfig, RunConfig, SolverConfig
from ..config_memory import MemoryConfig
from ..core import Task, Trajectory
from ..errors import LamarckError
from ..memory.bank import Memory
from ..memory.embedding import Embedder, build_embedder
from ..seams import LLM, Taskset
from ..store import Store
from .metrics import Tally, wilson

Arm = Literal["none", "similarity", "two_phase"]
ARMS: tuple[Arm, ...] = ("none", "similarity", "two_phase")


@dataclass(frozen=True)
class Comparison:
    """What to compare.

    Args:
        taskset: where the games come from.
        train: games to learn from.
        test: games to be measured on; never those of `train`.
        learner: who plays the training games.
        player: who plays the test games.
        memory: settings; each arm sets `recall.rank` itself.
        epochs: how often the training games are played.
        max_steps: steps per episode.
        seeds: one full repetition each.
    """

    taskset: Taskset
    train: Sequence[Task]
    test: Sequence[Task]
    learner: LLM
    player: LLM
    memory: MemoryConfig = field(default_factory=MemoryConfig)
    epochs: int = 1
    max_steps: int = 50
    seeds: Sequence[int] = (0, 1, 2)
    arms: Sequence[Arm] = ARMS


Progress = Callable[[str, int, int], None]


async def compare(what: Comparison, *, progress: Progress | None = None) -> dict[str, Any]:
    """Play everything and return figures per arm, and the paired differences between arms.

    Raises:
        LamarckError: a game could not be played for reasons of infrastructure.
    """
    if not what.train or not what.test or not what.seeds:
        raise LamarckError("there are no games to learn from, none to measure on, or no seeds.")
    overlap = {task.id for task in what.train} & {task.id for task in what.test}
    if overlap:
        raise LamarckError(f"task {sorted(overlap)[0]} is in both the training and the test games.")
    embedder = build_embedder(what.memory.embedding)
    won: dict[Arm, dict[tuple[int, str], bool]] = {arm: {} for arm in what.arms}
    tallies: dict[Arm, Tally] = {arm: Tally() for arm in what.arms}
    learned: dict[Arm, list[dict[str, float]]] = {arm: [] for arm in what.arms}
    by_category: dict[Arm, dict[str, list[bool]]] = {arm: {} for arm in what.arms}
    for seed in what.seeds:
        for arm in what.arms:
            with tempfile.TemporaryDirectory() as folder:
                played, figures = await _arm(what, arm, seed, Path(folder), embedder, progress)
            learned[arm].append(figures)
            for trajectory in played:
                won[arm][seed, trajectory.task.id] = bool(trajectory.success)
                tallies[arm].add(trajectory)
                by_category[arm].setdefault(trajectory.task.category, []).append(bool(trajectory.success))
    return {
        "train_games": len(what.train),
        "test_games": len(what.test),
        "epochs": what.epochs,
        "seeds": list(what.seeds),
        "learner": what.learner.name,
        "player": what.player.name,
        "arms": {
            arm: _figures(won[arm], tallies[arm], learned[arm], by_category[arm], what.seeds) for arm in what.arms
        },
        "pairs": [_paired(a, b, won) for n, a in enumerate(what.arms) for b in what.arms[n + 1 :]],
    }


async def _arm(
    what: Comparison, arm: Arm, seed: int, folder: Path, embedder: Embedder, progress: Progress | None
) -> tuple[list[Trajectory], dict[str, float]]:
    prompts = Prompts()
    with Store.open(folder / "store.db") as store:
        if arm == "none":
            label = f"seed {seed}, {arm}, test"
            return await _play(what, what.player, what.test, store, Hooks(), prompts, seed, label, progress), {}
        config = what.memory.model_copy(
            # In a folder of its own, whatever place the settings name.
            update={
                "mode": "learn",
                "path": None,
                "store": None,
                "index": None,
                "recall": what.memory.recall.model_copy(update={"rank": arm}),
            }
        )
        with Memory.open(config, folder / "memory", embedder=embedder) as memory:
            figures = {}
            distiller = ScriptDistiller(config.distil)
            for epoch in range(what.epochs):
                hooks = Remembering(memory, prompts, store, distiller=distiller).hooks()
                label = f"seed {seed}, {arm}, train {epoch + 1}/{what.epochs}"
                played = await _play(
                    what, what.learner, what.train, store, hooks, prompts, seed + 1000 * (epoch + 1), label, progress
                )
                figures[f"train_{epoch + 1}"] = sum(bool(t.success) for t in played) / len(played)
            memory.forget()
            figures["items"] = float(sum(memory.reading.counts(memory.lineage).values()))
            frozen = Remembering(memory, prompts, store, learning=False).hooks()
            label = f"seed {seed}, {arm}, test"
            found = await _play(what, what.player, what.test, store, frozen, prompts, seed, label, progress)
            figures["recalled"] = sum(bool(step.recalled) for t in found for step in t.steps[:1]) / len(found)
            return found, figures


async def _play(
    what: Comparison,
    llm: LLM,
    tasks: Sequence[Task],
    store: Store,
    hooks: Hooks,
    prompts: Prompts,
    seed: int,
    label: str,
    progress: Progress | None,
) -> list[Trajectory]:
    """Play tasks one after the other, so that what is learned in one is there in the next."""
    config = RunConfig(
        solver=SolverConfig(max_steps=what.max_steps), collect=CollectConfig(concurrency=1, seed=seed, samples=1)
    )
    done: list[Trajectory] = []

    def watch(event: Event) -> None:
        if event.kind == "finished" and event.trajectory is not None:
            done.append(event.trajectory)
            if progress is not None:
                progress(label, len(done), len(tasks))

    pool = open_pool(what.taskset, make=None, size=1, timeout_s=120.0)
    try:
        runner = Runner(label, config, store, llm, pool, hooks=hooks, prompts=prompts, on_event=watch)
        store.put_run(label, config={})
        result = await runner.run(tasks)
    finally:
        await pool.close()
    if result.failed or result.stopped_by or len(done) != len(tasks):
        raise LamarckError(f"{label}: {result.failed} games failed by infrastructure; a comparison would be unfair.")
    return done


def _figures(
    won: dict[tuple[int, str], bool],
    tally: Tally,
    learned: Sequence[dict[str, float]],
    by_category: dict[str, list[bool]],
    seeds: Sequence[int],
) -> dict[str, Any]:
    wins, n = sum(won.values()), len(won)
    per_seed = [[value for (s, _), value in won.items() if s == seed] for seed in seeds]
    return {
        "games": n,
        "solved": wins,
        "success": wins / n,
        "interval95": list(wilson(wins, n)),
        "per_seed": [round(sum(values) / len(values), 4) for values in per_seed],
        "steps": tally.mean_steps,
        "by_category": {name: sum(v) / len(v) for name, v in sorted(by_category.items())},
        "learned": list(learned),
    }


def _paired(one: Arm, other: Arm, won: dict[Arm, dict[tuple[int, str], bool]]) -> dict[str, Any]:
    """Compare two arms game by game: how often only one of them won, and how likely that is by chance.

    A game that is played with several seeds counts as one draw. The memories behind the seeds are not drawn anew for
    each game, so p says nothing about other memories: for that, look at the seeds one by one.
    """
    differences: dict[str, list[int]] = {}
    for seed, task in won[one]:
        change = int(won[other][seed, task]) - int(won[one][seed, task])
        differences.setdefault(task, []).append(change)
    gained = sum(won[other][key] and not won[one][key] for key in won[one])
    lost = sum(won[one][key] and not won[other][key] for key in won[one])
    return {
        "from": one,
        "to": other,
        "gained": gained,
        "lost": lost,
        "difference": (gained - lost) / len(won[one]),
        "p": flip_test([sum(values) for values in differences.values()]),
    }


def flip_test(changes: Sequence[int], *, draws: int = 20_000) -> float:
    """Return the two-sided p-value that changes have either sign with equal chance (sign-flip permutation test).

    Exact for up to 14 changes that are not zero, else by `draws` seeded draws, counting the observed one.
    """
    moved = [abs(change) for change in changes if change]
    observed = abs(sum(changes))
    if len(moved) <= 14:
        sums = [0]
        for size in moved:
            sums = [total + sign for total in sums for sign in (size, -size)]
        return sum(abs(total) >= observed for total in sums) / len(sums)
    generator = random.Random(0)
    hits = sum(abs(sum(generator.choice((size, -size)) for size in moved)) >= observed for _ in range(draws))
    return (hits + 1) / (draws + 1)
