"""Reading the memory's tables: items as they are now, and as they will be searched."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from ..core import Item
from ..store import Store
from .lineage import Lineage
from .state import State
from .values import Running

STATE = ", ".join(f"l.{name}" for name in State._fields)
"""Columns of the log that make up a `State`, in its order (they bear its names)."""
MOST = 4096
"""Most items that are weighed for one query; merging keeps what applies to one text far below."""
CHUNK = 500
"""Most placeholders in one query; SQLite's oldest limit is 999."""


class Head(NamedTuple):
    """Where the memory stands."""

    name: str
    """Id of this memory, made once."""
    seq: int
    """Latest number given."""
    lineage: Lineage
    newest: int = 0
    """Number of the item that came last, 0 where there is none."""


class Light(NamedTuple):
    """An item without its text."""

    id: str
    created_at: float
    state: State


class Found(NamedTuple):
    """An item that applies to a text."""

    text_id: str
    id: str
    state: State


class Fresh(NamedTuple):
    """The text of an item, on its way into an index."""

    seq: int
    """Number of the item."""
    text_id: str
    text: str
    vector: bytes | None
    """Little-endian float32, or None where this text has no vector of this embedder yet."""


class Reading:
    """Reads the tables of one memory.

    Args:
        store: where they are.
        alpha: step size of the values, from which uncertainties follow.
    """

    def __init__(self, store: Store, alpha: float = 0.3) -> None:
        self._store = store
        self._alpha = alpha

    def head(self) -> Head | None:
        """Return where the memory stands, or None where nothing was ever remembered."""
        query = "SELECT name, seq, visible, (SELECT max(seq) FROM items) FROM memory WHERE id = 1"
        found = self._store.select(query)
        return Head(found[0][0], found[0][1], Lineage.read(found[0][2]), found[0][3] or 0) if found else None

    def applying(self, text_ids: Sequence[str], lineage: Lineage) -> list[Found]:
        """Return the visible items that apply to these texts, at most MOST of them."""
        found: list[Found] = []
        for start in range(0, len(text_ids), CHUNK):
            part = text_ids[start : start + CHUNK]
            query = f"{applying_to(len(part), lineage)} LIMIT {MOST:d}"
            found += [Found(row[0], row[1], State(*row[2:])) for row in self._store.select(query, part)]
        return found

    def states(self, ids: Sequence[str], lineage: Lineage) -> dict[str, State]:
        """Return the state of those items that are visible."""
        found: dict[str, State] = {}
        for start in range(0, len(ids), CHUNK):
            part = ids[start : start + CHUNK]
            for row in self._store.select(states_of(len(part), lineage), part):
                found[row[0]] = State(*row[1:])
        return found

    def items(self, ids: Sequence[str], lineage: Lineage, *, whole: bool = False) -> dict[str, Item]:
        """Return items as they are now.

        Args:
            ids: which; those that are not visible are left out.
            lineage: what is visible.
            whole: with the provenance of everything that was merged into them.
        """
        found: dict[str, Item] = {}
        for start in range(0, len(ids), CHUNK):
            part = ids[start : start + CHUNK]
            query = f"{current('i.body, ' + STATE, lineage)} WHERE i.id IN ({_marks(part)})"
            for row in self._store.select(query, part):
                item = self._item(row[0], State(*row[1:]))
                found[item.id] = self._with_sources(item, lineage) if whole else item
        return found

    def listing(
        self,
        lineage: Lineage,
        *,
        kinds: Sequence[str] = (),
        statuses: Sequence[str] = (),
        order: str = "q_value DESC",
        limit: int | None = None,
    ) -> Iterator[Item]:
        """Yield the visible items of these kinds and states; all if none is named."""
        query = f"{current('i.body, ' + STATE, lineage)} WHERE 1 = 1"
        if kinds:
            query += f" AND i.kind IN ({_marks(kinds)})"
        if statuses:
            query += f" AND l.status IN ({_marks(statuses)})"
        query += f" ORDER BY {order}, i.seq" + (f" LIMIT {limit:d}" if limit is not None else "")
        for row in self._store.select(query, [*kinds, *statuses]):
            yield self._item(row[0], State(*row[1:]))

    def lights(self, lineage: Lineage) -> list[Light]:
        """Return all visible items without their texts."""
        query = current("i.id, i.created_at, " + STATE, lineage)
        return [Light(row[0], row[1], State(*row[2:])) for row in self._store.select(query)]

    def counts(self, lineage: Lineage) -> dict[tuple[str, str], int]:
        """Return how many items there are of each kind and status."""
        query = f"{current('i.kind, l.status, count(*)', lineage)} GROUP BY i.kind, l.status"
        return {(row[0], row[1]): int(row[2]) for row in self._store.select(query)}

    def ids_like(self, prefix: str, lineage: Lineage, limit: int = 3) -> Sequence[str]:
        """Return ids of visible items that begin with `prefix`."""
        top = prefix + "g"  # ids are hexadecimal, and g follows f
        query = f"{current('i.id', lineage)} WHERE i.id >= ? AND i.id < ? LIMIT {limit:d}"
        return [row[0] for row in self._store.select(query, [prefix, top])]

    def running(self, subject: str, lineage: Lineage) -> Running:
        """Return a running statistic kept in the log."""
        query = f"SELECT rewards, q_value, variance FROM item_log l WHERE subject = ? AND {lineage.sql('l.seq')}"
        found = self._store.select(query + " ORDER BY seq DESC LIMIT 1", [subject])
        return Running(*found[0]) if found else Running()

    def subjects(self, prefix: str) -> Sequence[str]:
        """Return what has a log under a name that begins with `prefix`."""
        query = "SELECT DISTINCT subject FROM item_log WHERE subject >= ? AND subject < ? ORDER BY subject"
        return [row[0] for row in self._store.select(query, [prefix, prefix + "\uffff"])]

    def learned(self, trajectory_ids: Iterable[str], lineage: Lineage) -> set[str]:
        """Return those trajectories that were learned from already."""
        ids, found = [*trajectory_ids], set[str]()
        for start in range(0, len(ids), CHUNK):
            part = ids[start : start + CHUNK]
            query = f"SELECT trajectory_id FROM item_log l WHERE event = 'learned' AND {lineage.sql('l.seq')}"
            found |= {row[0] for row in self._store.select(f"{query} AND trajectory_id IN ({_marks(part)})", part)}
        return found

    def events(self, item_id: str, lineage: Lineage) -> list[dict[str, object]]:
        """Return the visible history of an item, oldest first."""
        names = ("seq", "event", "at", "trajectory_id", "reward", "status", "q_value", "rewards", "detail")
        query = f"SELECT {', '.join(names)} FROM item_log l WHERE subject = ? AND {lineage.sql('l.seq')} ORDER BY seq"
        rows = self._store.select(query, [item_id])
        return [{k: v for k, v in zip(names, row, strict=True) if v is not None} for row in rows]

    def event_counts(self) -> dict[str, int]:
        """Return how many events of each kind were ever written."""
        rows = self._store.select("SELECT event, count(*) FROM item_log GROUP BY event")
        return {row[0]: int(row[1]) for row in rows}

    def fresh(self, after: int, embedder: str, limit: int) -> list[Fresh]:
        """Return the items that came after a number, in order, with their vectors."""
        query = (
            "SELECT i.seq, i.text_id, i.body, v.vector FROM items i "
            "LEFT JOIN vectors v ON v.text_id = i.text_id AND v.embedder = ? "
            f"WHERE i.seq > ? ORDER BY i.seq LIMIT {limit:d}"
        )
        rows = self._store.select(query, [embedder, after])
        return [Fresh(seq, ident, json.loads(body)["applies"], vector) for seq, ident, body, vector in rows]

    def size(self) -> int:
        """Return how many items were ever added."""
        return int(self._store.select("SELECT count(*) FROM items")[0][0])

    def newest(self) -> int:
        """Return the number of the item that came last, 0 where there is none."""
        return int(self._store.select("SELECT max(seq) FROM items")[0][0] or 0)

    def vectors(self, text_ids: Sequence[str], embedder: str) -> dict[str, bytes]:
        """Return the stored vectors of texts."""
        query = f"SELECT text_id, vector FROM vectors WHERE embedder = ? AND text_id IN ({_marks(text_ids)})"
        return {row[0]: bytes(row[1]) for row in self._store.select(query, [embedder, *text_ids])}

    def _item(self, body: str, state: State) -> Item:
        return Item.model_validate_json(body).model_copy(
            update={
                "status": state.status,
                "q_value": state.q_value,
                "uncertainty": state.uncertainty(self._alpha),
                "retrieval_count": state.retrievals,
                "reward_count": state.rewards,
                "success_count": state.successes,
                "last_used_at": state.used_at,
            }
        )

    def _with_sources(self, item: Item, lineage: Lineage) -> Item:
        query = f"SELECT detail FROM item_log l WHERE subject = ? AND event = 'merged' AND {lineage.sql('l.seq')}"
        ids = [*item.trajectory_ids]
        for (detail,) in self._store.select(query + " ORDER BY seq", [item.id]):
            ids += [ident for ident in json.loads(detail)["trajectory_ids"] if ident not in ids]
        return item.model_copy(update={"trajectory_ids": tuple(ids)})


