"""Rows as files: JSON lines and Parquet that `datasets` loads, for trainers that are not ours."""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from ..core import Trajectory
from ..errors import ConfigError, TrainingError, boundary
from ..store_io import open_lines, parquet, whole_file
from .rows import LEFT_OUT, Form, Row, Tokenizer, rows_of
from .segments import trained_messages
from .strip import bare_messages
from .texts import answer, chat_form

BATCH = 512
"""Rows that are in memory at once."""
LISTS = ("prompt_ids", "completion_ids", "loss_mask", "logprobs", "steps")


@dataclass
class Written:
    """What was written."""

    rows: int = 0
    trajectories: int = 0
    """How many gave at least one row."""
    left_out: dict[str, int] = field(default_factory=dict)
    """Why a trajectory gave none, and how many."""


def export_rows(
    trajectories: Iterable[Trajectory],
    path: str | Path,
    *,
    form: Form = "step",
    tokenizer: Tokenizer | None = None,
    strip: bool = False,
) -> Written:
    """Write the rows of trajectories to a .jsonl, .jsonl.gz or .parquet file, one record a row.

    Records hold the fields of `Row` (`logprobs` is null where nobody knows them), the trajectory's task, split,
    reward and success, and as `messages` the chat of the step that the row ends in. Attempts that infrastructure
    ended, and those with token ids at some answers only, are left out. `datasets` takes the types of JSON lines from
    their first ten megabytes: a longer file that mixes rows with and without log-probabilities loads as Parquet only,
    which states its types.

    Args:
        trajectories: any; they are read once, a few at a time.
        path: the file.
        form: one row per answer, or as few as the prompts allow.
        tokenizer: see `rows_of`.
        strip: see `rows_of`.

    Raises:
        ConfigError: the suffix is another, or an extra is missing.
        TrainingError: rows cannot be made of a trajectory; says which.
        StoreError: the file cannot be written. Nothing is left behind in any of these cases.
    """
    path = Path(path)
    write = _writer(path)
    done = Written()
    with whole_file(path) as temporary:
        write(_records(trajectories, done, form, tokenizer, strip), temporary)
    return done


def read_rows(path: str | Path) -> Iterator[Row]:
    """Yield the rows of a file that `export_rows` wrote.

    Raises:
        ConfigError: the file is missing, or no file of rows; says which record is wrong.
    """
    path = Path(path)
    _writer(path)
    broken = (OSError, EOFError, zlib.error, ValueError, KeyError, TypeError)
    with boundary(ConfigError, f"{path} is no file of rows", *broken):
        for number, record in enumerate(_read(path), 1):
            with boundary(ConfigError, f"{path}, record {number}", ValueError, KeyError, TypeError):
                row = _row(record)
            yield row


def _records(
    trajectories: Iterable[Trajectory], done: Written, form: Form, tokenizer: Tokenizer | None, strip: bool
) -> Iterator[dict[str, Any]]:
    for trajectory in trajectories:
        rows, why = [], "infrastructure"
        if trajectory.failure is None:
            try:
                rows, why = rows_of(trajectory, form=form, tokenizer=tokenizer, strip=strip), "nothing to train on"
            except TrainingError as error:
                if error.kind not in LEFT_OUT:
                    raise
                why = LEFT_OUT[error.kind]
        if not rows:
            done.left_out[why] = done.left_out.get(why, 0) + 1
        done.rows += len(rows)
        done.trajectories += bool(rows)
        for at, row in enumerate(rows):
            # Rows of answers that asked for tools stand before that of the answer they led to.
            later = sum(other.steps[-1] == row.steps[-1] for other in rows[at + 1 :])
            yield _record(row, trajectory, strip, later if form == "step" else 0)


def _record(row: Row, trajectory: Trajectory, strip: bool, later: int) -> dict[str, Any]:
    last = next(step for step in reversed(trajectory.steps) if step.index == row.steps[-1])
    said = answer(last)
    messages = (*(bare_messages(last) if strip else last.messages), *((said,) if said is not None else ()))
    asked = [at for at, own in enumerate(trained_messages(last)) if own]
    if 0 < later <= len(asked):
        messages = messages[: asked[-later] + 1]
    return {
        **asdict(row),
        "logprobs": row.logprobs if row.on_record else None,
        "task_id": trajectory.task.id,
        "split": trajectory.task.split,
        "reward": trajectory.reward,
        "success": trajectory.success,
        "messages": chat_form(messages, as_text=True),
    }


def _row(record: Mapping[str, Any]) -> Row:
    known = {name: record[name] for name in (entry.name for entry in fields(Row))}
    numbers = {name: tuple(known[name] or ()) for name in LISTS}
    row = Row(**{**known, **numbers})
    lengths = {len(row.loss_mask), len(row.steps), len(row.logprobs) if row.on_record else len(row.completion_ids)}
    if lengths != {len(row.completion_ids)}:
        raise ValueError(f"its lists differ in length from its {len(row.completion_ids)} completion ids")
    return row


def _writer(path: Path) -> Callable[[Iterator[dict[str, Any]], Path], None]:
    if path.name.endswith((".jsonl", ".jsonl.gz")):
        return _write_jsonl
    if path.suffix == ".parquet":
        return _write_parquet
    raise ConfigError(f"cannot tell the format of {path}.", hint="Name it .jsonl, .jsonl.gz or .parquet.")


def _write_jsonl(records: Iterator[dict[str, Any]], path: Path) -> None:
    with open_lines(path, "wb") as file:
        for record in records:
            file.write(json.dumps(record, ensure_ascii=False).encode() + b"\n")


def _write_parquet(records: Iterator[dict[str, Any]], path: Path) -> None:
    pa, pq = parquet()
    schema = _schema(pa)
    with pq.ParquetWriter(path, schema, compression="zstd") as file:
        batch: list[dict[str, Any]] = []
        for record in records:
            batch.append(record)
            if len(batch) == BATCH:
                file.write_table(pa.Table.from_pylist(batch, schema=schema))
                batch = []
        file.write_table(pa.Table.from_pylist(batch, schema=schema))


def _schema(pa: Any) -> Any:
    function = pa.struct([("name", pa.string()), ("arguments", pa.string())])
    call = pa.struct([("id", pa.string()), ("type", pa.string()), ("function", function)])
    message = [("role", pa.string()), ("content", pa.string())]
    message += [("tool_calls", pa.list_(call)), ("tool_call_id", pa.string())]
    return pa.schema(
        [(name, pa.string()) for name in ("trajectory_id", "group_id", "model", "policy_version", "task_id", "split")]
        + [(name, pa.list_(pa.int64())) for name in LISTS if name != "logprobs"]
        + [("logprobs", pa.list_(pa.float64())), ("reward", pa.float64())]
        + [("success", pa.bool_()), ("stripped", pa.bool_()), ("messages", pa.list_(pa.struct(message)))]
    )


def _read(path: Path) -> Iterator[dict[str, Any]]:
    if path.suffix == ".parquet":
        _, pq = parquet()
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(BATCH):
                yield from batch.to_pylist()
        return
    with open_lines(path, "rb") as lines:
        for line in lines:
            if line.strip():
                yield json.loads(line)
