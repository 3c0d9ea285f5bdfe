"""`lamarck memory`, the commands that change something: files, index, snapshots, retiring."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from rich.progress import Progress
from rich.table import Table

from ..memory.bank import Memory
from ..memory.files import export_items, import_items
from . import options as o
from .memory_place import Place, configured, opened, when
from .tables import console, print_json


def export(
    place: Place,
    file: Annotated[Path, typer.Argument(help="File to write: .jsonl or .jsonl.gz.")],
    settings: o.Set = None,
) -> None:
    """Write all items with their values to a file."""
    with opened(place, settings) as memory:
        count = export_items(memory, file)
    console().print(f"{count} items written to {file}", markup=False)


def import_(
    place: Place,
    file: Annotated[Path, typer.Argument(help="File to read: .jsonl or .jsonl.gz.")],
    merge: Annotated[bool, typer.Option("--merge/--no-merge", help="Merge what says the same.")] = True,
    settings: o.Set = None,
    as_json: o.Json = False,
) -> None:
    """Read items from a file; what is there already is left alone, what is broken is named."""
    with opened(place, settings, create=True) as memory:
        report = import_items(memory, file, merge=merge)
    if as_json:
        print_json({"new": report.new, "same": report.same, "refused": report.refused})
    else:
        console().print(f"{report.new} new, {report.same} known already, {len(report.refused)} refused")
        for line in report.refused:
            console().print(line, style="red", markup=False)
    if report.refused:
        raise typer.Exit(1)


def learn(
    place: Place,
    run: Annotated[Path, typer.Argument(help="Run directory, or a store file, to learn from.")],
    by: Annotated[str, typer.Option(help="script or llm.")] = "script",
    model: Annotated[str, typer.Option("--model", "-m", help="Model that distils, with --by llm.")] = "embedded",
    settings: o.Set = None,
    quiet: o.Quiet = False,
    as_json: o.Json = False,
) -> None:
    """Learn from episodes that were stored before, imported ones too; those it has learned from are left alone."""
    from .memory_learn import learn_from

    with (
        opened(place, [*(settings or []), f'distil.by="{by}"'], create=True) as memory,
        Progress(console=o.progress_console(quiet or as_json), transient=True) as bar,
    ):
        task = bar.add_task("learning", total=None)
        report = learn_from(memory, run, model, lambda done, total: bar.update(task, completed=done, total=total))
    if as_json:
        print_json(report)
        return
    console().print(
        f"{report['learned']} episodes learned from ({report['known']} were known already): "
        f"{report['new']} new items, {report['merged']} merged"
    )


def reindex(
    place: Place,
    embedding: Annotated[str | None, typer.Option(help="From now on with this embedding model.")] = None,
    settings: o.Set = None,
    quiet: o.Quiet = False,
    as_json: o.Json = False,
) -> None:
    """Build the vector index anew from the store."""
    started = time.monotonic()
    given = [*(settings or []), *([f'embedding="{embedding}"'] if embedding else [])]
    config = configured(place, given)
    with Progress(console=o.progress_console(quiet or as_json), transient=True) as bar:
        task = bar.add_task("indexing", total=None)
        count = Memory.rebuild(
            config, place, progress=lambda done, total: bar.update(task, completed=done, total=total)
        )
    seconds = round(time.monotonic() - started, 2)
    if as_json:
        print_json({"items": count, "seconds": seconds, "embedding": config.embedding})
        return
    console().print(f"{count} items indexed in {seconds:.1f} s with {config.embedding}", markup=False)
    if embedding:
        console().print(f"Name it from now on: --set memory.embedding={embedding}", markup=False)


def snapshot(
    place: Place,
    note: Annotated[str, typer.Option(help="What it is for.")] = "",
    settings: o.Set = None,
    as_json: o.Json = False,
) -> None:
    """Give the present state a number to go back to."""
    with opened(place, settings) as memory:
        made = memory.snapshot(note)
    if as_json:
        print_json(made._asdict())
    else:
        console().print(f"snapshot {made.number}: {made.items} items")


def restore(
    place: Place,
    number: Annotated[int | None, typer.Argument(help="Which snapshot; without it they are listed.")] = None,
    settings: o.Set = None,
    as_json: o.Json = False,
) -> None:
    """Go back to a snapshot. What came after it is hidden, not deleted."""
    with opened(place, settings) as memory:
        if number is None:
            known = memory.ledger.snapshots()
        else:
            memory.restore(number)
            items = sum(memory.reading.counts(memory.lineage).values())
    if number is not None:
        if as_json:
            print_json({"number": number, "items": items})
        else:
            console().print(f"back at snapshot {number}: {items} items")
        return
    if as_json:
        print_json([made._asdict() for made in known])
        return
    table = Table("number", "when", "items", "note", caption="" if known else "no snapshots yet")
    for made in known:
        table.add_row(str(made.number), when(made.at), str(made.items), escape(made.note))
    console().print(table)


def retire(
    place: Place,
    ids: Annotated[
        list[str] | None, typer.Argument(help="Item ids; without them, those that have proved useless.")
    ] = None,
    dry: Annotated[bool, typer.Option("--dry-run", help="Only say what would be retired.")] = False,
    settings: o.Set = None,
    as_json: o.Json = False,
) -> None:
    """Take items out of recall; they stay in the store."""
    with opened(place, settings) as memory:
        if ids:
            chosen = [memory.item(which).id for which in ids]
            count = len(chosen) if dry else memory.retire(chosen)
            gone = [{"id": ident, "reason": "by hand"} for ident in chosen]
        else:
            gone = [item._asdict() for item in memory.forget(dry=dry)]
            count = len(gone)
    if as_json:
        print_json(gone)
        return
    for entry in gone:
        console().print(f"{entry['id'][:8]}  {entry['reason']}", markup=False)
    console().print(f"{count} items {'would be ' if dry else ''}retired")


def revive(
    place: Place,
    ids: Annotated[list[str], typer.Argument(help="Item ids.")],
    settings: o.Set = None,
) -> None:
    """Bring retired items back as candidates."""
    with opened(place, settings) as memory:
        count = memory.revive([memory.item(which).id for which in ids])
    console().print(f"{count} items brought back")
