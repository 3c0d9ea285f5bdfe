"""`lamarck demo`: the embedded model evolves on generated household games, on this machine alone."""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from ..config_evolve import EvolveConfig
from ..errors import ConfigError
from . import options as o
from .tables import console, print_json

if TYPE_CHECKING:
    from ..agent.evolution.generation import Generation
    from ..evals.figures.compare import Comparison, Side
    from .evolving.home import Home

ARMS = {"memory": (True, False), "weights": (False, True), "both": (True, True)}
"""What an arm may acquire: memory, weights."""
BOTH = "memory,both"
TYPES = ("look_at_obj_in_light", "pick_and_place_simple")
"""Untrained, the model solves some of these, so that there is something to learn from; of the longer errands it solves
none."""
TEMPERATURE = 0.3
"""At which releases play. At 0 the untrained model goes in circles; at 1, which is right for trying out, a choice among
mean log-probabilities is close to a guess for any policy."""


def demo(
    generations: Annotated[int, typer.Option("--generations", "-g", min=1, help="Generations of each arm.")] = 2,
    games: Annotated[int, typer.Option(min=1, help="Games that are played and learned from in each generation.")] = 24,
    held_out: Annotated[int, typer.Option(min=1, help="Games that nothing learns from, to judge by.")] = 24,
    size: Annotated[str, typer.Option(help="Size of the household games: nano, tiny, small, room or full.")] = "nano",
    max_steps: Annotated[int, typer.Option(min=1, help="Steps per game.")] = 12,
    arms: Annotated[str, typer.Option(help="What may be acquired: memory, weights, both; several with commas.")] = (
        BOTH
    ),
    model: Annotated[str, typer.Option(help="A model that can be trained here.")] = "embedded",
    seed: Annotated[int, typer.Option(help="Seed of games, choices and training.")] = 0,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Folder of the evolutions.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the demo in --out, as it was begun.")] = False,
    as_json: o.Json = False,
    quiet: o.Quiet = False,
) -> None:
    """Let the embedded model evolve on household games: memory alone, and memory and weights; no key, no GPU.

    Each arm plays, learns and is judged on held-out games, generation after generation; at the end generation 0 stands
    beside the last on the same games.
    """
    from .evolve import check, run
    from .evolving.home import Home

    named = [name.strip() for name in arms.split(",") if name.strip()]
    unknown = [name for name in named if name not in ARMS]
    if unknown or not named:
        which = ", ".join(unknown) or "at all"
        raise ConfigError(f"--arms names no arm {which}; there are: {', '.join(ARMS)}.")
    if resume and out is None:
        raise ConfigError("--out is missing: which demo is to go on?", hint="Give --out FOLDER.")
    folder = out or Path("runs") / f"{time.strftime('%Y%m%d-%H%M%S')}-demo"
    homes = {name: Home(folder / name) for name in named}
    if resume and not any(home.exists() for home in homes.values()):
        raise ConfigError(f"there is no demo in {folder} to resume.", hint="Leave out --resume.")
    settings = _settings(generations, games, held_out, size, max_steps, model, seed)
    begun = next((home.load() for home in homes.values() if resume and home.exists()), None)
    base = begun if begun is not None else EvolveConfig.load(None, settings)
    configs = {name: base.model_copy(update={"learn": base.learn.model_copy(update=_may(name))}) for name in named}
    for name, home in homes.items():
        check(configs[name], "--arms memory")
        if home.exists() and not resume:
            raise ConfigError(f"{home.path} already holds an evolution.", hint="Add --resume, or another --out.")
    began = time.monotonic()
    told = Console(stderr=True, quiet=quiet or as_json)
    for name, home in homes.items():
        told.print(f"{name}: {_words(name)} may be acquired", style="bold", markup=False)
        share(homes[named[0]], home, played=ARMS[name][0] == ARMS[named[0]][0])
        again = f"lamarck demo --resume --out {folder}" + ("" if arms == BOTH else f" --arms {arms}")
        run(configs[name], home, resume=home.exists(), quiet=quiet or as_json, again=again)
    compared = outcome(homes)
    if as_json:
        print_json(_plain(homes, compared, time.monotonic() - began))
        return
    _print(homes, compared, time.monotonic() - began, str(base.run.taskset.options["size"]))


def share(first: Home, other: Home, *, played: bool) -> None:
    """Let an arm take over what another one has played already and it would play alike: generation 0 on the held-out
    games and, with `played`, the games that generation 1 learns from."""
    if first.path == other.path or other.exists() or not first.kept():
        return
    from .evolving.collecting import COLLECT
    from .evolving.playing import PLAYED
    from .evolving.probing import RESULTS

    root = first.evaluation(first.kept()[0].parent, "")
    runs = [*root.glob("*"), *([first.generation(1) / COLLECT] if played else [])]
    for place in runs:
        there = other.path / place.relative_to(first.path)
        # A run that is not whole would have to go on, and that it can only where it was begun.
        if (place / PLAYED).exists():
            shutil.copytree(place, there, dirs_exist_ok=True)
        elif place.name == RESULTS:
            there.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(place, there)


