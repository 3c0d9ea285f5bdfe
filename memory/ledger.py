"""Writing to the memory's tables: items, events, snapshots. Everything is one transaction and can be repeated."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import sqlalchemy as sa

from ..core import Item, ItemStatus, content_id
from ..errors import StoreError
from ..store import Store
from ..store_rows import insert_new, insert_rows
from ..store_tables import ITEM_LOG, ITEMS, MEMORY, SNAPSHOTS, VECTORS
from .lineage import Lineage
from .reading import Head, current, states_of
from .state import State

MUTABLE = {"status", "q_value", "uncertainty", "retrieval_count", "reward_count", "success_count", "last_used_at"}
"""Fields of an `Item` that come from its log; the rest never changes."""


class Snapshot(NamedTuple):
    """A state of the whole memory that one can go back to."""

    number: int
    at: float
    note: str
    items: int


class Entry(NamedTuple):
    """One event to be written: the state it leads to, and what it came from."""

    subject: str
    event: str
    state: State
    trajectory_id: str | None = None
    reward: float | None = None
    detail: Mapping[str, object] | None = None


class Transaction:
    """One transaction on the memory; hands out the numbers of what is written in it."""

    def __init__(self, connection: sa.Connection, now: float) -> None:
        self.connection = connection
        self.now = now
        row = connection.execute(sa.select(MEMORY).where(MEMORY.c.id == 1).with_for_update()).one()
        self.head = Head(row.name, row.seq, Lineage.read(row.visible))
        self._seq: int = row.seq

    def number(self) -> int:
        """Return the next number."""
        self._seq += 1
        return self._seq

    def states(self, ids: Sequence[str]) -> dict[str, State]:
        """Return the state of those items that are visible."""
        found: dict[str, State] = {}
        for start in range(0, len(ids), 500):
            part = tuple(ids[start : start + 500])
            query = states_of(len(part), self.head.lineage)
            if self.connection.dialect.name == "postgresql":
                query = query.replace("?", "%s")
            for row in self.connection.exec_driver_sql(query, part):
                found[row[0]] = State(*row[1:])
        return found

    def latest(self, subject: str) -> State | None:
        """Return the state of anything that has a log, item or not."""
        query = sa.select(*(ITEM_LOG.c[name] for name in State._fields)).where(ITEM_LOG.c.subject == subject)
        query = query.where(sa.text(self.head.lineage.sql("seq"))).order_by(ITEM_LOG.c.seq.desc()).limit(1)
        row = self.connection.execute(query).one_or_none()
        return State(*row) if row is not None else None

    def happened(self, trajectory_id: str, event: str) -> set[str]:
        """Return the subjects of visible events of a kind that a trajectory brought about."""
        query = sa.select(ITEM_LOG.c.subject).where(
            ITEM_LOG.c.trajectory_id == trajectory_id,
            ITEM_LOG.c.event == event,
            sa.text(self.head.lineage.sql("seq")),
        )
        return set(self.connection.execute(query).scalars())

    def details(self, subject: str, event: str) -> list[dict[str, Any]]:
        """Return the details of a subject's visible events of a kind, oldest first."""
        query = sa.select(ITEM_LOG.c.detail).where(ITEM_LOG.c.subject == subject, ITEM_LOG.c.event == event)
        query = query.where(sa.text(self.head.lineage.sql("seq"))).order_by(ITEM_LOG.c.seq)
        return [json.loads(text) for text in self.connection.execute(query).scalars() if text]

    def write(self, entries: Iterable[Entry]) -> None:
        """Append events."""
        rows = [
            {
                "subject": entry.subject,
                "seq": self.number(),
                "event": entry.event,
                "trajectory_id": entry.trajectory_id,
                "at": self.now,
                "reward": entry.reward,
                "detail": json.dumps(entry.detail) if entry.detail is not None else None,
                **entry.state._asdict(),
            }
            for entry in entries
        ]
        if rows:
            self.connection.execute(sa.insert(ITEM_LOG), rows)

    def close(self) -> None:
        """Keep the numbers that were given."""
        if self._seq != self.head.seq:
            self.connection.execute(sa.update(MEMORY).where(MEMORY.c.id == 1).values(seq=self._seq))


