"""Given tasks, some oftener than others."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from typing import Any, cast

from pydantic import JsonValue

from ...core import Task
from ...errors import ConfigError
from .admission import HeldOut
from .drawing import draw
from .proposer import Materials, Outcome, Proposal, Refusal, State, opened, table, whole
from .rules import Arm, Rule, rule_of


class Curriculum:
    """Draws from given tasks by a rule; a task that says what a held-out one says is never drawn.

    Args:
        rule: which tasks are preferred.
        materials: the tasks, and those that are held out.

    Raises:
        ConfigError: there are no tasks to draw from.
    """

    def __init__(self, rule: Rule, materials: Materials) -> None:
        self.name = rule.name
        self._rule, self._seed = rule, materials.seed
        held_out = HeldOut([materials.said(task) for task in materials.held_out], near=1.0)
        self._tasks, self._refused = list[Task](), list[Refusal]()
        for task in materials.tasks:
            if held_out.has(materials.said(task)):
                self._refused.append(Refusal(reason="held_out", detail=task.id, category=task.category))
            else:
                self._tasks.append(task)
        if not self._tasks:
            why = f"all {len(materials.tasks)} are held out" if materials.tasks else "none were given"
            raise ConfigError(f"the curriculum {self.name} has no tasks to draw from: {why}.", hint="Name a taskset.")

    async def propose(self, n: int, state: State) -> Proposal:
        """Return n tasks; where there are fewer, each comes once before any comes again."""
        state = opened(state, self.name)
        at = whole(state["round"])
        arms = [Arm(task.id, task.category) for task in self._tasks]
        weights = self._rule.weights(arms, table(state.get("rule")))
        chosen = draw(weights, n, random.Random(f"{self._seed}/{self.name}/{at}"))
        tasks = tuple(self._tasks[index] for index in chosen)
        state["round"] = at + 1
        return Proposal(tasks=tasks, state=state, refused=tuple(self._refused), figures=self._figures(tasks, weights))

    def feedback(self, outcomes: Sequence[Outcome], state: State) -> State:
        """Return the state after these outcomes."""
        state = opened(state, self.name)
        state["rule"] = self._rule.learn(outcomes, table(state.get("rule")))
        return state

    async def close(self) -> None:
        """Nothing is open."""

    def _figures(self, tasks: Sequence[Task], weights: Sequence[float]) -> dict[str, JsonValue]:
        total, share = sum(weights) or 1.0, Counter[str]()
        for task, weight in zip(self._tasks, weights, strict=True):
            share[task.category] += weight / total  # type: ignore[assignment]
        return {
            "chances": {category: round(float(value), 4) for category, value in sorted(share.items())},
            "categories": cast(JsonValue, dict(sorted(Counter(task.category for task in tasks).items()))),
            "distinct": len({task.id for task in tasks}),
        }


def uniform(materials: Materials) -> Curriculum:
    """Return the curriculum without a preference."""
    return Curriculum(rule_of("uniform"), materials)


def bandit(materials: Materials, **options: Any) -> Curriculum:
    """Return the bandit over categories; see `Bandit` for the options."""
    return Curriculum(rule_of("bandit", options), materials)


def regret(materials: Materials, **options: Any) -> Curriculum:
    """Return the curriculum by regret; see `Regret` for the options."""
    return Curriculum(rule_of("regret", options), materials)


def band(materials: Materials, **options: Any) -> Curriculum:
    """Return the curriculum of a success band; see `Band` for the options."""
    return Curriculum(rule_of("band", options), materials)


def learnability(materials: Materials, **options: Any) -> Curriculum:
    """Return the curriculum by variance of the outcome; see `Learnability` for the options."""
    return Curriculum(rule_of("learnability", options), materials)
