"""`lamarck bench`: figures side by side in one run, as ratios, since machines differ and are shared."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from rich.table import Table

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


def _print(name: str, figures: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print_json({"bench": name, **figures})
        return
    table = Table("figure", "value", title=f"lamarck bench {name}", title_justify="left")
    for key, value in figures.items():
        table.add_row(key, f"{value:,.3f}" if isinstance(value, float) else str(value))
    console().print(table)
