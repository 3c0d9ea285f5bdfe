"""`lamarck bench`: figures side by side in one run, as ratios, since machines differ and are shared."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Annotated, Any

import typer
from rich.progress import Progress as RichProgress
from rich.table import Table

from ..config import RunConfig
from ..config_tree import parse_assignment
from . import options as o
from .tables import console, print_json

app = typer.Typer(help="Benchmarks, each side by side in one run.", no_args_is_help=True)


@app.command()
def engine(
    data: o.Data = None,
    split: Annotated[str, typer.Option(help="Split of the ALFWorld data.")] = "valid_seen",
    limit: Annotated[int, typer.Option(help="Games to play.")] = 12,
    stock: Annotated[bool, typer.Option("--stock/--no-stock", help="With stock TextWorld beside it.")] = True,
    as_json: o.Json = False,
) -> None:
    """Starts and steps per second of Lamarck's ALFWorld engine beside stock TextWorld."""
    from ..evals.bench_engine import bench_engine

    _print("engine", bench_engine(data=data, split=split, limit=limit, stock=stock), as_json)


@app.command()
def agent(
    steps: Annotated[int, typer.Option(help="Steps of the one long episode.")] = 2000, as_json: o.Json = False
) -> None:
    """Milliseconds the agent itself costs per step, beside a bare LangGraph loop."""
    from ..evals.bench_agent import bench_agent

    _print("agent", bench_agent(steps), as_json)


@app.command()
def model(
    decisions: Annotated[int, typer.Option(help="Decisions per way of scoring.")] = 12, as_json: o.Json = False
) -> None:
    """Decisions per second of the embedded model, with and without packed scoring."""
    from ..evals.bench_model import bench_model

    _print("model", bench_model(decisions=decisions), as_json)


@app.command()
def memory(
    items: Annotated[int, typer.Option(help="Items in the memory.")] = 1000,
    simulation: Annotated[bool, typer.Option("--simulation/--no-simulation", help="With planted notes.")] = True,
    seeds: Annotated[int, typer.Option(help="Repetitions of the simulation.")] = 5,
    as_json: o.Json = False,
) -> None:
    """Recall beside a plain Chroma query, writing and rebuilding; then whether recall learns what to trust."""
    from ..evals.bench_memory import bench_memory
    from ..evals.recall_simulation import simulation as simulate

    with bars(as_json) as progress:
        figures = bench_memory(items, progress=progress)
        table = simulate(range(seeds), progress=progress) if simulation else None
    if as_json:
        print_json({"bench": "memory", **figures, **({"simulation": table} if table else {})})
        return
    _print("memory", figures, as_json=False)
    if table:
        title = f"planted notes, {seeds} seeds: success with a frozen memory after 300 episodes"
        columns = ("success", "q_good", "q_harmful", "auc", "harmful_sunk", "per_seed")
        shown = Table("recall", *columns, title=title, title_justify="left")
        for name, row in table.items():
            shown.add_row(name, *(str(row[column]) for column in columns))
        console().print(shown)


@app.command()
def recall(
    taskset: o.TasksetName = "alfworld",
    data: o.Data = None,
    train: Annotated[str, typer.Option(help="Split to learn from.")] = "train",
    train_limit: Annotated[int | None, typer.Option(help="At most this many games to learn from.")] = None,
    test: Annotated[str, typer.Option(help="Split to measure on.")] = "valid_seen",
    test_limit: Annotated[int | None, typer.Option(help="At most this many games to measure on.")] = None,
    epochs: Annotated[int, typer.Option(help="How often the training games are played.")] = 1,
    seeds: Annotated[int, typer.Option(help="Full repetitions.")] = 3,
    learner: Annotated[str, typer.Option(help="Model that plays the training games.")] = "follower",
    player: Annotated[str, typer.Option(help="Model that plays the test games.")] = "follower",
    max_steps: Annotated[int, typer.Option(help="Steps per episode.")] = 50,
    settings: o.Set = None,
    as_json: o.Json = False,
) -> None:
    """Success on games without memory, by similarity only, and in two phases, on the same games and seeds."""
    from .bench_recall import bench_recall, recall_tables

    overrides = {"taskset.name": taskset, "taskset.options.data": data, "solver.max_steps": max_steps}
    pairs = dict(parse_assignment(text) for text in settings or [])
    config = RunConfig.load(None, {k: v for k, v in overrides.items() if v is not None} | pairs)
    with bars(as_json) as progress:
        figures = bench_recall(
            config,
            splits=(train, test),
            limits=(train_limit, test_limit),
            epochs=epochs,
            seeds=range(seeds),
            models=(learner, player),
            progress=progress,
        )
    if as_json:
        print_json({"bench": "recall", **figures})
        return
    for table in recall_tables(figures):
        console().print(table)


@app.command()
def sandbox(
    backend: Annotated[list[str] | None, typer.Option("--backend", "-b", help="Which; repeatable.")] = None,
    calls: Annotated[int, typer.Option(help="Calls in one session.")] = 10_000,
    ipykernel: Annotated[bool, typer.Option("--ipykernel/--no-ipykernel", help="With ipykernel beside it.")] = True,
    as_json: o.Json = False,
) -> None:
    """Milliseconds until a sandbox is ready and for a call, beside docker exec and ipykernel; 32 at once."""
    from ..evals.bench_sandbox import bench_sandbox

    with bars(as_json) as progress:
        found = bench_sandbox(tuple(backend or ("bubblewrap",)), calls=calls, ipykernel=ipykernel, progress=progress)
    if as_json:
        print_json({"bench": "sandbox", **found})
        return
    for name, figures in found.items():
        _print(f"sandbox ({name})", figures, as_json=False)


