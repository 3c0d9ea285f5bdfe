"""Where one episode is while its graph runs: what checkpoints hold, and the attempt from which it begins."""

from __future__ import annotations

from typing import Any, NamedTuple, TypedDict

from ..core import Usage
from .hooks import Recalled
from .prompting import History


class Attempt(NamedTuple):
    """Which attempt at its task an episode is in."""

    trajectory_id: str
    number: int
    parent: str | None
    critique: str = ""
    """What an earlier attempt has taught, for the prompt of this one."""
    fork_at: int | None = None
    """Step of the parent before which this attempt goes on, where the world takes snapshots."""
    cost: float = 0.0
    """What the repairs up to this attempt take off its reward."""
    deepened: int = 0
    """How often the budget of an attempt has grown so far."""


class EpisodeState(TypedDict, total=False):
    """What LangGraph checkpoints. All of it is plain JSON, and none of it grows with the episode."""

    trajectory_id: str
    attempt: int
    parent: str | None
    fork_at: int | None
    """Step of the parent before which this attempt has gone on; None where it began anew."""
    repair_cost: float
    """What the repairs up to this attempt take off its reward."""
    deepened: int
    """How often the budget of an attempt has grown so far."""
    index: int
    observation: str
    admissible: list[str] | None
    history: History
    tried: list[list[str]]
    """Latest `[action, digest of what it led to]`, for loop detection."""
    pending: dict[str, Any] | None
    """The decision that has been made and not yet been carried out."""
    tool_messages: list[dict[str, Any]]
    tool_calls: list[dict[str, Any]]
    recalled: dict[str, Any]
    critique: str
    nudge: str
    rounds: list[dict[str, Any]]
    """Answers of the step that is being decided, each of which asked for tools."""
    called: int
    """Tool calls of this attempt so far."""
    spent: dict[str, Any]
    """Usage of the tool rounds of the step that is being decided."""
    usage: dict[str, Any]
    reward: float
    success: bool | None
    score: float | None
    seconds: float
    started_at: float
    stop: str | None
    repair: bool


def new_state(
    trajectory_id: str,
    attempt: int,
    parent: str | None = None,
    critique: str = "",
    fork_at: int | None = None,
    cost: float = 0.0,
    deepened: int = 0,
) -> EpisodeState:
    """Return the state from which the graph begins an attempt."""
    return EpisodeState(
        trajectory_id=trajectory_id,
        attempt=attempt,
        parent=parent,
        fork_at=fork_at,
        repair_cost=cost,
        deepened=deepened,
        index=0,
        pending=None,
        tool_messages=[],
        tool_calls=[],
        rounds=[],
        called=0,
        recalled=Recalled("", ()).state(),
        critique=critique,
        nudge="",
        tried=[],
        spent=Usage().model_dump(),
        usage=Usage().model_dump(),
        reward=0.0,
        success=None,
        score=None,
        seconds=0.0,
        started_at=0.0,
        stop=None,
        repair=False,
    )
