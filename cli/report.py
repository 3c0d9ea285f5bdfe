"""`lamarck report`: one HTML file with the plots and the trajectories of a run, or of several side by side."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from ..rundir import RunDirectory
from . import options as o
from .tables import console, print_json


def report(
    runs: Annotated[
        list[Path], typer.Argument(help="Run directories; the first is what the others are compared with.")
    ],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="File to write; report.html in the first run.")
    ] = None,
    trajectories: Annotated[int, typer.Option(min=0, help="Show at most so many, evenly from every outcome.")] = 200,
    open_: Annotated[bool, typer.Option("--open", help="Open it in the browser.")] = False,
    as_json: o.Json = False,
    quiet: o.Quiet = False,
) -> None:
    """Write one HTML file that is complete in itself: figures, plots and readable trajectories.

    With several runs they stand side by side, with the paired comparison of each with the first.
    """
    from ..evals.reports.gather import gather
    from ..evals.reports.page import write

    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, transient=True, console=o.progress_console(as_json or quiet)) as bar:
        row = bar.add_task("reading", total=None)
        directories = [RunDirectory(path) for path in runs]
        page = gather(directories, trajectories=trajectories, progress=lambda what: bar.update(row, description=what))
        file = out if out is not None else runs[0] / "report.html"
        size = write(page, file)
    if as_json:
        print_json({"file": str(file), "bytes": size, **page.as_dict()})
    else:
        there, shown = sum(page.outcomes.values()), len(page.records)
        console().print(
            f"{file}: {size / 1e6:.1f} MB, {shown} of {there} trajectories; it needs no network and no server.",
            markup=False,
        )
    if open_:
        import webbrowser

        webbrowser.open(file.resolve().as_uri())
