"""Where memory, tools, verification and repair enter an episode.

A hook that is not given has no node in the graph: nothing is pretended.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from ..core import Task, ToolCall, ToolSpec, Trajectory, Verdict


class Recalled(NamedTuple):
    """What memory adds to the prompt, and the ids of the items it came from."""

    text: str
    ids: tuple[str, ...]


class Tools(Protocol):
    """Tools the solver may call beside acting."""

    def specs(self) -> Sequence[ToolSpec]:
        """Return what the model is told."""
        ...

    async def call(self, call: ToolCall) -> ToolCall:
        """Run a call and return it with its result or error filled in."""
        ...


Recall = Callable[[Task, str, int], Awaitable[Recalled]]
"""Called with task, observation and step index before each decision."""

Verify = Callable[[Trajectory], Awaitable[Verdict]]
"""Judges a finished attempt."""

Repair = Callable[[Trajectory], Awaitable[str | None]]
"""Returns a critique to try again with, or None to leave it. The new attempt has this one as parent."""


@dataclass(frozen=True)
class Hooks:
    """The hooks of one solver."""

    recall: Recall | None = None
    tools: Tools | None = None
    verify: Verify | None = None
    repair: Repair | None = None
    tool_calls_per_step: int = 8
    """Tool calls between two actions; then only `act` is offered."""
