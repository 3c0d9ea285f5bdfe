"""Arithmetic by description: an expression by a model or the seed, computed exactly before it is believed."""

from __future__ import annotations

import ast
import json
import random
from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from ...agent.proposers.likeness import Said
from ...agent.proposers.making import Attempt, Made, Making, refused
from ...agent.proposers.proposer import Materials
from ...agent.proposers.writing import Writer
from ...agent.verifiers.arithmetic import shown, value_of
from ...core import Origin, Task, content_id
from ...errors import ConfigError, ToolError
from .known import knowing

SIGNS = {"plus": "+", "minus": "-", "times": "*"}
REFERENCES = 6
"""Earlier tasks that a model is shown."""
_KINDS: dict[type[ast.operator], str] = {ast.Add: "plus", ast.Sub: "minus", ast.Mult: "times"}


class Draft(BaseModel):
    """What a model is asked for."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    expression: str = Field(min_length=3, max_length=60)


class SumMaker:
    """Makes sums and checks them by computing.

    A task passes when its expression is whole numbers joined by the operation of its category, as many as asked for,
    none larger than `largest`, and its exact value is a whole number between 0 and `largest`.

    Args:
        kinds: plus, minus, times; the first two if not given.
        largest: of all numbers and of the result.
        numbers: how many are joined.
        writer: asks a model for the expression.

    Raises:
        ConfigError: there is no such kind, or no room for a sum.
    """

    name = "sums"

    def __init__(
        self,
        kinds: Sequence[str] | None = None,
        largest: int = 100,
        numbers: int = 2,
        writer: Writer | None = None,
    ) -> None:
        unknown = [kind for kind in kinds or () if kind not in SIGNS]
        if unknown or largest < 2 or not 2 <= numbers <= 8:
            raise ConfigError(
                f"sums has kinds {', '.join(SIGNS)}, largest >= 2 and numbers from 2 to 8, "
                f"not {unknown or (largest, numbers)}."
            )
        self.categories = tuple(kinds or ("plus", "minus"))
        self._largest, self._numbers, self._writer = largest, numbers, writer

    async def make(self, category: str, generator: random.Random, examples: Sequence[JsonValue]) -> Attempt:
        """Make one task of a kind."""
        if self._writer is None:
            drawn = [str(generator.randint(0, self._largest)) for _ in range(self._numbers)]
            return self.checked(category, Draft(expression=f" {SIGNS[category]} ".join(drawn)))
        found = generator.sample(list(examples), min(REFERENCES, len(examples)))
        told = {
            "sign": SIGNS[category],
            "numbers": str(self._numbers),
            "largest": str(self._largest),
            "references": "\n".join(json.dumps(one) for one in found) or "(none yet)",
        }
        writing = await self._writer.write(generator, **told)
        if not isinstance(writing.form, Draft):
            return Attempt(refusal=writing.refusal, asked=writing.asked)
        return self.checked(category, writing.form)._replace(asked=writing.asked)

    def checked(self, category: str, draft: Draft) -> Attempt:
        """Return the task of a draft that holds, or why it does not."""
        try:
            joined = _joined(ast.parse(draft.expression, mode="eval").body, category)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return refused("format", "no expression")
        if joined is None or len(joined) != self._numbers or max(joined) > self._largest:
            return refused("fields", f"not {self._numbers} whole numbers up to {self._largest} by {category}")
        expression = f" {SIGNS[category]} ".join(map(str, joined))
        try:
            value = value_of(expression)
        except ToolError as error:
            return refused("unchecked", error.message)
        if not 0 <= value <= self._largest:
            return refused("too_long", f"{expression} is {shown(value)}")
        task = sum_task(expression, shown(value), category)
        return Attempt(Made(task, Said(task.goal), {"expression": expression}))

    async def close(self) -> None:
        """Nothing is open."""


def sum_task(expression: str, answer: str, category: str, split: str = "train") -> Task:
    """Return the task of a sum whose value is known."""
    return Task(
        id=f"proposed/sums/{content_id(expression)[:12]}",
        goal=f"What is {expression}?",
        environment="proposed",
        options={"world": "questions"},
        split=split,
        category=category,
        origin=Origin(kind="proposed", by=SumMaker.name),
        truth=answer,
    )


def sums(
    materials: Materials,
    kinds: Sequence[str] | None = None,
    largest: int = 100,
    numbers: int = 2,
    rule: str = "uniform",
    rule_options: dict[str, Any] | None = None,
) -> Making:
    """Return the proposer of sums, by the model of the materials where there is one."""
    writer = Writer(materials.llm, "propose_sum", Draft, materials.prompts) if materials.llm else None
    return Making(SumMaker(kinds, largest, numbers, writer), knowing(materials), rule, rule_options)


def _joined(node: ast.expr, category: str) -> list[int] | None:
    """Return the numbers that an expression joins from left to right by one operation, or None."""
    if isinstance(node, ast.Constant) and type(node.value) is int:
        return [node.value]
    if isinstance(node, ast.BinOp) and _KINDS.get(type(node.op)) == category:
        left, right = _joined(node.left, category), _joined(node.right, category)
        if left is not None and right is not None and len(right) == 1:
            return [*left, *right]
    return None
