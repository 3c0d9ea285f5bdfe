"""`lamarck demo`: the embedded model plays household games, with random choice beside it."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from ..config import CollectConfig, ModelConfig, RunConfig, SolverConfig, TasksetConfig
from ..evals.metrics import Tally
from ..rundir import RunDirectory
from . import options as o
from .evaluate import Report
from .play import play
from .tables import console, print_json, results_table


def demo(
    games: Annotated[int, typer.Option(help="Games that each of the two plays.")] = 24,
    size: Annotated[str, typer.Option(help="Size of the household games.")] = "tiny",
    max_steps: Annotated[int, typer.Option(help="Steps per game.")] = 20,
    seed: Annotated[int, typer.Option(help="Seed of the games and of random choice.")] = 0,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Folder for the two runs.")] = None,
    as_json: o.Json = False,
) -> None:
    """Let the embedded model play household games on this machine, no key and no GPU needed.

    The model chooses among the admissible actions; a player that chooses at random plays the same games.
    """
    folder = out or Path("runs") / f"{time.strftime('%Y%m%d-%H%M%S')}-demo"
    reports: dict[str, Report] = {}
    for model in ("random", "embedded"):
        config = RunConfig(
            taskset=TasksetConfig(
                name="household", split="valid_seen", limit=games, seed=seed, options={"size": size, "games": games}
            ),
            model=ModelConfig(name=model),
            solver=SolverConfig(max_steps=max_steps),
            collect=CollectConfig(seed=seed),
        )
        directory = RunDirectory(folder / model)
        play(config, directory, resume=False, quiet=as_json)
        reports[model] = Report.of(config, directory)
    if as_json:
        print_json({name: report.as_dict() for name, report in reports.items()})
        return
    out_console = console()
    for name, report in reports.items():
        out_console.print(results_table(f"{name}: household {size}", {**report.categories, "all": report.total}))
    out_console.print(verdict(reports["embedded"].total, reports["random"].total), markup=False)
    out_console.print(f"Read a game with: lamarck show {folder / 'embedded'}", style="dim", markup=False)


def verdict(model: Tally, chance: Tally) -> str:
    """Say in one sentence what was seen, without claiming more than the intervals allow."""
    low, high = model.success.interval
    chance_low, chance_high = chance.success.interval
    apart = "the 95 % intervals are apart" if low > chance_high or high < chance_low else "the 95 % intervals overlap"
    return (
        f"The embedded model solved {model.successes} of {model.episodes} games, "
        f"random choice {chance.successes} of {chance.episodes}; {apart}."
    )
