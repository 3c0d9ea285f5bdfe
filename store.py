"""The one door to SQLite or PostgreSQL: tasks, runs, attempts with their steps, releases.

All writes are idempotent: doing one again changes nothing, and writing something else under the same key is an error.
So neither a crash nor a retry nor a second worker can lose or double anything.
"""

from __future__ import annotations

import json
import sqlite3
import time
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, TypeVar

import sqlalchemy as sa
from pydantic import JsonValue, ValidationError
from sqlalchemy.exc import SQLAlchemyError

from .core import Release, Step, Task, Trajectory
from .errors import StoreError
from .store_engine import engine_for, is_busy, named, prepare, select
from .store_rows import ADD_STEP, attempt_row, decode_step, encode_step, insert_new, put_step, task_row
from .store_tables import RELEASES, RUNS, STEPS, TASKS, TRAJECTORIES

T = TypeVar("T")
PATIENCE_S = 20.0
"""How long a write waits for another process to be done, in seconds."""


class AttemptRow(NamedTuple):
    """An attempt as a run needs to know it."""

    trajectory_id: str
    task_id: str
    sample: int
    attempt: int
    open: bool
    failed: bool
    """Infrastructure ended it."""


class Store:
    """Open one with `Store.open`; use it as a context manager. Safe to share between threads."""

    def __init__(self, engine: sa.Engine, place: str) -> None:
        self._engine = engine
        self.place = place
        """How to call it in messages: a path, or a URL without its password."""
        self.local = engine.dialect.name == "sqlite"
        """Whether a write takes less time than handing it to another thread."""

    @classmethod
    def open(cls, url: str | Path, *, create: bool = True) -> Store:
        """Open a store: a path to an SQLite file, or a SQLAlchemy URL.

        Raises:
            StoreError: it cannot be reached, is no store, or was written by a newer Lamarck.
        """
        engine, place = engine_for(url, create=create)
        try:
            prepare(engine, place, create=create)
        except SQLAlchemyError as error:
            engine.dispose()
            raise named(error, f"opening store {place}", place) from error
        except StoreError:
            engine.dispose()
            raise
        return cls(engine, place)

    def __enter__(self) -> Store:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close all connections."""
        self._engine.dispose()

    # Runs, releases, tasks.

    def put_run(self, run_id: str, *, config: Mapping[str, JsonValue], release_id: str = "") -> None:
        """Register a run; a run that is there stays as it is."""
        row = {"id": run_id, "release_id": release_id, "created_at": time.time(), "config": json.dumps(config)}
        self.write(f"run {run_id}", lambda c: insert_new(c, RUNS, row))

    def put_release(self, release: Release) -> None:
        """Store a release; its id is its content."""
        row = {
            "id": release.id,
            "parent": release.parent,
            "created_at": release.created_at,
            "body": release.model_dump_json(),
        }
        self.write(f"release {release.id}", lambda c: insert_new(c, RELEASES, row))

    def get_release(self, release_id: str) -> Release | None:
        """Return a release, or None."""
        found = self.read(sa.select(RELEASES.c.body).where(RELEASES.c.id == release_id)).scalar()
        return Release.model_validate_json(found) if found is not None else None

    def put_tasks(self, tasks: Iterable[Task]) -> None:
        """Store tasks."""
        rows = [task_row(task) for task in tasks]
        self.write("tasks", lambda c: [insert_new(c, TASKS, row) for row in rows])

    def tasks(self, *, split: str | None = None) -> list[Task]:
        """Return the tasks that were stored or played, ordered by id."""
        query = sa.select(TASKS.c.body).order_by(TASKS.c.id, TASKS.c.content)
        if split is not None:
            query = query.where(TASKS.c.split == split)
        return [Task.model_validate_json(body) for body in self.read(query).scalars()]

    # Attempts.

    def begin_attempt(self, trajectory_id: str, *, run_id: str, task: Task, sample: int, attempt: int) -> None:
        """Register an attempt before its first step; one that is there stays as it is."""
        row = attempt_row(trajectory_id, run_id, task, sample, attempt)

        def write(connection: sa.Connection) -> None:
            insert_new(connection, TASKS, task_row(task))
            insert_new(connection, TRAJECTORIES, row)

        self.write(f"attempt {trajectory_id}", write)

    def append_step(self, trajectory_id: str, step: Step) -> None:
        """Store one step as it happens.

        Raises:
            StoreError: kind `conflict` when another step is stored under this number.
        """
        if self.local and self._append_alone(trajectory_id, step):
            return
        self.write(f"step {step.index} of {trajectory_id}", lambda c: put_step(c, trajectory_id, step))

    def steps_of(self, trajectory_id: str, *, brief: bool = False) -> tuple[Step, ...]:
        """Return the steps stored so far, in order; `brief` without prompts and tokens, which is much faster."""
        rows = self.select("SELECT body FROM steps WHERE trajectory_id = ? ORDER BY number", (trajectory_id,))
        try:
            return tuple(decode_step(body, brief=brief) for (body,) in rows)
        except (zlib.error, ValidationError) as error:
            raise StoreError(f"steps of {trajectory_id} in {self.place} are damaged.", kind="damaged") from error

    def drop_attempt(self, trajectory_id: str) -> None:
        """Remove an unfinished attempt and its steps; a finished one is never removed."""

        def write(connection: sa.Connection) -> None:
            gone = connection.execute(
                sa.delete(TRAJECTORIES).where(TRAJECTORIES.c.id == trajectory_id, TRAJECTORIES.c.open)
            )
            if gone.rowcount:
                connection.execute(sa.delete(STEPS).where(STEPS.c.trajectory_id == trajectory_id))

        self.write(f"attempt {trajectory_id}", write)

    def finish(self, trajectory: Trajectory) -> bool:
        """Store a finished trajectory with all its steps, whole or not at all; return False if it was there.

        Raises:
            StoreError: kind `conflict` when another trajectory is stored under this id.
        """
        body = trajectory.model_dump_json(exclude={"steps"})
        row = attempt_row(trajectory.id, trajectory.run_id, trajectory.task, trajectory.sample, trajectory.attempt) | {
            "group_id": trajectory.group_id,
            "release_id": trajectory.release_id,
            "open": False,
            "failed": trajectory.failure is not None,
            "success": trajectory.success,
            "reward": trajectory.reward,
            "steps": len(trajectory.steps),
            "started_at": trajectory.started_at,
            "body": body,
        }

        def write(connection: sa.Connection) -> bool:
            known = sa.select(TRAJECTORIES.c.open, TRAJECTORIES.c.body).where(TRAJECTORIES.c.id == trajectory.id)
            found = connection.execute(known).one_or_none()
            if found is not None and not found.open:
                if found.body != body:
                    raise StoreError(f"trajectory {trajectory.id} is stored with other content.", kind="conflict")
                return False
            insert_new(connection, TASKS, task_row(trajectory.task))
            if found is None:
                connection.execute(sa.insert(TRAJECTORIES).values(row))
            else:
                connection.execute(sa.update(TRAJECTORIES).where(TRAJECTORIES.c.id == trajectory.id).values(row))
            counted = sa.select(sa.func.count()).where(STEPS.c.trajectory_id == trajectory.id)
            stored = connection.execute(counted).scalar_one()
            for step in trajectory.steps[stored:]:
                put_step(connection, trajectory.id, step)
            return True

        return self.write(f"trajectory {trajectory.id}", write)

    def finished(self, run_id: str) -> set[tuple[str, int]]:
        """Return (task id, sample) of all episodes of a run that came to their end, with no other attempt begun."""
        t, other = TRAJECTORIES.c, TRAJECTORIES.alias().c
        begun = sa.exists().where(
            other.run_id == t.run_id, other.task_id == t.task_id, other.sample == t.sample, other.open
        )
        query = sa.select(t.task_id, t.sample).where(t.run_id == run_id, ~t.open, ~t.failed, ~begun)
        return {(row.task_id, row.sample) for row in self.read(query)}

    def attempts(self, run_id: str) -> list[AttemptRow]:
        """Return all attempts of a run, open ones too, ordered by task, sample and attempt."""
        t = TRAJECTORIES.c
        query = sa.select(t.id, t.task_id, t.sample, t.attempt, t.open, t.failed).where(t.run_id == run_id)
        query = query.order_by(t.task_id, t.sample, t.attempt)
        return [AttemptRow(r.id, r.task_id, r.sample, r.attempt, r.open, r.failed) for r in self.read(query)]

    # Trajectories.

    def trajectory(self, trajectory_id: str) -> Trajectory:
        """Return a finished trajectory.

        Raises:
            StoreError: there is none of that id.
        """
        body = self.read(sa.select(TRAJECTORIES.c.body).where(TRAJECTORIES.c.id == trajectory_id)).scalar()
        if body is None:
            raise StoreError(f"store {self.place} has no finished trajectory {trajectory_id}.", kind="missing")
        return Trajectory.model_validate_json(body).model_copy(update={"steps": self.steps_of(trajectory_id)})

    def headers(
        self,
        *,
        run_id: str | None = None,
        task_id: str | None = None,
        split: str | None = None,
        success: bool | None = None,
        failed: bool | None = None,
        limit: int | None = None,
    ) -> Iterator[Trajectory]:
        """Yield finished trajectories without their steps, in the order in which they began."""
        t = TRAJECTORIES.c
        query = sa.select(t.body).where(~t.open).order_by(t.started_at, t.id)
        wanted = {t.run_id: run_id, t.task_id: task_id, t.split: split, t.success: success, t.failed: failed}
        for column, value in wanted.items():
            if value is not None:
                query = query.where(column == value)
        if limit is not None:
            query = query.limit(limit)
        for body in self.read(query).scalars():
            yield Trajectory.model_validate_json(body)

    def trajectories(self, **wanted: Any) -> Iterator[Trajectory]:
        """Yield finished trajectories with their steps; takes what `headers` takes."""
        for header in self.headers(**wanted):
            yield header.model_copy(update={"steps": self.steps_of(header.id)})

    def counts(self) -> dict[str, int]:
        """Return how many rows there are of each kind."""
        tables = {"runs": RUNS, "releases": RELEASES, "tasks": TASKS, "trajectories": TRAJECTORIES, "steps": STEPS}
        return {
            name: int(self.read(sa.select(sa.func.count()).select_from(table)).scalar_one())
            for name, table in tables.items()
        }

    def select(self, query: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Run one SELECT with `?` placeholders, quickly.

        Raises:
            StoreError: the store cannot be read.
        """
        with self._named("reading"):
            return select(self._engine, query, values)

    def read(self, query: sa.Select[Any]) -> sa.Result[Any]:
        """Run one query of SQLAlchemy's.

        Raises:
            StoreError: the store cannot be read.
        """
        with self._engine.connect() as connection, self._named("reading"):
            # Fetched whole, so that nothing stays locked while the caller works.
            return connection.execute(query).freeze()()

    def _append_alone(self, trajectory_id: str, step: Step) -> bool:
        """Insert a step by a single statement, which SQLite commits by itself; False leaves it to `_write`.

        This runs in every step of every episode, and a transaction of its own would take twice as long.
        """
        connection = self._engine.raw_connection()
        try:
            row = (trajectory_id, step.index, encode_step(step))
            return bool(connection.cursor().execute(ADD_STEP, row).rowcount > 0)
        except sqlite3.Error:
            return False
        finally:
            connection.close()

    def write(self, what: str, write: Callable[[sa.Connection], T]) -> T:
        """Run one transaction; wait and try again while another process holds the store.

        Args:
            what: what is written, for the message.
            write: gets the connection; may be called again after a conflict.

        Raises:
            StoreError: it cannot be written.
        """
        deadline = time.monotonic() + PATIENCE_S
        while True:
            try:
                with self._engine.begin() as connection:
                    return write(connection)
            except SQLAlchemyError as error:
                if not is_busy(error) or time.monotonic() > deadline:
                    raise named(error, f"writing {what}", self.place) from error
                time.sleep(0.05)

    @contextmanager
    def _named(self, what: str) -> Iterator[None]:
        try:
            yield
        except SQLAlchemyError as error:
            raise named(error, what, self.place) from error
