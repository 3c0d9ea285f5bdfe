"""Tasks that are made: one attempt after the other until there are enough, each checked before it may pass."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

from pydantic import JsonValue

from ...core import Task
from ...errors import ConfigError, ModelError
from .admission import Admission, HeldOut
from .drawing import draw
from .likeness import Said
from .proposer import Asked, Materials, Outcome, Proposal, Refusal, State, opened, table, whole
from .rules import Arm, rule_of

BUFFER = 64
"""Made things that are kept as examples for the next ones, the newest of each category."""


class Made(NamedTuple):
    """A task that was made and has been found valid."""

    task: Task
    said: Said
    keep: JsonValue = None
    """What is kept of it as an example, as plain JSON."""


class Attempt(NamedTuple):
    """One attempt to make a task: made, or refused."""

    made: Made | None = None
    refusal: Refusal | None = None
    asked: Asked | None = None


class Maker(Protocol):
    """Makes tasks of one kind and checks them. What it cannot find valid it refuses."""

    name: str

    @property
    def categories(self) -> Sequence[str]:
        """What the rule chooses among."""
        ...

    async def make(self, category: str, generator: random.Random, examples: Sequence[JsonValue]) -> Attempt:
        """Make one task of a category.

        Args:
            category: one of its own.
            generator: all chance comes from here.
            examples: what was kept of earlier tasks of this category, the newest last.
        """
        ...

    async def close(self) -> None:
        """Let go of what is open."""
        ...


class Making:
    """A proposer that makes its tasks.

    Args:
        maker: makes them.
        materials: what is held out, the seed and the limits.
        rule: which categories are preferred; see `RULES`.
        rule_options: keywords of the rule.

    Raises:
        ConfigError: there is no such rule.
    """

    def __init__(
        self, maker: Maker, materials: Materials, rule: str = "uniform", rule_options: dict[str, Any] | None = None
    ) -> None:
        if materials.tries < 1 or not 0 < materials.near <= 1:
            raise ConfigError(f"tries is at least 1 and near in (0, 1], not {materials.tries} and {materials.near}.")
        self.name = maker.name
        self._maker, self._materials = maker, materials
        self._rule = rule_of(rule, rule_options)
        self._held_out = HeldOut([materials.said(task) for task in materials.held_out], near=materials.near)

    async def propose(self, n: int, state: State) -> Proposal:
        """Make up to n tasks in at most `tries` attempts each, fewer where the ledger says that it is enough.

        Raises:
            ModelError: the model did not answer once.
            LamarckError: what it works with is not there.
        """
        state = opened(state, self.name)
        at = whole(state["round"])
        admission = Admission(self._held_out, self._materials.near, state)
        buffer = {key: list(_listed(value)) for key, value in table(state.get("buffer")).items()}
        tasks, refused, asked = list[Task](), list[Refusal](), list[Asked]()
        ledger = self._materials.ledger
        before = ledger.tried()
        for number in range(n * self._materials.tries):
            if len(tasks) == n or (number >= len(before) and ledger.enough()):
                break
            generator = random.Random(f"{self._materials.seed}/{self.name}/{at}/{number}")
            category = self._category(generator, state)
            if number < len(before):
                attempt = before[number]
            else:
                attempt = await self._maker.make(category, generator, buffer.get(category, []))
                ledger.add(attempt)
            refusal = attempt.refusal
            if attempt.made is not None:
                refusal = admission.admit(attempt.made.said)
                if refusal is None:
                    tasks.append(attempt.made.task)
                    if attempt.made.keep is not None:
                        buffer[category] = [*buffer.get(category, []), attempt.made.keep][-BUFFER:]
            if refusal is not None:
                refusal = refusal.model_copy(update={"category": category})
                refused.append(refusal)
            if attempt.asked is not None:
                made = tasks[-1].id if attempt.made is not None and refusal is None else None
                asked.append(attempt.asked.model_copy(update={"task_id": made, "refusal": refusal}))
        if refused and not tasks and all(one.reason == "model" for one in refused):
            raise ModelError(
                f"the proposer {self.name} got no answer in {len(refused)} questions: {refused[-1].detail}",
                kind="proposer",
            )
        state |= {"round": at + 1, "buffer": dict(buffer.items()), **admission.kept()}
        figures = admission.diversity([task.category for task in tasks], refused)
        return Proposal(tasks=tuple(tasks), state=state, refused=tuple(refused), asked=tuple(asked), figures=figures)

    def feedback(self, outcomes: Sequence[Outcome], state: State) -> State:
        """Return the state after these outcomes; the rule learns about categories."""
        state = opened(state, self.name)
        by_category = [one.model_copy(update={"task_id": one.category}) for one in outcomes]
        state["rule"] = self._rule.learn(by_category, table(state.get("rule")))
        return state

    async def close(self) -> None:
        """Let go of what the maker has open."""
        await self._maker.close()

    def _category(self, generator: random.Random, state: State) -> str:
        arms = [Arm(category, category) for category in self._maker.categories]
        weights = self._rule.weights(arms, table(state.get("rule")))
        return arms[draw(weights, 1, generator)[0]].id


def refused(reason: Any, detail: object = "") -> Attempt:
    """Return an attempt that failed."""
    return Attempt(refusal=Refusal(reason=reason, detail=str(detail)[:200]))


def _listed(value: JsonValue) -> list[JsonValue]:
    return value if isinstance(value, list) else []