class Ledger:
    """Writes the tables of one memory.

    Args:
        store: where they are.
        clock: Unix time, for tests.
    """

    def __init__(self, store: Store, clock: Callable[[], float] = time.time) -> None:
        self._store = store
        self._clock = clock
        row = {"id": 1, "name": uuid.uuid4().hex, "seq": 0, "visible": Lineage().text()}
        store.write("memory", lambda connection: insert_new(connection, MEMORY, row))

    def do(self, what: str, write: Callable[[Transaction], None]) -> None:
        """Run one transaction; it may be repeated when another process was faster."""

        def run(connection: sa.Connection) -> None:
            transaction = Transaction(connection, self._clock())
            write(transaction)
            transaction.close()

        self._store.write(what, run)

    def add(self, items: Sequence[tuple[Item, State]], vectors: Mapping[str, bytes], embedder: str) -> set[str]:
        """Add items with the vectors of their texts; return the ids of those that were not there yet.

        Args:
            items: items by content (their mutable fields are ignored) and the state each begins with.
            vectors: by `text_id`, little-endian float32.
            embedder: who made the vectors.
        """
        new: set[str] = set()

        def write(transaction: Transaction) -> None:
            new.clear()
            there = transaction.states([item.id for item, _ in items])
            rows, entries = [], []
            for item, state in items:
                if item.id in there or item.id in new:
                    continue
                new.add(item.id)
                rows.append(_row(item, transaction.number(), transaction.now))
                first = item.trajectory_ids[0] if item.trajectory_ids else None
                entries.append(Entry(item.id, "created", state, trajectory_id=first))
            insert_rows(transaction.connection, ITEMS, rows)
            keys = [{"text_id": key, "embedder": embedder, "vector": vector} for key, vector in vectors.items()]
            insert_rows(transaction.connection, VECTORS, keys)
            transaction.write(entries)

        self.do(f"{len(items)} items", write)
        return new

    def set_status(self, ids: Sequence[str], status: ItemStatus, reason: str) -> int:
        """Give items another status; return how many had another one before.

        A retired item that comes back starts its counts anew, or it would be retired again at once.
        """
        changed = 0

        def write(transaction: Transaction) -> None:
            nonlocal changed
            there = transaction.states(ids)
            entries = [
                Entry(ident, status, _with_status(state, status, transaction.now), detail={"reason": reason})
                for ident, state in there.items()
                if state.status != status
            ]
            transaction.write(entries)
            changed = len(entries)

        self.do(f"status of {len(ids)} items", write)
        return changed

    def put_vectors(self, vectors: Mapping[str, bytes], embedder: str) -> None:
        """Store vectors by `text_id`."""
        rows = [{"text_id": key, "embedder": embedder, "vector": vector} for key, vector in vectors.items()]
        self._store.write("vectors", lambda connection: insert_rows(connection, VECTORS, rows))

    # Snapshots.

    def snapshot(self, note: str = "") -> Snapshot:
        """Give the present state a number; one row is written, however large the memory is."""
        made: Snapshot | None = None

        def write(transaction: Transaction) -> None:
            nonlocal made
            count = transaction.connection.execute(sa.text(current("count(*)", transaction.head.lineage))).scalar_one()
            latest = transaction.connection.execute(sa.select(sa.func.max(SNAPSHOTS.c.number))).scalar()
            made = Snapshot((latest or 0) + 1, transaction.now, note, int(count))
            visible = transaction.head.lineage.until(transaction.head.seq).text()
            transaction.connection.execute(sa.insert(SNAPSHOTS).values({**made._asdict(), "visible": visible}))

        self.do("snapshot", write)
        assert made is not None
        return made

    def snapshots(self) -> list[Snapshot]:
        """Return all snapshots, oldest first."""
        query = sa.select(SNAPSHOTS).order_by(SNAPSHOTS.c.number)
        return [Snapshot(row.number, row.at, row.note, row.items) for row in self._store.read(query)]

    def restore(self, number: int) -> None:
        """Go back to a snapshot: what came after it is hidden, not deleted. One row is written.

        Raises:
            StoreError: there is no such snapshot.
        """

        def write(transaction: Transaction) -> None:
            query = sa.select(SNAPSHOTS.c.visible).where(SNAPSHOTS.c.number == number)
            visible = transaction.connection.execute(query).scalar()
            if visible is None:
                known = transaction.connection.execute(sa.select(sa.func.max(SNAPSHOTS.c.number))).scalar()
                hint = f"There are 1 to {known}." if known else "Make one with `lamarck memory snapshot`."
                raise StoreError(f"the memory has no snapshot {number}.", hint=hint, kind="missing")
            # With a number of its own, so that two states of a memory never bear the same one.
            lineage = Lineage.read(visible).reopened(transaction.number())
            change = sa.update(MEMORY).where(MEMORY.c.id == 1).values(visible=lineage.text())
            transaction.connection.execute(change)

        self.do(f"snapshot {number}", write)


def _with_status(state: State, status: ItemStatus, now: float) -> State:
    if state.status != "retired":
        return state._replace(status=status)
    return state._replace(status=status, rewards=0, successes=0, used_at=now)


def text_id(text: str) -> str:
    """Return the key of a text's vector."""
    return content_id("text", text)


def _row(item: Item, seq: int, now: float) -> dict[str, object]:
    created = item.created_at or now
    body = item.model_copy(update={"created_at": created}).model_dump_json(exclude=MUTABLE)
    return {
        "id": item.id,
        "seq": seq,
        "kind": item.kind,
        "text_id": text_id(item.applies),
        "created_at": created,
        "body": body,
    }
