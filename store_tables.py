"""The tables of the store, and how an older store becomes a newer one."""

from __future__ import annotations

import sqlalchemy as sa

STORE_SCHEMA = 1
"""Version of the tables below. A change that older code cannot read raises it and adds a step to `MIGRATIONS`."""

METADATA = sa.MetaData()

META = sa.Table(
    "meta", METADATA, sa.Column("key", sa.Text, primary_key=True), sa.Column("value", sa.Text, nullable=False)
)

RUNS = sa.Table(
    "runs",
    METADATA,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("release_id", sa.Text, nullable=False, server_default=""),
    sa.Column("created_at", sa.Float, nullable=False),
    sa.Column("config", sa.Text, nullable=False),
)

RELEASES = sa.Table(
    "releases",
    METADATA,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("parent", sa.Text),
    sa.Column("created_at", sa.Float, nullable=False),
    sa.Column("body", sa.Text, nullable=False),
)

TASKS = sa.Table(
    "tasks",
    METADATA,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("content", sa.Text, primary_key=True),
    sa.Column("environment", sa.Text, nullable=False),
    sa.Column("split", sa.Text, nullable=False),
    sa.Column("category", sa.Text, nullable=False),
    sa.Column("body", sa.Text, nullable=False),
)
"""Tasks by id and content hash: two tasksets may use one id for different tasks."""

TRAJECTORIES = sa.Table(
    "trajectories",
    METADATA,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("run_id", sa.Text, nullable=False),
    sa.Column("task_id", sa.Text, nullable=False),
    sa.Column("split", sa.Text, nullable=False),
    sa.Column("category", sa.Text, nullable=False),
    sa.Column("sample", sa.Integer, nullable=False),
    sa.Column("attempt", sa.Integer, nullable=False),
    sa.Column("group_id", sa.Text, nullable=False, server_default=""),
    sa.Column("release_id", sa.Text, nullable=False, server_default=""),
    sa.Column("open", sa.Boolean, nullable=False),
    sa.Column("failed", sa.Boolean, nullable=False),
    sa.Column("success", sa.Boolean),
    sa.Column("reward", sa.Float),
    sa.Column("steps", sa.Integer, nullable=False, server_default="0"),
    sa.Column("started_at", sa.Float, nullable=False, server_default="0"),
    sa.Column("body", sa.Text),
    sa.Index("trajectories_by_run", "run_id", "task_id", "sample", "attempt"),
)
"""`body` is the trajectory without its steps; it is missing while the attempt is open."""

STEPS = sa.Table(
    "steps",
    METADATA,
    sa.Column("trajectory_id", sa.Text, primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("body", sa.LargeBinary, nullable=False),
    sqlite_with_rowid=False,
)
"""`body` is the step as JSON, compressed by zlib at level 1."""

MIGRATIONS: dict[int, tuple[str, ...]] = {}
"""From a schema version to the statements that lead to the next one."""
