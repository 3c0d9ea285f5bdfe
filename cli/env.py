"""`lamarck env`: what worlds there are, and whether they work here."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from rich.progress import Progress
from rich.table import Table

from ..agent.tasksets import load_taskset, taskset_names
from ..config import parse_assignment
from ..errors import ConfigError
from . import options as o
from .tables import console, print_json

app = typer.Typer(help="Worlds: list them, and check that they work here.", no_args_is_help=True)


@app.command("list")
def list_(as_json: o.Json = False) -> None:
    """List the registered tasksets with their splits."""
    rows: list[dict[str, Any]] = []
    for name in taskset_names():
        try:
            rows.append({"name": name, "splits": list(load_taskset(name).splits()), "note": ""})
        except ConfigError as error:
            rows.append({"name": name, "splits": [], "note": str(error)})
    if as_json:
        print_json(rows)
        return
    table = Table("name", "splits", "note")
    for row in rows:
        table.add_row(row["name"], ", ".join(row["splits"]), row["note"])
    console().print(table)


@app.command()
def check(
    name: Annotated[str, typer.Argument(help="Taskset: alfworld or household.")],
    data: o.Data = None,
    split: Annotated[str, typer.Option(help="Which split to replay.")] = "valid_seen",
    limit: o.Limit = None,
    settings: o.Set = None,
    as_json: o.Json = False,
) -> None:
    """Replay each game's own walkthrough: every one of them must win.

    `starts_per_s` counts from the file to the first observation, `steps_per_s` steps with their admissible actions.
    """
    from ..evals.alfworld_check import check_games

    options = dict(parse_assignment(text) for text in settings or [])
    if data is not None:
        options["data"] = data
    taskset = load_taskset(name, options)
    with Progress(transient=True, console=o.progress_console(as_json)) as bar:
        row = bar.add_task(f"{name}/{split}", total=None)

        def advance(done: int, total: int) -> None:
            bar.update(row, completed=done, total=total)

        report = check_games(taskset, split, limit, progress=advance)
    figures = {
        "taskset": name,
        "split": split,
        "games": report.games,
        "won": report.won,
        "starts_per_s": round(report.starts_per_s, 1),
        "steps_per_s": round(report.steps_per_s, 1),
        "failures": [str(failure) for failure in report.failures],
    }
    if as_json:
        print_json(figures)
    else:
        out = console()
        out.print(
            f"{name}/{split}: {report.won} of {report.games} games won by their walkthrough, "
            f"{report.starts_per_s:,.0f} starts/s, {report.steps_per_s:,.0f} steps/s",
            markup=False,
        )
        for failure in report.failures:
            out.print(f"  {failure}", style="red", markup=False)
    if report.won < report.games:
        raise typer.Exit(1)