def current(columns: str, lineage: Lineage) -> str:
    """Return the query for items (`i`) with the latest visible row of their log (`l`).

    One seek in the log's key per item, however long the log is.
    """
    return f"SELECT {columns} FROM items i {_latest('i.id', lineage)}"


def applying_to(count: int, lineage: Lineage) -> str:
    """Return the query for the items of `count` texts with their states."""
    columns = f"SELECT i.text_id, i.id, {STATE} FROM s JOIN items i ON i.text_id = s.id"
    return f"{_given(count)} {columns} {_latest('i.id', lineage)}"


def states_of(count: int, lineage: Lineage) -> str:
    """Return the query for the states of `count` subjects; it reads the log alone, one seek for each."""
    return f"{_given(count)} SELECT l.subject, {STATE} FROM s {_latest('s.id', lineage)}"


def _latest(subject: str, lineage: Lineage) -> str:
    visible = lineage.sql("seq")
    latest = f"SELECT seq FROM item_log WHERE subject = {subject} AND {visible} ORDER BY seq DESC LIMIT 1"
    return f"JOIN item_log l ON l.subject = {subject} AND l.seq = ({latest})"


def _given(count: int) -> str:
    return f"WITH s(id) AS (VALUES {', '.join(['(CAST(? AS TEXT))'] * count)})"


def _marks(values: Sequence[object]) -> str:
    return ", ".join("?" * len(values))


def statistics(reading: Reading, lineage: Lineage) -> dict[str, Any]:
    """Return how many items and events there are, and the running statistics."""
    items: dict[str, dict[str, int]] = {}
    for (kind, status), count in sorted(reading.counts(lineage).items()):
        items.setdefault(kind, {})[status] = count
    names = reading.subjects("category:")
    return {
        "items": items,
        "events": reading.event_counts(),
        "similarity": reading.running("similarity", lineage)._asdict(),
        "categories": {n.removeprefix("category:"): reading.running(n, lineage)._asdict() for n in names},
    }
