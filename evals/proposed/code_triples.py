"""Making code tasks: a program and inputs by a model or the seed, run twice before anything of it is believed."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from ...agent.proposers.making import Attempt, Made, Making, refused
from ...agent.proposers.proposer import Materials
from ...agent.proposers.writing import Writer
from ...core import content_id
from ...errors import ConfigError, SandboxError
from ..worlds.mbpp import Sandboxes
from .code_running import run_calls
from .code_tasks import KINDS, TIMEOUT_S, Kind, Triple, code_task, said_of_code
from .known import knowing
from .programs import LARGEST, arguments_of, same, unfit, value_of, written, written_arguments
from .programs_made import made_inputs, made_program

REFERENCES = 6
"""Earlier tasks that a model is shown, as in Absolute Zero."""
PAIRS = 6
"""Inputs of an induction task; half of them are shown."""
ENOUGH = 3
"""Inputs of the other kinds: one is asked about, the others show that the output depends on it."""


class Draft(BaseModel):
    """What a model is asked for."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    program: str = Field(min_length=1)
    inputs: list[str] = Field(min_length=2, max_length=12)
    message: str = Field(default="", max_length=300)


class CodeMaker:
    """Makes code triples and checks them by running.

    A task passes when its program imports and names nothing that leads out, runs in the sandbox within its limits,
    gives the same values in two processes whose sets and dictionaries are ordered otherwise, the values can be written
    down, and they depend on the input.

    Args:
        sandboxes: where programs are run.
        kinds: deduction, abduction, induction; all three if not given.
        timeout_s: longest run of all inputs together, in seconds.
        writer: asks a model for program and inputs.
    """

    name = "code"

    def __init__(
        self,
        sandboxes: Sandboxes,
        kinds: Sequence[str] | None = None,
        timeout_s: float = TIMEOUT_S,
        writer: Writer | None = None,
    ) -> None:
        unknown = [kind for kind in kinds or () if kind not in KINDS]
        if unknown or timeout_s <= 0:
            raise ConfigError(f"code has kinds {', '.join(KINDS)} and timeout_s > 0, not {unknown or timeout_s}.")
        self.categories = tuple(kinds or KINDS)
        self._sandboxes, self._timeout_s, self._writer = sandboxes, timeout_s, writer

    async def make(self, category: str, generator: random.Random, examples: Sequence[JsonValue]) -> Attempt:
        """Make one task of a kind."""
        kind: Kind = category  # type: ignore[assignment]
        count = PAIRS if kind == "induction" else ENOUGH
        if self._writer is None:
            program = made_program(generator)
            return await self.checked(kind, Draft(program=program, inputs=made_inputs(generator, count)))
        shown = generator.sample(list(examples), min(REFERENCES, len(examples)))
        references = "\n".join(json.dumps(one) for one in shown) or "(none yet)"
        missing = {"deduction": "the output", "abduction": "the input", "induction": "the program"}[kind]
        told = {"missing": missing, "count": str(count), "references": references}
        writing = await self._writer.write(generator, **told)
        if not isinstance(writing.form, Draft):
            return Attempt(refusal=writing.refusal, asked=writing.asked)
        return (await self.checked(kind, writing.form))._replace(asked=writing.asked)

    async def checked(self, kind: Kind, draft: Draft) -> Attempt:
        """Return the task of a draft that holds, or why it does not."""
        wrong = unfit(draft.program)
        if wrong is not None:
            return refused(*wrong)
        inputs = [arguments_of(text) for text in draft.inputs]
        if any(one is None or len(written_arguments(one)) > LARGEST for one in inputs):
            return refused("no_literal", "an input")
        calls = list(dict.fromkeys(written_arguments(one) for one in inputs if one is not None))
        if len(calls) < (PAIRS if kind == "induction" else 2):
            return refused("fields", f"{len(calls)} different inputs")
        try:
            pool = await self._sandboxes.enter(self)  # type: ignore[arg-type]  # who it is does not matter there
            runs = await run_calls(
                pool, draft.program, calls, timeout_s=self._timeout_s, most=LARGEST, hash_seeds=(1, 2)
            )
        except SandboxError as error:
            return refused("unchecked", error.message)
        if runs[-1].status != "ok":
            return refused(runs[-1].status, runs[-1].detail)
        first, second = runs
        pairs = [(value_of(a), value_of(b)) for a, b in zip(first.outputs, second.outputs, strict=True)]
        values = [a[0] for a, _ in pairs if a is not None]
        if len(values) < len(calls) or any(
            b is None or len(a) > LARGEST for (_, b), a in zip(pairs, first.outputs, strict=True)
        ):
            return refused("no_literal", "an output")
        if not all(a is not None and b is not None and same(a[0], b[0]) for a, b in pairs):
            return refused("not_deterministic")
        if all(same(values[0], other) for other in values[1:]):
            return refused("constant")
        return self._made(kind, draft, calls, [written(value) for value in values])

    async def close(self) -> None:
        """Let go of the sandboxes."""
        await self._sandboxes.leave(self)  # type: ignore[arg-type]

    def _made(self, kind: Kind, draft: Draft, calls: list[str], outputs: list[str]) -> Attempt:
        if kind != "induction":
            calls, outputs = calls[:1], outputs[:1]
        triple = Triple(
            kind=kind,
            program=draft.program,
            inputs=tuple(calls),
            outputs=tuple(outputs),
            shown=len(calls) // 2 if kind == "induction" else 0,
            message=draft.message if kind == "induction" else "",
        )
        keep: JsonValue = {"program": draft.program, "inputs": list(draft.inputs)}
        task = code_task(triple, by=f"{self.name}/{content_id(draft.program)[:8]}")
        return Attempt(Made(task, said_of_code(task.truth), keep))


def code(
    materials: Materials,
    kinds: Sequence[str] | None = None,
    backend: str = "auto",
    allow_unsafe: bool = False,
    timeout_s: float = TIMEOUT_S,
    rule: str = "uniform",
    rule_options: dict[str, Any] | None = None,
) -> Making:
    """Return the proposer of code tasks, by the model of the materials where there is one."""
    writer = Writer(materials.llm, "propose_code", Draft, materials.prompts) if materials.llm else None
    maker = CodeMaker(Sandboxes(backend, allow_unsafe, 4 * timeout_s), kinds, timeout_s, writer)
    return Making(maker, knowing(materials), rule, rule_options)
