"""What a run tells whoever watches it, and how it ended; apart from the runner, so that a command line can name them
without loading LangGraph.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from ..core import Step, Task, Trajectory, Usage


class Event(NamedTuple):
    """What a run tells whoever watches it."""

    kind: Literal["planned", "started", "step", "repaired", "finished", "failed", "given_up"]
    """`repaired`: an attempt that ended by itself and was followed by another; `finished` is the last one."""
    task: Task | None = None
    sample: int = 0
    step: Step | None = None
    trajectory: Trajectory | None = None
    total: int = 0
    done: int = 0


@dataclass
class RunResult:
    """How a run ended."""

    total: int
    already: int
    """Episodes that an earlier process had finished."""
    finished: int = 0
    failed: int = 0
    """Episodes given up because infrastructure failed; they have no reward."""
    interrupted: bool = False
    spared: int = 0
    """Samples of the budget that nobody needed any more, where they were allocated by answers."""
    unbegun: int = 0
    """Episodes that were not begun, since it was stopped or there was enough."""
    stopped_by: str = ""
    """Why the run stopped early, if it did."""
    seconds: float = 0.0
    replays: Usage = field(default_factory=Usage)
    """What was used to try new tools on their tasks; it is in no trajectory."""
