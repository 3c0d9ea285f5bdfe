"""What decides whether an attempt is trained on, read without its steps."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from ..config_training import TrainConfig
from ..core import Trajectory
from ..roles import LONGEST, PREFIXES, SOLVER, about, role_of
from ..store import Store
from .outcomes import Outcomes

INFRASTRUCTURE = "ended by infrastructure"
UNSOLVED = "not solved"
OTHERS = "at other tasks"
SAME = "in groups that all got the same"
NOTHING = "nothing"
"""Kind of the errors that say that nothing is left to train on: other attempts may teach something."""
ALIKE = "alike"
"""Kind of those that say that all attempts could be read and yet teach nothing: none was solved, or none came to more
than its siblings."""


class Header(NamedTuple):
    """What decides whether an attempt is read at all."""

    id: str
    run_id: str
    task_id: str
    split: str
    failed: bool
    success: bool | None
    reward: float | None
    steps: int
    silent: str | None = None
    """Why its verdict says nothing, where outcomes are those of verdicts."""
    role: str = SOLVER

    @classmethod
    def of(cls, one: Trajectory, silent: str | None = None) -> Header:
        """Return that of an attempt."""
        failed, steps, role = one.failure is not None, len(one.steps), role_of(one)
        task = one.task
        return cls(one.id, one.run_id, task.id, task.split, failed, one.success, one.reward, steps, silent, role)

    def unfit(self, config: TrainConfig) -> str | None:
        """Say why an attempt is not trained on, or None."""
        if self.role not in config.samples.roles:
            return f"of role {self.role}"
        if config.samples.splits and self.split not in config.samples.splits:
            return f"of split {self.split}" if self.split else "of split '' (none)"
        if config.samples.tasks and about(self.task_id) not in config.samples.tasks:
            return OTHERS
        if self.failed:
            return INFRASTRUCTURE
        if not self.steps:
            return "without a step"
        if self.silent is not None:
            return self.silent
        if config.kind == "sft" and not self.success:
            return UNSOLVED
        return None


def nothing_in(left_out: Mapping[str, int]) -> str:
    """Return the kind of the error that what is left teaches nothing: what was left out may have taught something."""
    dull = (OTHERS, SAME, UNSOLVED)
    return ALIKE if all(why in dull or not count for why, count in left_out.items()) else NOTHING


def headers_in(store: Store, run_id: str | None, outcomes: Outcomes) -> Iterator[Header]:
    """Yield those of the finished attempts of a store, or of one run in it, the one that began first first.

    Args:
        store: where they are.
        run_id: of the run; None takes all.
        outcomes: says by whose word they ended.

    Raises:
        ConfigError: it is not known what the word of a verifier is worth.
        StoreError: the store cannot be read.
    """
    # Verdicts and roles are in the bodies, which are read only where outcomes are those of verdicts, or where a task id
    # looks like one of another role.
    begins = ", ".join(f"'{prefix}'" for prefix in PREFIXES)
    body = "body" if outcomes.by_verdict else f"CASE WHEN substr(task_id, 1, {LONGEST}) IN ({begins}) THEN body END"
    columns = f"id, run_id, task_id, split, failed, success, reward, steps, {body}"
    query = f"SELECT {columns} FROM trajectories WHERE NOT open"
    own = () if run_id is None else (run_id,)
    rows = store.select(f"{query}{' AND run_id = ?' if own else ''} ORDER BY started_at, id", own)
    for ident, run, task, split, failed, success, reward, steps, body in rows:
        known = None if success is None else bool(success)
        header = Header(ident, run, task, split, bool(failed), known, reward, steps)
        yield header if body is None else _judged(header, body, outcomes)


def _judged(header: Header, body: str, outcomes: Outcomes) -> Header:
    """Return a header with its role and, where outcomes are those of verdicts, that of its verdict."""
    try:
        one, silent = outcomes.of(Trajectory.model_validate_json(body))
    except ValueError:
        return header  # it is told as damaged where it is read whole
    return header._replace(success=one.success, reward=one.reward, silent=silent, role=role_of(one))