def outcome(homes: dict[str, Home]) -> Comparison | None:
    """Compare generation 0 with what each arm came to, on the held-out games that both have played."""
    from ..evals.figures.compare import compare

    sides: list[Side] = []
    for name, home in homes.items():
        records = home.kept()
        last = last_of(records)
        if last is None or last.candidate is None:
            continue
        if not sides:  # an arm that had nothing judged has not played generation 0 either
            sides.append(_side(home, records[0].parent, "generation 0"))
        decided = "promoted" if last.decision == "promote" else "not promoted"
        sides.append(_side(home, last.candidate, f"{name} in generation {last.number} ({decided})"))
    return compare(sides) if len(sides) > 1 else None


def last_of(records: tuple[Generation, ...]) -> Generation | None:
    """Return the last generation that was judged and not refused; where all were refused, the last of them."""
    judged = [one for one in records if "gate" in one.figures]
    kept = [one for one in judged if one.decision != "refuse"]
    return (kept or judged)[-1] if judged else None


def _settings(
    generations: int, games: int, held_out: int, size: str, max_steps: int, model: str, seed: int
) -> dict[str, Any]:
    return {
        "generations": generations,
        "grow": "latest",
        "propose.tasks": games,
        "propose.seed": seed,
        "learn.least": 4,
        "learn.temperature": 1.0,
        "held_out.limit": held_out,
        "held_out.chunk": held_out,
        "run.taskset.name": "household",
        "run.taskset.seed": seed,
        "run.taskset.options": {"size": size, "types": list(TYPES), "games": max(games * generations, held_out)},
        "run.model.name": model,
        "run.model.temperature": TEMPERATURE,
        "run.solver.max_steps": max_steps,
        "run.collect.seed": seed,
        "run.collect.concurrency": 4,
        "train.seed": seed,
        "train.optimizer.learning_rate": 1e-3,
        "train.optimizer.max_steps": 20,
        "train.optimizer.batch": 2,
        "train.optimizer.accumulate": 1,
        "train.report_to": [],
    }


def _may(arm: str) -> dict[str, Any]:
    memory, weights = ARMS[arm]
    return {"memory": memory, "weights": weights}


def _words(arm: str) -> str:
    return " and ".join(name for name, on in zip(("memory", "weights"), ARMS[arm], strict=True) if on)


def _side(home: Home, release_id: str, name: str) -> Side:
    from ..evals.figures.compare import Side
    from ..evals.figures.outcomes import Sample
    from ..evals.figures.played import Played
    from ..evals.figures.summary import infrastructure
    from ..rundir import RunDirectory

    samples: list[Sample] = []
    for chunk in sorted(home.evaluation(release_id, "").glob("held-out-*")):
        samples += Played.read(RunDirectory(chunk)).samples
    return Side(name, tuple(samples), infrastructure(samples, len(samples)))


def _plain(homes: dict[str, Home], compared: Comparison | None, seconds: float) -> dict[str, Any]:
    return {
        "seconds": round(seconds, 1),
        "arms": {
            name: {"home": str(home.path), "generations": [one.model_dump(mode="json") for one in home.kept()]}
            for name, home in homes.items()
        },
        "compared": compared.as_dict() if compared is not None else None,
    }


def _print(homes: dict[str, Home], compared: Comparison | None, seconds: float, size: str) -> None:
    from .evolving.words import came_to, clock, items, rate

    out = console()
    table = Table(
        "arm", "gen", "in play", "items", "trained on", "held out [95 %]", "decision",
        title=f"household {size}: what each generation came to (in play at temperature 1, held out at {TEMPERATURE})",
        title_justify="left", title_style="bold",
    )  # fmt: skip
    for name, home in homes.items():
        records = home.kept()
        first: dict[str, Any] = next((one.figures["gate"] for one in records if "gate" in one.figures), {})
        table.add_row(name, "0", "", "", "", rate(first["incumbent"]) if first else "", "", style="dim")
        for one in records:
            trained: dict[str, Any] = one.figures.get("train", {})
            gated: dict[str, Any] = one.figures.get("gate", {})
            table.add_row(
                "",
                str(one.number),
                came_to(one.played),
                items(one),
                f"{trained['rows']} attempts" if "adapter" in trained else "",
                rate(gated["candidate"]) if gated else "",
                one.decision or "",
            )
    out.print(table)
    if compared is not None:
        for pair in compared.pairs:
            out.print(pair.sentence(), style="bold", markup=False)
    else:
        out.print("No generation was judged, so there is nothing to compare.", style="bold", markup=False)
    out.print(
        f"It took {clock(seconds)}. Look closer with: lamarck report {list(homes.values())[-1].path}", markup=False
    )
