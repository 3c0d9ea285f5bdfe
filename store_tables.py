"""The tables of the store, and how an older store becomes a newer one."""

from __future__ import annotations

import sqlalchemy as sa

STORE_SCHEMA = 4
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

ITEMS = sa.Table(
    "items",
    METADATA,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("seq", sa.BigInteger, nullable=False, unique=True),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("text_id", sa.Text, nullable=False),
    sa.Column("created_at", sa.Float, nullable=False),
    sa.Column("body", sa.Text, nullable=False),
    sa.Index("items_by_text", "text_id", "id"),
)
"""What was remembered, by content; never changed. What became of it is in `item_log`."""

ITEM_LOG = sa.Table(
    "item_log",
    METADATA,
    sa.Column("subject", sa.Text, primary_key=True),
    sa.Column("seq", sa.BigInteger, primary_key=True),
    sa.Column("event", sa.Text, nullable=False),
    sa.Column("kind", sa.Text, nullable=False, server_default=""),
    sa.Column("trajectory_id", sa.Text),
    sa.Column("at", sa.Float, nullable=False),
    sa.Column("reward", sa.Float),
    sa.Column("status", sa.Text, nullable=False),
    sa.Column("q_value", sa.Float, nullable=False),
    sa.Column("variance", sa.Float, nullable=False),
    sa.Column("retrievals", sa.Integer, nullable=False),
    sa.Column("rewards", sa.Integer, nullable=False),
    sa.Column("successes", sa.Integer, nullable=False),
    sa.Column("kept", sa.Integer, nullable=False),
    sa.Column("kept_sum", sa.Float, nullable=False),
    sa.Column("left_out", sa.Integer, nullable=False),
    sa.Column("left_out_sum", sa.Float, nullable=False),
    sa.Column("used_at", sa.Float),
    sa.Column("detail", sa.Text),
    sa.Index("item_log_by_trajectory", "trajectory_id"),
    sqlite_with_rowid=False,
)
"""Append-only: each event with the state it led to, so that the latest visible row of a subject is its state.

`kind` is the item's, repeated here so that recall reads one table only.
"""

VECTORS = sa.Table(
    "vectors",
    METADATA,
    sa.Column("text_id", sa.Text, primary_key=True),
    sa.Column("embedder", sa.Text, primary_key=True),
    sa.Column("vector", sa.LargeBinary, nullable=False),
)
"""Embeddings by the hash of their text, as little-endian float32, so that an index is rebuilt without a model."""

MEMORY = sa.Table(
    "memory",
    METADATA,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("seq", sa.BigInteger, nullable=False),
    sa.Column("visible", sa.Text, nullable=False),
)
"""One row: the id of this memory, the latest number given, and which ranges of numbers are visible."""

SNAPSHOTS = sa.Table(
    "memory_snapshots",
    METADATA,
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("at", sa.Float, nullable=False),
    sa.Column("note", sa.Text, nullable=False),
    sa.Column("items", sa.Integer, nullable=False),
    sa.Column("visible", sa.Text, nullable=False),
)

TOOL_LOG = sa.Table(
    "tool_log",
    METADATA,
    sa.Column("seq", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("at", sa.Float, nullable=False),
    sa.Column("event", sa.Text, nullable=False),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("tool_id", sa.Text, nullable=False),
    sa.Column("run_id", sa.Text, nullable=False),
    sa.Column("trajectory_id", sa.Text, nullable=False),
    sa.Column("call_id", sa.Text),
    sa.Column("payload", sa.Text, nullable=False),
    sa.Index("tool_log_once", "trajectory_id", "call_id", "event", unique=True),
)
"""Append-only: what became of the tools that agents wrote. Their state is a fold over it.

A call of a trajectory brings an event about at most once; `call_id` is missing where no call did.
"""

PROMOTIONS = sa.Table(
    "promotions",
    METADATA,
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("release_id", sa.Text, nullable=False),
    sa.Column("action", sa.Text, nullable=False),
    sa.Column("report_id", sa.Text, unique=True),
    sa.Column("before", sa.Text),
    sa.Column("reason", sa.Text, nullable=False, server_default=""),
    sa.Column("at", sa.Float, nullable=False),
)
"""Append-only: which release was made the head, and by what. The last row is the head; a report is used once."""

GATE_REPORTS = sa.Table(
    "gate_reports",
    METADATA,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("candidate", sa.Text, nullable=False),
    sa.Column("incumbent", sa.Text, nullable=False),
    sa.Column("decision", sa.Text, nullable=False),
    sa.Column("held_out", sa.Text, nullable=False),
    sa.Column("created_at", sa.Float, nullable=False),
    sa.Column("body", sa.Text, nullable=False),
    sa.Index("gate_reports_by_candidate", "candidate"),
)
"""Every decision of a gate, by content; never changed."""

MIGRATIONS: dict[int, tuple[str, ...]] = {1: (), 2: (), 3: ()}
"""From a schema version to the statements that lead to the next one; tables that are new are made anyway."""
