"""`lamarck memory`: look into a memory, search it, care for it."""

from __future__ import annotations

import json
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from ..core import Item
from ..errors import ConfigError
from . import memory_care as care
from . import options as o
from .memory_place import Place, opened, when
from .tables import console, print_json

app = typer.Typer(help="Memories: look into them, search them, care for them.", no_args_is_help=True)

Which = Annotated[str, typer.Argument(help="Item id; its beginning is enough.")]
Kind = Annotated[list[str] | None, typer.Option(help="Only this kind; repeatable.")]
for command in (
    care.export,
    care.import_,
    care.learn,
    care.reindex,
    care.snapshot,
    care.restore,
    care.retire,
    care.revive,
):
    app.command(command.__name__.rstrip("_"))(command)

ORDERS = {
    "value": "q_value DESC",
    "worst": "q_value ASC",
    "uses": "l.rewards DESC",
    "newest": "i.seq DESC",
    "oldest": "i.seq ASC",
}


@app.command("ls")
def ls(
    place: Place,
    kind: Kind = None,
    status: Annotated[list[str] | None, typer.Option(help="Only this status; repeatable.")] = None,
    order: Annotated[str, typer.Option(help="value, worst, uses, newest or oldest.")] = "value",
    limit: Annotated[int, typer.Option(help="Show at most this many.")] = 40,
    settings: o.Set = None,
    as_json: o.Json = False,
) -> None:
    """List items with what they have proved to be worth."""
    if order not in ORDERS:
        raise ConfigError(f"there is no order {order!r}; there are: {', '.join(ORDERS)}.")
    with opened(place, settings) as memory:
        lineage = memory.lineage
        counts = memory.reading.counts(lineage)
        total = sum(n for (k, s), n in counts.items() if (not kind or k in kind) and (not status or s in status))
        found = list(
            memory.reading.listing(lineage, kinds=kind or (), statuses=status or (), order=ORDERS[order], limit=limit)
        )
    if as_json:
        print_json([item.model_dump(mode="json") for item in found])
        return
    table = items_table()
    for item in found:
        table.add_row(*item_row(item))
    table.caption = f"{total} items" + (f", {limit} shown" if total > limit else "")
    console().print(table)


@app.command()
def show(place: Place, which: Which, settings: o.Set = None, as_json: o.Json = False) -> None:
    """Read one item, where it comes from and what happened to it."""
    with opened(place, settings) as memory:
        item = memory.item(which)
        events = memory.reading.events(item.id, memory.lineage)
    if as_json:
        print_json({**item.model_dump(mode="json"), "events": events})
        return
    out = console()
    out.print(f"{item.kind} {item.id}  {item.status}", style="bold")
    out.print(f"for: {item.applies}", markup=False, style="cyan")
    out.print(item.content, markup=False)
    out.print(worth_line(item), markup=False)
    out.print(f"from {', '.join(item.trajectory_ids) or 'by hand'}", style="dim", markup=False)
    out.print(f"release {item.release_id or '-'}  model {item.model or '-'}", style="dim", markup=False)
    table = Table("when", "event", "reward", "value", "trajectory", "detail")
    for event in events[-30:]:
        table.add_row(
            when(event["at"]),
            str(event["event"]),
            signed(event.get("reward")),
            f"{event['q_value']:+.3f}",
            str(event.get("trajectory_id", ""))[:8],
            escape(str(event.get("detail", ""))[:60]),
        )
    out.print(table)


@app.command()
def search(
    place: Place,
    query: Annotated[str, typer.Argument(help="What the items shall apply to.")],
    settings: o.Set = None,
    as_json: o.Json = False,
) -> None:
    """Show what recall would find for a text, and why; nothing is changed."""
    with opened(place, settings) as memory:
        found = memory.recall([query])
        items = memory.reading.items([candidate.id for candidate in found.candidates], memory.lineage)
        select, threshold = memory.config.recall.select, memory.config.recall.threshold
    chosen = {item.id for item in found.items}
    if as_json:
        rows = [
            {
                "id": c.id,
                "recalled": c.id in chosen,
                "score": c.score,
                "similarity": c.similarity,
                "relevance": c.relevance,
                "q_value": c.state.q_value,
                "kind": c.state.kind,
                "applies": items[c.id].applies,
                "content": items[c.id].content,
            }
            for c in found.candidates
        ]
        print_json(rows)
        return
    if not found.candidates:
        console().print(f"Nothing passes the threshold {threshold:g}; nothing would be put into the prompt.")
        return
    table = Table("", "id", "kind", "score", "similarity", "value", "for", caption=f"at most {select} are recalled")
    for c in found.candidates:
        mark = "*" if c.id in chosen else ""
        figures = (f"{c.score:+.2f}", f"{c.similarity:.2f}", f"{c.state.q_value:+.2f}")
        table.add_row(mark, c.id[:8], c.state.kind, *figures, escape(items[c.id].applies[:60]))
    console().print(table)


@app.command()
def stats(place: Place, settings: o.Set = None, as_json: o.Json = False) -> None:
    """Say how much is remembered, and how it is doing."""
    with opened(place, settings) as memory:
        figures = memory.stats()
    if as_json:
        print_json(figures)
        return
    out = console()
    table = Table("kind", "candidate", "active", "retired")
    for kind, by_status in figures["items"].items():
        table.add_row(kind, *(str(by_status.get(status, 0)) for status in ("candidate", "active", "retired")))
    out.print(table)
    for name in ("events", "similarity", "categories", "index", "embedding", "snapshots"):
        out.print(f"{name}: {json.dumps(figures[name])}", markup=False)


def items_table() -> Table:
    """Return an empty table of items."""
    table = Table()
    for name in ("id", "kind", "status", "value", "+-", "shown", "rewarded", "won", "for"):
        table.add_column(name, no_wrap=name != "for", justify="right" if name in NUMBERS else "left")
    return table


NUMBERS = ("value", "+-", "shown", "rewarded", "won")


def item_row(item: Item) -> list[str]:
    """Return the row of an item."""
    return [
        item.id[:8],
        item.kind,
        item.status,
        f"{item.q_value:+.2f}",
        f"{item.uncertainty:.2f}",
        str(item.retrieval_count),
        str(item.reward_count),
        str(item.success_count),
        escape(item.applies if len(item.applies) <= 80 else item.applies[:77] + "..."),
    ]


def worth_line(item: Item) -> str:
    """Return what an item has proved to be worth, in a line."""
    return (
        f"value {item.q_value:+.3f} (+- {item.uncertainty:.3f}), shown {item.retrieval_count} times, "
        f"rewarded {item.reward_count} times, {item.success_count} of them successes, "
        f"last used {when(item.last_used_at)}"
    )


def signed(value: object) -> str:
    """Return a number with its sign, or nothing."""
    return f"{value:+.2f}" if isinstance(value, float | int) else ""
