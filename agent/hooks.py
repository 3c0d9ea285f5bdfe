"""Where memory, tools, verification and repair enter an episode.

A hook that is not given has no node in the graph: nothing is pretended.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from ..core import Message, Reply, Task, ToolCall, ToolSpec, Trajectory, Usage, Verdict, Wire


class Recalled(NamedTuple):
    """What memory adds to the prompt, and the ids of the items it came from."""

    text: str
    ids: tuple[str, ...]
    withheld: tuple[str, ...] = ()
    """Ids of items that were chosen and, by lot, left out."""
    anchor: str = ""
    """What was seen when this was recalled; the hook gets it back to tell whether the situation has changed."""

    def state(self) -> dict[str, Any]:
        """Return it as plain JSON, for a checkpoint."""
        return {"text": self.text, "ids": list(self.ids), "withheld": list(self.withheld), "anchor": self.anchor}

    @classmethod
    def of(cls, state: Mapping[str, Any]) -> Recalled:
        """Return what `state` gave, also of an older version that kept less."""
        withheld = tuple(state.get("withheld", ()))
        return cls(state["text"], tuple(state["ids"]), withheld, state.get("anchor", ""))


class Situation(NamedTuple):
    """Where an episode stands when memory is asked."""

    task: Task
    observation: str
    step: int
    """Number of the step that is to be decided."""
    sample: int
    seed: int
    """Seed of this decision, the same on every machine."""
    before: Recalled
    """What stands in the prompt so far."""


class Tools(Protocol):
    """Tools the solver may call beside acting."""

    def specs(self) -> Sequence[ToolSpec]:
        """Return what the model is told."""
        ...

    async def call(self, call: ToolCall) -> ToolCall:
        """Run a call and return it with its result or error filled in."""
        ...


class EpisodeTools(Tools, Protocol):
    """The tools of one episode."""

    async def restore(self, calls: Sequence[ToolCall]) -> None:
        """Bring what is behind them to where these calls left it, in another process."""
        ...


class Toolbox(Protocol):
    """Makes the tools of each episode, so that none finds what another has left behind."""

    def session(self, task: Task, trajectory_id: str) -> AbstractAsyncContextManager[EpisodeTools]:
        """Open the tools of one episode; they are closed with it."""
        ...


class Shared:
    """Tools that keep no state, the same for all episodes.

    Args:
        tools: the tools.
    """

    def __init__(self, tools: Tools) -> None:
        self._tools = tools

    @asynccontextmanager
    async def session(self, task: Task, trajectory_id: str) -> AsyncIterator[Shared]:
        """Give them."""
        yield self

    def specs(self) -> Sequence[ToolSpec]:
        """Return what the model is told."""
        return self._tools.specs()

    async def call(self, call: ToolCall) -> ToolCall:
        """Run a call."""
        return await self._tools.call(call)

    async def restore(self, calls: Sequence[ToolCall]) -> None:
        """Do nothing: there is no state."""


@dataclass(frozen=True)
class ToolBudget:
    """How much tools may be used, and how much of their results a prompt holds."""

    per_step: int = 8
    """Calls between two actions; then only acting is offered."""
    per_episode: int = 100
    """Calls of one attempt."""
    parallel: int = 4
    """Calls of one answer that run at once."""
    result_chars: int = 4000
    """Longest result of one call in the prompt, in characters."""
    prompt_chars: int = 24_000
    """All results of one step in the prompt, in characters; the oldest are left out first."""


Recall = Callable[[Situation], Awaitable[Recalled]]
"""Called before each decision; what it returns stands in the prompt. It may return `before` unchanged."""


class Said(Wire):
    """One question to a model that judges, and its answer."""

    messages: tuple[Message, ...]
    reply: Reply
    calls: tuple[ToolCall, ...] = ()
    """The tool calls that the answer asked for, with their results; then it is no verdict yet."""
    wrong: str = ""
    """Why the answer could not be read; nothing where it could."""


class Judgement(Wire):
    """All that one model was asked about one attempt, and the verdict that came of it."""

    verdict: Verdict
    said: tuple[Said, ...]


class Judged(NamedTuple):
    """A verdict, and what reaching it took."""

    verdict: Verdict
    usage: Usage = Usage()
    heard: tuple[Judgement, ...] = ()
    """What models that judge were asked, in order; those of a vote have a judgement each."""


Verify = Callable[[Trajectory], Awaitable[Verdict | Judged]]
"""Judges a finished attempt. A verdict with confidence 0 says nothing, and is not kept as one: only that nothing was
said, by whom and why, as `meta["unjudged"]`."""


class Reflection(NamedTuple):
    """What a model wrote about an attempt, and what that took."""

    text: str
    usage: Usage


Reflect = Callable[[Trajectory], Awaitable[Reflection | None]]
"""Looks back at a finished attempt before it is stored. What it returns is stored with the attempt, as
`meta["reflection"]`, and its tokens are counted there: so nothing of it is lost or made twice after a crash."""


class Retry(NamedTuple):
    """What an attempt is tried again with."""

    critique: str
    fork_at: int | None = None
    """Step before which the new attempt goes on from the old one, where the world takes snapshots; else it starts
    anew, as it does with None."""
    cost: float = 0.0
    """What the repairs up to this one take off the reward of the new attempt, which keeps it as `meta["repair_cost"]`
    where it is above 0."""
    deepened: int = 0
    """How often the budget of an attempt has grown then; see `Hooks.grows`."""

    @classmethod
    def of(cls, found: str | Retry | None) -> Retry | None:
        """Return what a hook returned in this shape."""
        return cls(found) if isinstance(found, str) else found


class AttemptLimit(NamedTuple):
    """What one attempt may take, beside the solver's own budgets; what it took over from its parent is free."""

    steps: int | None = None
    tokens: int | None = None
    """Tokens the model writes, in all steps together."""


Repair = Callable[[Trajectory], Awaitable[str | Retry | None]]
"""Returns a critique to try again with, or None to leave it. The new attempt has this one as parent.

A run that is resumed asks again about attempts whose repair had not begun or not ended, so what it says should follow
from what is stored."""


class Learn(Protocol):
    """Learns from finished attempts."""

    async def learn(self, trajectory: Trajectory) -> None:
        """Learn from one attempt; doing it again changes nothing."""
        ...

    async def unlearned(self, trajectory_ids: Sequence[str]) -> Sequence[str]:
        """Return those that were not learned from yet: what a crash may have left."""
        ...


@dataclass(frozen=True)
class Hooks:
    """The hooks of one solver."""

    recall: Recall | None = None
    learn: Learn | None = None
    tools: Toolbox | None = None
    verify: Verify | None = None
    reflect: Reflect | None = None
    repair: Repair | None = None
    grows: Callable[[int], AttemptLimit] | None = None
    """Returns what an attempt may take after its budget has grown so often; None leaves it to the solver's budgets."""
    budget: ToolBudget = ToolBudget()
    submit: bool = False
    """The action is an answer, which is handed in by `submit` instead of `act`."""
