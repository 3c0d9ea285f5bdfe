"""`lamarck bench recall`: putting the comparison together, and its tables."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from rich.table import Table

from ..agent.llms import build_llm
from ..agent.tasksets import load_taskset
from ..config import RunConfig
from ..evals.recall_compare import Comparison, compare
from .tables import number


def bench_recall(
    config: RunConfig,
    *,
    splits: tuple[str, str],
    limits: tuple[int | None, int | None],
    epochs: int,
    seeds: Sequence[int],
    models: tuple[str, str],
    progress: Callable[[str, int, int], None] | None = None,
) -> dict[str, Any]:
    """Load games and models and compare the ways to remember.

    Raises:
        LamarckError: something is missing, or a game could not be played.
    """
    taskset = load_taskset(config.taskset.name, config.taskset.options)
    train, test = (
        taskset.tasks(split, seed=config.taskset.seed, limit=limit) for split, limit in zip(splits, limits, strict=True)
    )

    async def run() -> dict[str, Any]:
        llms = {name: build_llm(config.model.model_copy(update={"name": name})) for name in dict.fromkeys(models)}
        try:
            what = Comparison(
                taskset,
                train,
                test,
                learner=llms[models[0]],
                player=llms[models[1]],
                memory=config.memory,
                epochs=epochs,
                max_steps=config.solver.max_steps,
                seeds=tuple(seeds),
            )
            return await compare(what, progress=progress)
        finally:
            for llm in llms.values():
                await llm.close()

    return {"taskset": config.taskset.name, "train": splits[0], "test": splits[1], **asyncio.run(run())}


def recall_tables(figures: dict[str, Any]) -> list[Table]:
    """Return the tables of a comparison: success per arm, and arms against each other."""
    title = (
        f"{figures['taskset']}: {figures['learner']} learned on {figures['train_games']} {figures['train']} games, "
        f"{figures['player']} played {figures['test_games']} {figures['test']} games, seeds {figures['seeds']}"
    )
    arms = Table("memory", "games", "solved", "success [95 % Wilson]", "steps", "per seed", title=title)
    for arm, row in figures["arms"].items():
        low, high = row["interval95"]
        rate = f"{100 * row['success']:.1f} % [{100 * low:.1f}, {100 * high:.1f}]"
        per_seed = " ".join(f"{value:.3f}" for value in row["per_seed"])
        arms.add_row(arm, str(row["games"]), str(row["solved"]), rate, number(row["steps"]), per_seed)
    pairs = Table("from", "to", "gained", "lost", "difference", "p (sign flips by game)")
    for pair in figures["pairs"]:
        difference = f"{100 * pair['difference']:+.1f} points"
        counts = (str(pair["gained"]), str(pair["lost"]))
        pairs.add_row(pair["from"], pair["to"], *counts, difference, f"{pair['p']:.4f}")
    return [arms, pairs]