@app.command()
def webshop(
    data: Annotated[str | None, typer.Option(help="Folder of WebShop's files; a generated shop if not given.")] = None,
    products: Annotated[int, typer.Option(help="Products, at most.")] = 1000,
    queries: Annotated[int, typer.Option(help="Searches timed.")] = 200,
    episodes: Annotated[int, typer.Option(help="Episodes over which memory is watched.")] = 10_000,
    tantivy: Annotated[bool, typer.Option("--tantivy/--no-tantivy", help="With tantivy beside it.")] = True,
    as_json: o.Json = False,
) -> None:
    """Opening, steps and memory of the shop, and its search beside a plain tantivy query."""
    from ..evals.bench_webshop import bench_webshop

    with bars(as_json) as progress:
        figures = bench_webshop(
            data=data, products=products, queries=queries, episodes=episodes, tantivy=tantivy, progress=progress
        )
    _print("webshop", figures, as_json)


@app.command()
def worlds(
    data_alfworld: Annotated[str | None, typer.Option(help="ALFWorld data folder.")] = None,
    data_webshop: Annotated[str | None, typer.Option(help="Folder of WebShop's files.")] = None,
    only: Annotated[list[str] | None, typer.Option(help="Only this world. Repeatable.")] = None,
    seconds: Annotated[float, typer.Option(help="How long each figure is measured.")] = 3.0,
    as_json: o.Json = False,
) -> None:
    """Starts and steps per second and memory of each world that works here; the others say what they lack."""
    from ..evals.bench_worlds import bench_worlds

    named = {"data_alfworld": data_alfworld, "data_webshop": data_webshop}
    with bars(as_json) as progress:
        found = bench_worlds(**named, only=tuple(only or ()), seconds=seconds, progress=progress)
    if as_json:
        print_json({"bench": "worlds", "worlds": found})
        return
    columns = ("open_s", "starts_per_s", "steps_per_s", "memory_mib", "kib_per_open_episode", "kib_per_1000_episodes")
    table = Table("world", *columns, title="lamarck bench worlds", title_justify="left")
    for name, figures in found.items():
        if "absent" not in figures:
            table.add_row(name, *(f"{figures[column]:,}" for column in columns))
    console().print(table)
    for name, figures in found.items():
        if "absent" in figures:
            console().print(f"{name} is absent: {figures['absent']}", markup=False)


@app.command()
def train(
    model: Annotated[
        str | None, typer.Option(help="`embedded`, or a folder with a model; a small random one if not given.")
    ] = None,
    seconds: Annotated[float, typer.Option(help="How long is measured in all.")] = 90.0,
    batches: Annotated[int, typer.Option(min=1, help="Micro-batches of each form of rows.")] = 2,
    seed: Annotated[int, typer.Option(help="Seed of lengths, tokens and weights.")] = 0,
    as_json: o.Json = False,
) -> None:
    """Tokens per second of training on stored rows beside plain TRL GRPO, on the same tokens by turns."""
    from ..agent.llms import embedded_folder
    from ..training.base import require

    require()
    folder = None if model is None else embedded_folder(model)
    from ..training.bench import bench_train

    with bars(as_json) as progress:
        figures = bench_train(
            folder=None if folder is None else str(folder),
            seconds=seconds,
            batches=batches,
            seed=seed,
            progress=progress,
        )
    _print("train", figures, as_json)


@app.command()
def gate(
    generations: Annotated[int, typer.Option(min=1, help="Of each history.")] = 1000,
    seed: Annotated[int, typer.Option(help="Seed of tasks and luck.")] = 0,
    as_json: o.Json = False,
) -> None:
    """What the gate lets through, over simulated generations of candidates whose worth is known."""
    from ..evals.gate_simulation import bench_gate

    with bars(as_json) as progress:
        found = bench_gate(generations, seed=seed, progress=progress)
    if as_json:
        print_json({"bench": "gate", "histories": found})
        return
    columns = ("n", "promoted", "refused", "episodes", "looks", "McNemar once", "careless")
    for label, figures in found.items():
        wrong = f"{figures['wrong']} of {figures['promoted']} promotions wrong"
        table = Table("candidate", *columns, title=f"{label}: {wrong}", title_justify="left")
        for name, row in figures["kinds"].items():
            shares = [f"{100 * row[key]:.1f} %" for key in ("promoted", "refused")]
            means = [f"{row['episodes']:,.0f}", f"{row['looks']:.1f}"]
            tests = [f"{100 * row[key]:.1f} %" for key in ("mcnemar_once", "mcnemar_careless")]
            table.add_row(name, str(row["generations"]), *shares, *means, *tests)
        console().print(table)


@contextlib.contextmanager
def bars(quiet: bool) -> Iterator[Callable[[str, int, int], None]]:
    """Show how far a benchmark is, one bar that changes its label."""
    with RichProgress(console=o.progress_console(quiet), transient=True) as bar:
        task = bar.add_task("", total=None)
        yield lambda label, done, total: bar.update(task, description=label, completed=done, total=total)


def _print(name: str, figures: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print_json({"bench": name, **figures})
        return
    table = Table("figure", "value", title=f"lamarck bench {name}", title_justify="left")
    for key, value in figures.items():
        table.add_row(key, f"{value:,.3f}" if isinstance(value, float) else str(value))
    console().print(table)
