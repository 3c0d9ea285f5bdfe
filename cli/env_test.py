"""`lamarck env test`: the conformance suite over any taskset, built-in or a guest's."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.progress import Progress
from rich.table import Table

from ..config_tree import parse_assignment
from . import options as o
from .tables import console, print_json

STYLES = {"pass": "green", "fail": "red", "not offered": "dim", "not judged": "yellow"}


def test(
    name: Annotated[str, typer.Argument(help="A registered taskset, or module:Class of your own.")],
    data: o.Data = None,
    split: Annotated[str | None, typer.Option(help="Which split; the first one if not given.")] = None,
    settings: o.Set = None,
    episodes: Annotated[int, typer.Option(help="Tasks to play.")] = 6,
    steps: Annotated[int, typer.Option(help="Steps of a walk, where the world does not end it earlier.")] = 30,
    seed: Annotated[int, typer.Option(help="Of the tasks and of the choice of actions.")] = 0,
    only: Annotated[list[str] | None, typer.Option(help="Only this check. Repeatable.")] = None,
    timeout: Annotated[float, typer.Option(help="Longest wait for one call of the world, in seconds.")] = 60.0,
    as_json: o.Json = False,
) -> None:
    """Test whether a world keeps the contract: seeds, determinism, ends, snapshots, bad actions, leaks, ...

    The world plays in a process of its own, so it may hang or die. What fails is shown with the task, the seed and the
    actions that bring it about. `--set` takes the options of the taskset, as `--set size=tiny`.
    """
    from ..evals.worlds.conformance import Settings, conform

    options = dict(parse_assignment(text) for text in settings or [])
    if data is not None:
        options["data"] = data
    with Progress(transient=True, console=o.progress_console(as_json)) as bar:
        row = bar.add_task(name, total=None)
        report = conform(
            name,
            options,
            Settings(split, episodes, steps, seed),
            only=tuple(only or ()),
            timeout_s=timeout,
            progress=lambda check, done, total: bar.update(
                row, description=f"{name}: {check}", completed=done, total=total
            ),
        )
    if as_json:
        print_json(report.as_json())
    else:
        out = console()
        table = Table("check", "", "seen", title=f"lamarck env test {name}, split {report.split}", title_justify="left")
        for finding in report.findings:
            outcome = f"[{STYLES[finding.outcome]}]{finding.outcome}[/]"
            table.add_row(finding.check, outcome, _escaped(finding.detail))
        out.print(table)
        for finding in report.failures:
            if finding.spot.task:
                out.print(f"{finding.check}: to see it again: {finding.spot}", style="red", markup=False)
    if not report.passed:
        raise typer.Exit(1)


def _escaped(text: str) -> str:
    from rich.markup import escape

    return escape("".join(letter if letter.isprintable() else "\ufffd" for letter in text))
