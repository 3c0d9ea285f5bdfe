"""`lamarck env`: what worlds there are, and whether they work here."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.progress import Progress
from rich.table import Table

from ..agent.tasksets import load_taskset, taskset_names
from ..config_tree import parse_assignment
from ..errors import ConfigError
from . import env_test, serve_env
from . import options as o
from .shop import shop
from .tables import console, print_json

app = typer.Typer(help="Worlds: list them, and check that they work here.", no_args_is_help=True)
app.command("serve")(serve_env.serve)
app.command("test")(env_test.test)
app.command("shop")(shop)


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
    console().print(worlds_table(rows))


def worlds_table(rows: list[dict[str, Any]]) -> Table:
    """Return the table of worlds; a note may hold brackets, as in the name of an extra to install."""
    table = Table("name", "splits", "note")
    for row in rows:
        table.add_row(row["name"], ", ".join(row["splits"]), escape(row["note"]))
    return table


@app.command()
def check(
    name: Annotated[str, typer.Argument(help="Taskset: alfworld, household, webshop, or one with a check of its own.")],
    data: o.Data = None,
    split: Annotated[str | None, typer.Option(help="Which split to replay; all of webshop by default.")] = None,
    limit: o.Limit = None,
    settings: o.Set = None,
    as_json: o.Json = False,
) -> None:
    """Replay each game's own walkthrough: every one of them must win. For webshop: buy each goal's own product.

    `starts_per_s` counts from the file to the first observation, `steps_per_s` steps with their admissible actions.
    """
    options = dict(parse_assignment(text) for text in settings or [])
    if data is not None:
        options["data"] = data
    taskset = load_taskset(name, options)
    if hasattr(taskset, "check"):
        _own_check(name, taskset, split, limit, as_json)
    else:
        _replay(name, taskset, split or "valid_seen", limit, as_json)


def _replay(name: str, taskset: Any, split: str, limit: int | None, as_json: bool) -> None:
    """Replay the walkthroughs of a split."""
    from ..evals.alfworld_check import check_games

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


def _own_check(name: str, taskset: Any, split: str | None, limit: int | None, as_json: bool) -> None:
    """Run the check that a taskset brings along: figures by name, and sentences under `failures`."""
    with Progress(transient=True, console=o.progress_console(as_json)) as bar:
        row = bar.add_task(name, total=None)

        def advance(done: int, total: int) -> None:
            bar.update(row, completed=done, total=total)

        figures = {"taskset": name, "split": split, **taskset.check(split=split, limit=limit, progress=advance)}
    if as_json:
        print_json(figures)
    else:
        table = Table("figure", "value", title=name, title_justify="left")
        for key, value in figures.items():
            table.add_row(key, str(len(value)) if isinstance(value, list) else f"{value}")
        console().print(table)
        for failure in figures["failures"]:
            console().print(f"  {failure}", style="red", markup=False)
    if figures["failures"]:
        raise typer.Exit(1)
