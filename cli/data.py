"""`lamarck export` and `lamarck import`: trajectories as files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..rundir import RunDirectory
from ..store import Store
from . import options as o
from .tables import console, print_json


def export(
    run: Annotated[Path, typer.Argument(help="Run directory.")],
    out: Annotated[Path, typer.Argument(help="File to write: .jsonl, .jsonl.gz or .parquet.")],
    solved: Annotated[bool | None, typer.Option("--solved/--unsolved", help="Only these.")] = None,
    as_json: o.Json = False,
) -> None:
    """Write the trajectories of a run to one file."""
    from ..store_io import export_trajectories

    directory = RunDirectory(run)
    config = directory.load_config()
    with Store.open(directory.store_url(config), create=False) as store:
        count = export_trajectories(store, out, run_id=directory.run_id, success=solved)
    if as_json:
        print_json({"file": str(out), "trajectories": count})
    else:
        console().print(f"{count} trajectories written to {out}", markup=False)


def import_(
    file: Annotated[Path, typer.Argument(help="File to read: .jsonl, .jsonl.gz or .parquet.")],
    store_url: Annotated[str, typer.Option("--store", help="Store to write to: a path or a database URL.")],
    as_json: o.Json = False,
) -> None:
    """Read trajectories into a store; what is there already is left alone."""
    from ..store_io import import_trajectories

    with Store.open(store_url) as store:
        report = import_trajectories(store, file)
    refused = [str(problem) for problem in report.refused]
    if as_json:
        print_json({"new": report.new, "same": report.same, "refused": refused})
    else:
        out = console()
        out.print(f"{report.new} new, {report.same} already there, {len(refused)} refused", markup=False)
        for problem in refused[:20]:
            out.print(f"  {problem}", style="red", markup=False)
    if refused:
        raise typer.Exit(1)
