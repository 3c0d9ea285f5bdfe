"""The memory of a release: copied while it is in use, named by what is visible in it, compared with another.

Only the memory's own tables are copied. Attempts that lie in the same store stay behind, and so does the vector index,
which is built anew from the vectors in the store.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import ValidationError

from .core import Item, content_id
from .errors import ConfigError, StoreError, boundary
from .store import Store
from .store_tables import ITEM_LOG, ITEMS, MEMORY, SNAPSHOTS, TOOL_LOG, VECTORS

FILE = "store.db"
TABLES = (ITEMS, ITEM_LOG, VECTORS, MEMORY, SNAPSHOTS, TOOL_LOG)
FIGURES = (
    "status",
    "q_value",
    "variance",
    "retrievals",
    "rewards",
    "successes",
    "kept",
    "kept_sum",
    "left_out",
    "left_out_sum",
)
"""What an item has proved to be worth. When it was used last is a time, and does not count."""
LEARNED = "trajectory:"
"""What the log notes of an attempt that was learned from begins so; from which ones does not count either."""
WAIT_S = 20.0
"""How long a copy waits for whoever writes to the memory, in seconds."""


class Entry(NamedTuple):
    """A visible item, or a running statistic under a name of its own."""

    subject: str
    said: dict[str, Any] | None
    """Kind, applies, content and meta of an item; None of a statistic."""
    figures: dict[str, Any]


def copy_memory(source: Path, target: Path) -> None:
    """Copy a memory into a new store, as it is at one moment, also while others write to it.

    Args:
        source: the memory's `store.db`.
        target: a file that is not there yet.

    Raises:
        ConfigError: there is no memory in `source`.
        StoreError: it is damaged, or cannot be read or written.
    """
    if not source.is_file():
        raise ConfigError(f"there is no memory in {source.parent}: it has no {source.name}.")
    refuse_programs(source)
    with Store.open(source, create=False) as old:  # refuses what is none, and brings an older one up to date
        if not old.select("SELECT 1 FROM memory"):
            raise ConfigError(f"there is no memory in {source}: nothing was ever remembered there.")
    with boundary(StoreError, f"cannot write {target}", OSError):
        target.parent.mkdir(parents=True, exist_ok=True)
    Store.open(target).close()
    with (
        boundary(StoreError, f"cannot copy memory {source} to {target}", sqlite3.Error, OSError),
        closing(sqlite3.connect(target, timeout=WAIT_S, isolation_level=None)) as connection,
    ):
        connection.execute("ATTACH ? AS old", [str(source)])
        connection.execute("BEGIN IMMEDIATE")
        for table in TABLES:
            names = ", ".join(f'"{column.name}"' for column in table.columns)
            connection.execute(f"INSERT INTO main.{table.name} ({names}) SELECT {names} FROM old.{table.name}")
        connection.execute("COMMIT")


def refuse_programs(file: Path) -> None:
    """Refuse a database that does something when it is read or written; ours have tables and indexes only.

    Raises:
        StoreError: it has triggers, views or virtual tables, or is no database.
    """
    query = "SELECT name FROM sqlite_master WHERE type NOT IN ('table', 'index') OR sql LIKE 'CREATE VIRTUAL%'"
    with (
        boundary(StoreError, f"cannot read memory {file}", sqlite3.Error, kind="damaged"),
        closing(sqlite3.connect(file, timeout=WAIT_S)) as connection,
    ):
        found = connection.execute(query).fetchone()
    if found is not None:
        raise StoreError(f"{file} is no memory of ours: it has {found[0]!r}, which is no table.", kind="foreign")


def check_rows(file: Path) -> None:
    """Refuse a memory whose items are none or whose figures cannot be reckoned with, though they add up to its name.

    Raises:
        ConfigError: it is one.
    """
    numbers = FIGURES[1:]
    wrong = [f"typeof({name}) NOT IN ('real', 'integer')" for name in numbers]
    wrong += ["abs(q_value) > 2", "status NOT IN ('candidate', 'active', 'retired')"]
    with Store.open(file, create=False) as store:
        # Running statistics lie in the same columns, and have other sizes.
        query = f"SELECT subject FROM item_log JOIN items ON id = subject WHERE {' OR '.join(wrong)} LIMIT 1"
        found = store.select(query)
        for ident, body in () if found else store.select("SELECT id, body FROM items"):
            try:
                item = Item.model_validate_json(body)
            except ValidationError:
                found = [(ident,)]
                break
            if item.id != ident or ident != content_id("item", item.kind, item.applies, item.content):
                found = [(ident,)]
                break
    if found:
        raise ConfigError(f"item {str(found[0][0])[:12]!r} of the memory is none, or its figures are no such figures.")


def memory_id(file: Path) -> str:
    """Return the name of what is visible in a memory: items with their figures, running statistics, made tools.

    Where it lies, when it was copied and who learned it from which attempt do not count. Two hashes joined by `+`, the
    second one of the made tools, where there are any.

    Raises:
        StoreError: it cannot be read.
    """
    with Store.open(file, create=False) as store:
        items = _digest(entry for entry in entries(store) if not entry.subject.startswith(LEARNED))
        tools = list(_tool_rows(store))
    return items[:32] + (f"+{_digest(tools)[:12]}" if tools else "")


def holds_items(file: Path) -> bool:
    """Say whether there is anything to recall in a memory, given its `store.db`.

    Raises:
        StoreError: the file cannot be read.
    """
    with Store.open(file, create=False) as store:
        return any(entry.said is not None for entry in entries(store))


def entries(store: Store) -> Iterator[Entry]:
    """Yield what is visible in a memory, in the order of ids."""
    columns = ", ".join(f"l.{name}" for name in FIGURES)
    latest = f"SELECT subject, max(seq) AS seq FROM item_log WHERE {_visible(store)} GROUP BY subject"
    query = (
        f"SELECT l.subject, i.body, {columns} FROM ({latest}) AS m "
        "JOIN item_log l ON l.subject = m.subject AND l.seq = m.seq "
        "LEFT JOIN items i ON i.id = l.subject ORDER BY l.subject"
    )
    for subject, body, *figures in store.select(query):
        said = None
        if body is not None:
            whole = json.loads(body)
            said = {name: whole.get(name) for name in ("kind", "applies", "content", "meta")}
        yield Entry(subject, said, dict(zip(FIGURES, figures, strict=True)))


def vector_sums(file: Path, embedders: Iterable[str] | None = None) -> dict[str, str]:
    """Return a hash of the vectors of each embedder that has one for every item.

    Vectors follow from the texts, but not bit by bit on every machine; so they are no part of a memory's name, and yet
    a copy has to keep those it was made with.

    Args:
        file: of the memory.
        embedders: only these, whether or not vectors were added since.
    """
    sums = {}
    lacking = "SELECT 1 FROM items i LEFT JOIN vectors v ON v.text_id = i.text_id AND v.embedder = ? WHERE v.vector IS "
    with Store.open(file, create=False) as store:
        there = [row[0] for row in store.select("SELECT DISTINCT embedder FROM vectors ORDER BY embedder")]
        for name in there if embedders is None else embedders:
            if store.select(f"{lacking}NULL LIMIT 1", [name]):
                continue
            digest = hashlib.sha256()
            query = "SELECT text_id, vector FROM vectors WHERE embedder = ? ORDER BY text_id"
            for ident, vector in store.select(query, [name]):
                digest.update(f"{ident} {len(vector)} ".encode() + bytes(vector))
            sums[name] = digest.hexdigest()
    return sums


@dataclass(frozen=True)
class MemoryChange:
    """What is not the same in two memories."""

    added: int = 0
    removed: int = 0
    changed: int = 0
    """Items with another value, count or status."""
    top: tuple[dict[str, Any], ...] = ()
    """Items whose value moved most, those that came or went with all of theirs: id, applies, before, after."""
    tools: bool = False
    """Whether the made tools differ."""


def compare(old: Path | None, new: Path | None, top: int = 5) -> MemoryChange:
    """Return what changed from one memory to another; None is an empty one."""
    before, after = _items(old), _items(new)
    both = before.keys() & after.keys()
    moved = [(ident, before.get(ident), after.get(ident)) for ident in before.keys() | after.keys()]
    lines = []
    for ident, was, now in moved:
        if was is not None and now is not None and was.figures == now.figures:
            continue
        entry = now or was
        assert entry is not None and entry.said is not None
        values = [one.figures["q_value"] if one is not None else None for one in (was, now)]
        lines.append({"id": ident, "applies": entry.said["applies"], "before": values[0], "after": values[1]})
    lines.sort(key=lambda line: (-abs((line["after"] or 0.0) - (line["before"] or 0.0)), line["id"]))
    return MemoryChange(
        added=len(after.keys() - before.keys()),
        removed=len(before.keys() - after.keys()),
        changed=sum(before[ident].figures != after[ident].figures for ident in both),
        top=tuple(lines[:top]),
        tools=_made(old) != _made(new),
    )


def _items(file: Path | None) -> dict[str, Entry]:
    if file is None:
        return {}
    with Store.open(file, create=False) as store:
        return {entry.subject: entry for entry in entries(store) if entry.said is not None}


def _made(file: Path | None) -> str:
    if file is None:
        return content_id([])
    with Store.open(file, create=False) as store:
        return content_id(list(_tool_rows(store)))


def _tool_rows(store: Store) -> Iterator[list[Any]]:
    """Yield what became of the made tools; of calls, only that they were made and how they ended."""
    for event, name, version, ident, payload in store.select(
        "SELECT event, name, version, tool_id, payload FROM tool_log ORDER BY seq"
    ):
        yield [event, name, version, ident, None if event in ("called", "failed") else json.loads(payload)]


def _visible(store: Store) -> str:
    """Return the condition that a row of the log is visible; ranges of numbers, the last one open."""
    found = store.select("SELECT visible FROM memory WHERE id = 1")
    if not found:
        raise StoreError(f"{store.place} holds no memory.", kind="missing")
    parts = [
        f"seq >= {int(low)}" if high is None else f"seq BETWEEN {int(low)} AND {int(high)}"
        for low, high in json.loads(found[0][0])
    ]
    return f"({' OR '.join(parts)})"


def _digest(rows: Iterable[Any]) -> str:
    digest = hashlib.sha256()
    for row in rows:
        text = json.dumps(row, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        digest.update(text.encode() + b"\n")
    return digest.hexdigest()
