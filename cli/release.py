"""`lamarck release`: look at releases, say which one is in force, hand them on."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..errors import ConfigError
from ..promotions import Promotion
from ..releases import Releases
from . import options as o
from .release_tables import described, differences, drawn, node, shown
from .tables import console, print_json

app = typer.Typer(help="Releases: look at them, promote, roll back, hand on.", no_args_is_help=True)

Home = Annotated[Path, typer.Argument(help="Folder of an evolution, which holds the releases.")]
Which = Annotated[str, typer.Argument(help="Release id, its beginning, head, or head~N for the Nth head before.")]
Reason = Annotated[str, typer.Option(help="Why; it stands in the log.")]


@app.command()
def ls(home: Home, as_json: o.Json = False) -> None:
    """Draw the tree of releases: what each changed, what the gate said, which one is in force."""
    with Releases.open(home) as releases:
        nodes, rows = releases.tree(), releases.log.rows()
    if as_json:
        print_json({"releases": [node(one) for one in nodes], "promotions": [row._asdict() for row in rows]})
        return
    console().print(drawn(str(home), nodes))


@app.command()
def show(
    home: Home,
    which: Which = "head",
    as_json: o.Json = False,
) -> None:
    """Show all of a release: parts, settings, what the gate said, when it was in force, and whether it is whole."""
    with Releases.open(home) as releases:
        found = described(releases, which)
    if as_json:
        print_json(found)
        return
    for line in shown(found):
        console().print(line)


@app.command()
def diff(
    home: Home,
    old: Which,
    new: Which,
    top: Annotated[int, typer.Option(min=0, help="Show this many memory items, by how far their value moved.")] = 10,
    as_json: o.Json = False,
) -> None:
    """Show what is not the same in two releases: model, adapter, memory, tools, prompts, settings."""
    with Releases.open(home) as releases:
        change = releases.diff(old, new, top=top)
    found = differences(change)
    if as_json:
        print_json(found.as_dict)
        return
    for line in found.lines:
        console().print(line)


@app.command()
def verify(
    home: Home,
    which: Annotated[str | None, typer.Argument(help="Only this release; all if not given.")] = None,
    as_json: o.Json = False,
) -> None:
    """Recompute what releases hold and name what is damaged."""
    with Releases.open(home) as releases:
        ids = [releases.get(which).id] if which is not None else [one.release.id for one in releases.tree()]
        found = {ident: releases.verify(ident) for ident in ids}
    bad = {ident: line for ident, line in found.items() if line is not None}
    if as_json:
        print_json(found)
    else:
        for ident, line in bad.items():
            console().print(f"{ident[:12]} is damaged: {line}", style="red", markup=False)
        console().print(f"{len(found) - len(bad)} of {len(found)} releases are whole")
    if bad:
        raise typer.Exit(1)


@app.command()
def promote(
    home: Home,
    which: Which,
    report: Annotated[str | None, typer.Option(help="Id of the gate's report; the latest if not given.")] = None,
    force: Annotated[
        str, typer.Option("--force", help="Without the gate, for this REASON; it stands in the log.")
    ] = "",
    as_json: o.Json = False,
) -> None:
    """Put a release in force, if the gate's report on it and the present head says so."""
    with Releases.open(home) as releases:
        row = releases.promote(which, report, force=force)
    _said(row, as_json)


@app.command()
def gate(
    home: Home,
    which: Which,
    held_out_limit: Annotated[
        int | None,
        typer.Option(min=1, help="Use the first so many held-out tasks; as many as the evolution if not given."),
    ] = None,
    quiet: o.Quiet = False,
    as_json: o.Json = False,
) -> None:
    """Let the gate weigh a release against the head, or go on with it on more held-out tasks. Nothing is promoted.

    Exit code 0 whatever the decision is.
    """
    from .evolving.again import next_step, weigh_again
    from .evolving.home import Home as Evolution
    from .gate import print_report

    report = weigh_again(Evolution(home), which, held_out_limit, quiet=quiet or as_json)
    if as_json:
        print_json({**report.model_dump(mode="json"), "sentence": report.sentence()})
        return
    print_report(report)
    if (told := next_step(Evolution(home), report, held_out_limit)) is not None:
        console().print(told, markup=False)


@app.command()
def rollback(
    home: Home,
    which: Annotated[str | None, typer.Argument(help="An earlier head; the one before if not given.")] = None,
    reason: Reason = "",
    as_json: o.Json = False,
) -> None:
    """Put an earlier head in force again: memory, adapter, tools and prompts together, as they were."""
    with Releases.open(home) as releases:
        row = releases.rollback(which, reason=reason)
    _said(row, as_json)


@app.command()
def export(
    home: Home,
    which: Which,
    file: Annotated[Path, typer.Argument(help="File to write: .tar.gz.")],
    as_json: o.Json = False,
) -> None:
    """Write a release to one file that can be handed on."""
    from ..release_pack import export as pack

    with Releases.open(home) as releases:
        release = pack(releases, which, file)
    size = file.stat().st_size
    if as_json:
        print_json({"release": release.id, "file": str(file), "bytes": size})
    else:
        console().print(f"release {release.id[:12]} written to {file}, {size:,} bytes", markup=False)


@app.command("import")
def import_(
    home: Annotated[Path, typer.Argument(help="Folder to take it in; made if it is not there.")],
    file: Annotated[Path, typer.Argument(help="File that `lamarck release export` wrote.")],
    trust: Annotated[bool, typer.Option("--trust", help="Even if it names programs that it starts.")] = False,
    as_json: o.Json = False,
) -> None:
    """Take a release in, after checking all of it against its id. It is not promoted by that."""
    from ..release_pack import import_ as unpack

    if not file.is_file():
        raise ConfigError(f"there is no file {file}.")
    with Releases.open(home, create=True) as releases:
        release, new = unpack(releases, file, trust=trust)
    if as_json:
        print_json({"release": release.id, "new": new})
    else:
        console().print(f"release {release.id[:12]} is {'taken in' if new else 'here already'}", markup=False)


def _said(row: Promotion, as_json: bool) -> None:
    if as_json:
        print_json(row._asdict())
        return
    before = row.before[:12] if row.before is not None else "none"
    line = f"head is {row.release_id[:12]}, by {row.action} (promotion {row.number}); before it was {before}"
    console().print(line, markup=False)
