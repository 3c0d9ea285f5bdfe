"""`lamarck report`: one HTML file of a run, of several side by side, or of an evolution."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from ..errors import ConfigError
from ..rundir import RunDirectory
from . import options as o
from .tables import console, print_json

ALONE = "it needs no network and no server."


def report(
    runs: Annotated[
        list[Path],
        typer.Argument(help="Run directories, the first of which the others are compared with; or one evolution."),
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

    With several runs they stand side by side, with the paired comparison of each with the first. Of the folder of an
    evolution: its generations, releases, what was learned, and what was refused and why.
    """
    if any(_evolved(path) for path in runs):
        file, said = _evolution(runs, out, as_json=as_json, quiet=quiet)
    else:
        file, said = _runs(runs, out, trajectories, as_json=as_json, quiet=quiet)
    if not as_json:
        console().print(said, markup=False)
    if open_:
        import webbrowser

        webbrowser.open(file.resolve().as_uri())


def _runs(runs: list[Path], out: Path | None, trajectories: int, *, as_json: bool, quiet: bool) -> tuple[Path, str]:
    """Write the report of runs; return the file, and a line on it."""
    from ..evals.reports.gather import gather
    from ..evals.reports.page import write

    with _progress(quiet=as_json or quiet) as bar:
        row = bar.add_task("reading", total=None)
        directories = [RunDirectory(path) for path in runs]
        page = gather(directories, trajectories=trajectories, progress=lambda what: bar.update(row, description=what))
        file = out if out is not None else runs[0] / "report.html"
        size = write(page, file)
    if as_json:
        print_json({"file": str(file), "bytes": size, **page.as_dict()})
    there, shown = sum(page.outcomes.values()), len(page.records)
    return file, f"{file}: {size / 1e6:.1f} MB, {shown} of {there} trajectories; {ALONE}"


def _evolution(paths: list[Path], out: Path | None, *, as_json: bool, quiet: bool) -> tuple[Path, str]:
    """Write the report of an evolution; return the file, and a line on it.

    Raises:
        ConfigError: there are several, or no generation has begun.
    """
    from ..evals.reports.evolution import write
    from .evolving.home import Home
    from .evolving.reported import gather

    if len(paths) > 1:
        raise ConfigError(
            "an evolution is reported by itself.",
            hint="Name its folder alone; runs in it, like HOME/generations/001/collect, can stand side by side.",
        )
    with _progress(quiet=as_json or quiet) as bar:
        row = bar.add_task("reading", total=None)
        page = gather(Home(paths[0]), progress=lambda what: bar.update(row, description=what))
        file = out if out is not None else paths[0] / "report.html"
        size = write(page, file)
    if as_json:
        print_json({"file": str(file), "bytes": size, **page.as_dict()})
    return file, f"{file}: {size / 1e3:.0f} kB, {len(page.stages)} generations, {len(page.tree)} releases; {ALONE}"


def _evolved(path: Path) -> bool:
    return (path / "evolve.toml").is_file()


def _progress(*, quiet: bool) -> Progress:
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    return Progress(*columns, transient=True, console=o.progress_console(quiet))
