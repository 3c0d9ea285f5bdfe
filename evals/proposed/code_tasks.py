"""Code tasks of three kinds (Absolute Zero, 2505.03335), and the world that judges their answers.

Of a program f, an input i and an output o, one is missing. Deduction: say o. Abduction: say any i that gives o.
Induction: write f from some pairs; it is tried on others.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError

from ...agent.proposers.likeness import Said
from ...core import Origin, Task, content_id
from ...errors import EnvironmentFailure
from ..worlds.mbpp import CODE, Sandboxes
from .code_running import run_calls
from .programs import LARGEST, arguments_of, normal_form, same, value_of, written_arguments

Kind = Literal["deduction", "abduction", "induction"]
KINDS: tuple[Kind, ...] = ("deduction", "abduction", "induction")
TIMEOUT_S = 3.0


class Triple(BaseModel):
    """A program with inputs and what it returns for them; ground truth of a code task."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Kind
    program: str
    inputs: tuple[str, ...] = Field(min_length=1)
    """Arguments as literals. Deduction and abduction are about the first."""
    outputs: tuple[str, ...] = Field(min_length=1)
    shown: int = Field(default=0, ge=0)
    """Induction: how many pairs the solver sees; the others judge."""
    message: str = ""
    """Induction: a word on what the program does."""


def code_task(triple: Triple, by: str) -> Task:
    """Return the task of a triple that has been found valid."""
    return Task(
        id=f"proposed/code/{triple.kind}/{content_id(triple.model_dump(mode='json'))[:12]}",
        goal=_goal(triple),
        environment="proposed",
        options={"world": "code"},
        split="train",
        category=triple.kind,
        origin=Origin(kind="proposed", by=by),
        truth=triple.model_dump(mode="json"),
    )


def said_of_code(truth: JsonValue) -> Said:
    """Return what a code task says: kind and program without its own names, and what it is about.

    Raises:
        EnvironmentFailure: there is no program.
    """
    triple = triple_of(truth)
    try:
        program = normal_form(triple.program)
    except (SyntaxError, ValueError, RecursionError) as error:
        raise EnvironmentFailure("a code task holds no program.", kind="task") from error
    about = {"deduction": triple.inputs[:1], "abduction": triple.outputs[:1], "induction": ()}[triple.kind]
    return Said(f"{triple.kind}: {program}", "; ".join(about))


def triple_of(truth: Any) -> Triple:
    """Return the triple of a task.

    Raises:
        EnvironmentFailure: it has none.
    """
    try:
        triple = Triple.model_validate(truth)
    except ValidationError as error:
        raise EnvironmentFailure("a code task needs a program, inputs and outputs.", kind="task") from error
    if len(triple.inputs) != len(triple.outputs) or triple.shown >= len(triple.inputs):
        raise EnvironmentFailure("a code task needs an output for each input, and one that is not shown.", kind="task")
    return triple


class CodeAnswering:
    """One code task, one answer. Expected outputs never enter the sandbox.

    Args:
        sandboxes: where answers are run.
        timeout_s: longest run of an answer, in seconds.
    """

    concurrency = "async"
    max_steps = 1

    def __init__(self, sandboxes: Sandboxes, timeout_s: float = TIMEOUT_S) -> None:
        self._sandboxes, self._timeout_s = sandboxes, timeout_s
        self._triple: Triple | None = None

    async def reset(self, *, seed: int | None = None, task: Task | None = None) -> tuple[str, dict[str, Any]]:
        """Show the task.

        Raises:
            EnvironmentFailure: there is no code task.
            SandboxError: no sandbox works here, so that no answer could be judged.
        """
        self._triple = triple_of(task.truth if task is not None else None)
        if self._triple.kind != "deduction":
            await self._sandboxes.enter(self)  # type: ignore[arg-type]  # who it is does not matter there
        return _goal(self._triple), {"admissible_actions": [CODE]}

    async def step(self, action: str) -> tuple[str, float, bool, bool, dict[str, Any]]:
        """Judge the answer; what would have been right is not shown.

        Raises:
            SandboxError: the sandbox failed, which says nothing about the answer.
        """
        if self._triple is None:
            raise EnvironmentFailure("step without an episode under way: reset first.", kind="order")
        triple = self._triple
        score = await self._score(triple, _bare(action))
        self._triple = None
        right = score == 1.0
        return "Right." if right else "Wrong.", float(right), True, False, {"success": right, "score": score}

    async def close(self) -> None:
        """Let go of the sandboxes."""
        await self._sandboxes.leave(self)  # type: ignore[arg-type]

    async def _score(self, triple: Triple, answer: str) -> float:
        if triple.kind == "deduction":
            found, wanted = value_of(answer), value_of(triple.outputs[0])
            return float(found is not None and wanted is not None and same(found[0], wanted[0]))
        if triple.kind == "abduction":
            arguments = arguments_of(answer)
            if arguments is None:
                return 0.0
            return await self._right(triple.program, (written_arguments(arguments),), triple.outputs[:1])
        return await self._right(answer, triple.inputs[triple.shown :], triple.outputs[triple.shown :])

    async def _right(self, source: str, calls: tuple[str, ...], wanted: tuple[str, ...]) -> float:
        """Return the share of the calls that return what is wanted."""
        pool = await self._sandboxes.enter(self)  # type: ignore[arg-type]
        (ran,) = await run_calls(pool, source, calls, timeout_s=self._timeout_s, most=2 * LARGEST)
        if ran.status != "ok":
            return 0.0
        pairs = [(value_of(a), value_of(b)) for a, b in zip(ran.outputs, wanted, strict=True)]
        return sum(a is not None and b is not None and same(a[0], b[0]) for a, b in pairs) / len(pairs)


def _bare(answer: str) -> str:
    """Return an answer without the code fence around it."""
    lines = answer.strip().splitlines()
    return "\n".join(lines[1:-1]) if len(lines) > 2 and lines[0].startswith("```") and lines[-1] == "```" else answer


def _goal(triple: Triple) -> str:
    program = f"```python\n{triple.program.strip()}\n```"
    if triple.kind == "deduction":
        return (
            f"{program}\n\nWhat does f({triple.inputs[0]}) return? Answer with the value as a Python literal, and "
            "nothing else."
        )
    if triple.kind == "abduction":
        return (
            f"{program}\n\nFind arguments with which f returns {triple.outputs[0]}. Answer with the arguments "
            "alone, as Python literals with commas between them."
        )
    pairs = zip(triple.inputs[: triple.shown], triple.outputs[: triple.shown], strict=True)
    shown = "\n".join(f"f({given}) returns {output}" for given, output in pairs)
    message = f"\n\n{triple.message}" if triple.message else ""
    end = "It is tried with other arguments as well. Answer with the whole code, and nothing else."
    return f"Write a Python function f such that\n{shown}{message}\n\n{end}"
