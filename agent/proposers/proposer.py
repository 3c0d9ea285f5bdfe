"""What a proposer is: a choice of the next tasks, as a function of plain data, and what it is told afterwards."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol, Self

from pydantic import Field, JsonValue, model_validator

from ...core import Message, Reply, Task, Trajectory, Wire
from ...errors import ConfigError
from ...seams import LLM
from .ledger import Ledger, Unlimited
from .likeness import Said, plainly

State = dict[str, JsonValue]
"""Everything a proposer remembers, as plain JSON; `{}` at the beginning."""

Reason = Literal[
    "model",  # no answer came
    "format",  # the answer is not the one JSON object that was asked for
    "fields",  # a field is missing, unknown, of another type or out of range
    "unknown",  # it names what there is not
    "no_place",  # something in it fits nowhere
    "unsolvable",
    "solved_already",
    "too_short",
    "too_long",
    "other_split",  # it is a game that belongs to another split
    "banned",  # the program uses what it may not
    "crashed",
    "timeout",
    "not_deterministic",
    "no_literal",  # an input or output that cannot be written down
    "constant",  # every input gives the same output
    "nothing_to_ask",
    "answer_in_question",
    "answer_not_in_document",
    "not_found_by_search",
    "not_answered",  # with the document
    "answered_without",  # with other documents
    "unchecked",  # what should have checked it failed
    "not_for_training",  # its source is held out
    "nothing_reached",  # what was played holds nothing to make a task of; an evolution plays given tasks meanwhile
    "not_reached",  # the replayed actions do not get there
    "duplicate",
    "near_duplicate",
    "held_out",
    "near_held_out",
]
"""Why something was refused."""


class Outcome(Wire):
    """What came of a proposed task."""

    task_id: str
    category: str = ""
    attempts: int = Field(gt=0)
    """Attempts that say something about the task; those that infrastructure ended are none."""
    solved: int = Field(ge=0)
    reward: float = Field(default=0.0, allow_inf_nan=False)
    """Mean over the attempts."""
    best: float | None = Field(default=None, allow_inf_nan=False)
    """Best reward of an attempt; None goes by `solved`."""
    worst: float | None = Field(default=None, allow_inf_nan=False)
    progress: float | None = Field(default=None, ge=-1.0, le=1.0)
    """What a student has gained by the set that the task is of, at tasks that it was not trained on; without students,
    the success rate in the task's category less that when it was last played. None where it was not measured, as for
    tasks that are made in an evolution without students."""

    @model_validator(mode="after")
    def _no_more_solved_than_tried(self) -> Self:
        if self.solved > self.attempts:
            raise ValueError(f"{self.solved} of {self.attempts} attempts cannot be solved")
        return self

    @property
    def rate(self) -> float:
        """Share of the attempts that solved it."""
        return self.solved / self.attempts


class Refusal(Wire):
    """Something that was not proposed, and why."""

    reason: Reason
    detail: str = ""
    category: str = ""


class Asked(Wire):
    """One question to a model that proposes, and what became of its answer; a model may be trained on these."""

    messages: tuple[Message, ...]
    reply: Reply
    task_id: str | None = None
    """The task that was made of the answer."""
    refusal: Refusal | None = None


class Proposal(Wire):
    """The next tasks, and the state to go on from."""

    tasks: tuple[Task, ...]
    state: State
    refused: tuple[Refusal, ...] = ()
    asked: tuple[Asked, ...] = ()
    figures: dict[str, JsonValue] = Field(default_factory=dict)
    """Diversity, and how much was refused for what."""


class Proposer(Protocol):
    """Chooses or writes tasks. Entry-point group `lamarck.proposers`.

    Neither method changes anything but the ledger of its materials: the same state gives the same answer (of a model:
    the same questions), so a phase that was killed is done again. One that makes its tasks goes through the attempts in
    the ledger first, and makes the rest alone. What it is made of comes as `Materials`, and keywords from the
    configuration.
    """

    name: str

    async def propose(self, n: int, state: State) -> Proposal:
        """Return up to n tasks. What cannot be validated is refused with a reason and never among them.

        Raises:
            LamarckError: what it needs to work is not there; nothing was proposed.
        """
        ...

    def feedback(self, outcomes: Sequence[Outcome], state: State) -> State:
        """Return the state after what was proposed has been played."""
        ...

    async def close(self) -> None:
        """Let go of what is open."""
        ...


@dataclass(frozen=True)
class Materials:
    """What a proposer may work with."""

    tasks: tuple[Task, ...] = ()
    """Given tasks to choose from."""
    held_out: tuple[Task, ...] = ()
    """Tasks that must never be proposed, nor any that says the same."""
    said: Callable[[Task], Said] = plainly
    """What a given task says, to know it again under another name."""
    trajectories: tuple[Trajectory, ...] = ()
    """What was played, to relabel."""
    llm: LLM | None = None
    """The model that proposes; None makes tasks from the seed."""
    prompts: Path | None = None
    """Folder of the user's own prompt files."""
    seed: int = 0
    near: float = 0.8
    """Likeness from which on a task is a near-duplicate."""
    tries: int = 8
    """Attempts per wanted task."""
    ledger: Ledger = field(default_factory=Unlimited)
    """What one that makes its tasks has tried before, and whether that is enough; who only chooses leaves it alone."""


def opened(state: State, name: str) -> State:
    """Return a copy of a state, begun where it is empty.

    Only its top is copied: what is below is replaced by whoever goes on from it, and never changed.

    Raises:
        ConfigError: it is the state of another proposer.
    """
    if state and state.get("proposer") != name:
        raise ConfigError(
            f"this state is of the proposer {state.get('proposer')!r}, not of {name!r}.",
            hint="Begin without a state, or name the same proposer.",
        )
    return dict(state) if state else {"proposer": name, "round": 0}


def whole(value: JsonValue) -> int:
    """Return a number of a state as an integer, 0 where there is none."""
    return int(value) if isinstance(value, int | float) else 0


def table(value: JsonValue) -> dict[str, JsonValue]:
    """Return a part of a state as a mapping, empty where there is none."""
    return value if isinstance(value, dict) else {}
