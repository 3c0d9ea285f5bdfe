"""The one door to SQLite or PostgreSQL: tasks, runs, attempts with their steps, releases."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from pydantic import JsonValue
from sqlalchemy.exc import SQLAlchemyError

from .core import Release, Step, Task, Trajectory
from .errors import StoreError

META = sa.MetaData()
ATTEMPTS = sa.Table(
    "attempts",
    META,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("run_id", sa.Text, index=True),
    sa.Column("task_id", sa.Text),
    sa.Column("sample", sa.Integer),
    sa.Column("attempt", sa.Integer),
    sa.Column("open", sa.Boolean),
    sa.Column("failed", sa.Boolean),
    sa.Column("success", sa.Boolean),
    sa.Column("header", sa.Text),
)
STEPS = sa.Table(
    "steps",
    META,
    sa.Column("trajectory_id", sa.Text, primary_key=True),
    sa.Column("index", sa.Integer, primary_key=True),
    sa.Column("body", sa.LargeBinary),
)
RUNS = sa.Table("runs", META, sa.Column("id", sa.Text, primary_key=True), sa.Column("config", sa.Text))
RELEASES = sa.Table("releases", META, sa.Column("id", sa.Text, primary_key=True), sa.Column("body", sa.Text))


@dataclass(frozen=True)
class AttemptRow:
    trajectory_id: str
    task_id: str
    sample: int
    attempt: int
    open: bool


class Store:
    local = True

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine
        META.create_all(engine)

    @classmethod
    def open(cls, url: str | Path, *, create: bool = True) -> Store:
        engine = sa.create_engine(f"sqlite:///{url}")

        @sa.event.listens_for(engine, "connect")
        def _pragma(connection: Any, record: Any) -> None:
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=NORMAL")

        return cls(engine)

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_: Any) -> None:
        self._engine.dispose()

    def put_run(self, run_id: str, *, config: dict[str, JsonValue], release_id: str = "") -> None:
        with self._engine.begin() as c, suppress(SQLAlchemyError):
            c.execute(RUNS.insert().values(id=run_id, config=json.dumps(config)))

    def put_release(self, release: Release) -> None:
        with self._engine.begin() as c, suppress(SQLAlchemyError):
            c.execute(RELEASES.insert().values(id=release.id, body=release.model_dump_json()))

    def get_release(self, ident: str) -> Release | None:
        with self._engine.begin() as c:
            row = c.execute(sa.select(RELEASES.c.body).where(RELEASES.c.id == ident)).scalar()
        return Release.model_validate_json(row) if row else None

    def begin_attempt(self, trajectory_id: str, *, run_id: str, task: Task, sample: int, attempt: int) -> None:
        with self._engine.begin() as c:
            if c.execute(sa.select(ATTEMPTS.c.id).where(ATTEMPTS.c.id == trajectory_id)).scalar():
                return
            c.execute(
                ATTEMPTS.insert().values(
                    id=trajectory_id,
                    run_id=run_id,
                    task_id=task.id,
                    sample=sample,
                    attempt=attempt,
                    open=True,
                    failed=False,
                )
            )

    def append_step(self, trajectory_id: str, step: Step) -> None:
        body = zlib.compress(step.model_dump_json().encode(), 1)
        with self._engine.begin() as c:
            old = c.execute(
                sa.select(STEPS.c.body).where(STEPS.c.trajectory_id == trajectory_id, STEPS.c.index == step.index)
            ).scalar()
            if old == body:
                return
            if old is not None:
                raise StoreError(f"step {step.index} of {trajectory_id} differs.", kind="conflict")
            c.execute(STEPS.insert().values(trajectory_id=trajectory_id, index=step.index, body=body))

    def steps_of(self, trajectory_id: str) -> tuple[Step, ...]:
        with self._engine.begin() as c:
            q = sa.select(STEPS.c.body).where(STEPS.c.trajectory_id == trajectory_id).order_by(STEPS.c.index)
            return tuple(Step.model_validate_json(zlib.decompress(b)) for b in c.execute(q).scalars())

    def finish(self, trajectory: Trajectory) -> None:
        for step in trajectory.steps:
            self.append_step(trajectory.id, step)
        with self._engine.begin() as c:
            c.execute(
                ATTEMPTS.update()
                .where(ATTEMPTS.c.id == trajectory.id)
                .values(
                    open=False,
                    failed=trajectory.failure is not None,
                    success=trajectory.success,
                    header=trajectory.model_dump_json(exclude={"steps"}),
                )
            )

    def finished(self, run_id: str) -> set[tuple[str, int]]:
        q = sa.select(ATTEMPTS.c.task_id, ATTEMPTS.c.sample).where(
            ATTEMPTS.c.run_id == run_id, ~ATTEMPTS.c.open, ~ATTEMPTS.c.failed
        )
        with self._engine.begin() as c:
            return {(t, s) for t, s in c.execute(q)}

    def attempts(self, run_id: str) -> list[AttemptRow]:
        with self._engine.begin() as c:
            rows = c.execute(sa.select(ATTEMPTS).where(ATTEMPTS.c.run_id == run_id)).mappings()
            return [AttemptRow(r["id"], r["task_id"], r["sample"], r["attempt"], r["open"]) for r in rows]

    def headers(self, *, run_id: str) -> Iterator[Trajectory]:
        q = sa.select(ATTEMPTS.c.header).where(ATTEMPTS.c.run_id == run_id, ~ATTEMPTS.c.open)
        with self._engine.begin() as c:
            yield from [Trajectory.model_validate_json(h) for h in c.execute(q).scalars()]

    def trajectory(self, ident: str) -> Trajectory:
        with self._engine.begin() as c:
            h = c.execute(sa.select(ATTEMPTS.c.header).where(ATTEMPTS.c.id == ident)).scalar()
        return Trajectory.model_validate_json(h).model_copy(update={"steps": self.steps_of(ident)})

    def trajectories(self, *, run_id: str) -> Iterator[Trajectory]:
        for h in self.headers(run_id=run_id):
            yield self.trajectory(h.id)
