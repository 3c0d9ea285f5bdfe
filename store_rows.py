"""Rows of the store: made from nouns, and inserted so that doing it twice changes nothing."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from typing import Any, cast

import sqlalchemy as sa
from pydantic import BaseModel, ConfigDict, create_model

from .core import Step, Task, content_id
from .errors import StoreError
from .store_tables import STEPS


def insert_new(connection: sa.Connection, table: sa.Table, row: Mapping[str, Any]) -> bool:
    """Insert a row unless its key is there; return whether it was new."""
    if connection.dialect.name == "postgresql":
        from sqlalchemy.dialects.postgresql import insert as postgres_insert

        return connection.execute(postgres_insert(table).values(row).on_conflict_do_nothing()).rowcount > 0
    return connection.execute(sa.insert(table).prefix_with("OR IGNORE", dialect="sqlite"), row).rowcount > 0


def insert_rows(connection: sa.Connection, table: sa.Table, rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert many rows, leaving out those whose key is there."""
    if not rows:
        return
    if connection.dialect.name == "postgresql":
        from sqlalchemy.dialects.postgresql import insert as postgres_insert

        connection.execute(postgres_insert(table).on_conflict_do_nothing(), list(rows))
        return
    connection.execute(sa.insert(table).prefix_with("OR IGNORE", dialect="sqlite"), list(rows))


ADD_STEP = "INSERT OR IGNORE INTO steps (trajectory_id, number, body) VALUES (?, ?, ?)"


def encode_step(step: Step) -> bytes:
    """Return a step as compressed JSON. Prompts repeat themselves, so it takes a fraction of the room."""
    return zlib.compress(step.model_dump_json(exclude_defaults=True).encode(), 1)


LARGE = frozenset(
    {
        *("messages", "recalled_text", "admissible", "rounds", "choice"),
        *("prompt_token_ids", "token_ids", "logprobs", "entropies"),
    }
)
"""Fields of a step that hold what was sent and sampled: most of its bytes, and what figures do not read."""
_BRIEF: type[BaseModel] = cast(Any, create_model)(
    "BriefStep",
    __config__=ConfigDict(extra="ignore"),
    **{name: (field.annotation, field) for name, field in Step.model_fields.items() if name not in LARGE},
)
_EMPTY: dict[str, Any] = {name: Step.model_fields[name].get_default(call_default_factory=True) for name in LARGE}


def decode_step(body: bytes, *, brief: bool = False) -> Step:
    """Return a step from compressed JSON, checked field by field.

    Args:
        body: see `encode_step`.
        brief: leave the `LARGE` fields empty and unchecked; all others are checked as ever, in a third of the time.

    Raises:
        zlib.error, ValidationError: it is damaged.
    """
    text = zlib.decompress(body)
    if not brief:
        return Step.model_validate_json(text)
    read = _BRIEF.model_validate_json(text)
    return Step.model_construct(read.model_fields_set, **_EMPTY, **read.__dict__)


def put_step(connection: sa.Connection, trajectory_id: str, step: Step) -> None:
    """Store a step under its number; the same one again is fine.

    Raises:
        StoreError: another step has this number.
    """
    body = encode_step(step)
    new = insert_new(connection, STEPS, {"trajectory_id": trajectory_id, "number": step.index, "body": body})
    if new:
        return
    query = sa.select(STEPS.c.body).where(STEPS.c.trajectory_id == trajectory_id, STEPS.c.number == step.index)
    if connection.execute(query).scalar_one() != body:
        raise StoreError(f"step {step.index} of {trajectory_id} is stored with other content.", kind="conflict")


def attempt_row(trajectory_id: str, run_id: str, task: Task, sample: int, attempt: int) -> dict[str, Any]:
    """Return the row of an attempt that has begun."""
    return {
        "id": trajectory_id,
        "run_id": run_id,
        "task_id": task.id,
        "split": task.split,
        "category": task.category,
        "sample": sample,
        "attempt": attempt,
        "open": True,
        "failed": False,
    }


def task_row(task: Task) -> dict[str, Any]:
    """Return the row of a task."""
    body = task.model_dump_json()
    return {
        "id": task.id,
        "content": content_id(body),
        "environment": task.environment,
        "split": task.split,
        "category": task.category,
        "body": body,
    }
