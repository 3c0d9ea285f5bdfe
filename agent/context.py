"""What one episode has at hand while its graph runs: live objects that no checkpoint can hold."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

from ..config import SolverConfig
from ..core import Message, Reply, Sampling, Step, Task, ToolCall, Trajectory, Usage, content_id
from ..errors import EnvironmentFailure
from ..seams import LLM
from .episode_state import Attempt, EpisodeState
from .hooks import AttemptLimit, EpisodeTools, Hooks
from .hosting import World
from .observed import Observed
from .prompting import Prompts


@runtime_checkable
class Attended(Protocol):
    """A world that is told which attempt is played in it."""

    def attend(self, trajectory_id: str) -> None: ...


@runtime_checkable
class Withholds(Protocol):
    """A world that keeps its outcome to itself."""

    withholds: bool


@runtime_checkable
class Rewinds(Protocol):
    """A world that can go back."""

    async def rewind(self, task: Task, seed: int, moves: int) -> Observed | None:
        """Begin an episode that is to be as it was after `moves` steps, once as many were given again.

        Return what is seen first; None where the world takes no snapshots.
        """
        ...


class Recorder(Protocol):
    """Where an episode writes what happens, as it happens."""

    async def begin(self, run_id: str, task: Task, sample: int, attempt: Attempt) -> None: ...

    async def step(self, trajectory_id: str, step: Step) -> None: ...

    async def finish(self, trajectory: Trajectory) -> None: ...


@dataclass
class EpisodeContext:
    """The live side of one episode."""

    run_id: str
    task: Task
    sample: int
    attempt: Attempt
    seed: int
    """Seed of the run's sampling; the world's own seed is the task's, so that all samples meet the same world."""
    llm: LLM
    world: World
    recorder: Recorder
    solver: SolverConfig
    sampling: Sampling
    prompts: Prompts
    hooks: Hooks = field(default_factory=Hooks)
    release_id: str = ""
    recorded: Sequence[Step] = ()
    """Steps of this attempt that an earlier process has stored; they are followed, not decided again."""
    forked: Sequence[Step] = ()
    """Steps of the parent, for an attempt that is to go on from one of them."""
    on_step: Callable[[Step], None] | None = None
    steps: list[Step] = field(default_factory=list)
    messages: tuple[Message, ...] = ()
    """The prompt of the decision that is pending."""
    reply: Reply | None = None
    """The answer of the decision that is pending; a graph that goes on from a checkpoint reads it from there."""
    position: int = -1
    """How many steps the world has taken since its reset; -1 before the first reset."""
    over: bool = False
    """The attempt has come to its end in the world: whatever fails from here on is not its failure."""
    clock: float = field(default_factory=time.monotonic)
    _tools: EpisodeTools | None = None
    _open: AsyncExitStack = field(default_factory=AsyncExitStack)

    async def tools(self, state: EpisodeState) -> EpisodeTools | None:
        """Return the tools of this attempt, opened now if they are not yet.

        Raises:
            SandboxError: they cannot be brought to where an earlier process left them.
        """
        if self._tools is None and self.hooks.tools is not None:
            session = self.hooks.tools.session(self.task, self.attempt.trajectory_id)
            self._tools = await self._open.enter_async_context(session)
            before = [call for step in self.recorded[: state["index"]] for call in step.tool_calls]
            pending = [ToolCall.model_validate(call) for call in state["tool_calls"]]
            await self._tools.restore([*before, *pending])
        return self._tools

    async def close_tools(self) -> None:
        """Close the tools of this attempt; the next one gets its own."""
        self._tools = None
        stack, self._open = self._open, AsyncExitStack()
        await stack.aclose()

    @property
    def group_id(self) -> str:
        """Attempts at one task within one run share a baseline."""
        return group_name(self.run_id, self.task)

    @property
    def session(self) -> str:
        """Name under which the model keeps this episode's prefix cache."""
        return session_name(self.run_id, self.task, self.sample)

    @property
    def withheld(self) -> bool:
        """Whether the world keeps its outcome to itself, so that no reward is known."""
        return isinstance(self.world, Withholds) and self.world.withholds

    def step_seed(self, index: int) -> int:
        """Return the sampling seed of one decision: the same on every machine."""
        return int(content_id(self.seed, self.task.id, self.sample, index)[:15], 16)

    def limit(self, state: EpisodeState | dict[str, Any]) -> AttemptLimit:
        """Return what this attempt may take, where the budget grows from one to the next."""
        grows = self.hooks.grows
        return grows(state.get("deepened", 0)) if grows is not None else AttemptLimit()

    def lap(self) -> float:
        """Return the seconds since the last lap."""
        now = time.monotonic()
        seconds, self.clock = now - self.clock, now
        return seconds

    async def catch_up(self, state: EpisodeState) -> None:
        """Bring a fresh world to where the checkpoint is by repeating the stored actions.

        Raises:
            EnvironmentFailure: the world does not answer as it did before.
        """
        if self.position == state["index"]:
            return
        self.steps = list(self.recorded[: state["index"]])
        self.attend()
        observed = await self.world.reset(self.task, self.task.seed)
        for step in self.steps:
            self.expect(step, observed)
            if step.action is not None:
                observed = await self.world.step(step.action)
        if observed.observation != state["observation"] and (not self.steps or self.steps[-1].action is not None):
            raise self.changed(state["index"])
        self.position = state["index"]

    def attend(self) -> None:
        """Tell a world that wants to know which attempt begins in it."""
        if isinstance(self.world, Attended):
            self.world.attend(self.attempt.trajectory_id)

    async def rewind(self, fork_at: int | None) -> Observed | None:
        """Begin an attempt with its parent's steps before `fork_at`; None where it has to begin anew.

        What those steps took was spent by the parent. They are stored first, so that nothing is decided again after
        a crash.
        """
        before = [step.model_copy(update={"usage": Usage()}) for step in self.forked[: fork_at or 0]]
        if not before or len(before) != fork_at or not isinstance(self.world, Rewinds):
            return None
        moves = sum(step.action is not None for step in before)
        observed = await self.world.rewind(self.task, self.task.seed, moves)
        if observed is None:
            return None
        for step in before[len(self.recorded) :]:
            await self.recorder.step(self.attempt.trajectory_id, step)
        self.recorded = (*self.recorded, *before[len(self.recorded) :])
        return observed

    def look_back(self, state: EpisodeState) -> None:
        """Have the steps of an attempt that has come to its end at hand; its world is not needed any more."""
        if self.position != state["index"]:
            self.steps, self.position = list(self.recorded[: state["index"]]), state["index"]
        self.over = True

    def expect(self, step: Step, observed: Observed) -> None:
        """Check that a repeated world shows what the stored step saw."""
        if observed.observation != step.observation:
            raise self.changed(step.index)

    def changed(self, index: int) -> EnvironmentFailure:
        """Return the failure of a world that is not repeatable."""
        return EnvironmentFailure(
            f"task {self.task.id}: repeating the stored actions led elsewhere at step {index}; "
            "the environment is not repeatable.",
            kind="not_repeatable",
        )


def group_name(run_id: str, task: Task) -> str:
    """Return the id that attempts at one task within one run share."""
    return content_id(run_id, task.id)


def session_name(run_id: str, task: Task, sample: int) -> str:
    """Return the name under which a model keeps an episode's prefix cache."""
    return f"{run_id}/{task.id}/{sample}"
