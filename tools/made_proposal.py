"""How a model proposes a tool, and what it is told of the outcome."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import BaseModel, ConfigDict, JsonValue

from ..errors import ToolError
from .made import MadeTest, refused
from .made_shelf import LogEntry
from .tool import Tool, tool

MAKE = "make_tool"


class ProposedTest(BaseModel):
    """A call with the result it must have, or source code with `assert`."""

    model_config = ConfigDict(extra="forbid")

    arguments: dict[str, JsonValue] | None = None
    expected: JsonValue = None
    check: str = ""


def make_tool(timeout_s: float) -> Tool:
    """Return the tool that makes tools, without what it does."""

    @tool(name=MAKE, permissions={"sandbox"}, timeout_s=timeout_s)
    async def make(name: str, description: str, code: str, tests: list[ProposedTest]) -> str:
        """Make a tool of your own, to be called like any other one from now on, in later tasks too.

        Make one when you need a computation again and again, and no tool does it yet. The code is Python: one function
        called like the tool, with types for all arguments (str, int, float, bool, list[...], dict[str, ...]) and a
        docstring; beside it only imports, constants, and functions whose names begin with _. It gets and returns JSON
        data, and computes the same result every time: without files, network, clock, chance, or anything kept from
        call to call. Give at least two tests: {"arguments": {...}, "expected": ...} with the exact result, or
        {"check": "assert ..."} with code that calls the tool. Think of edge cases; expect what is right, not what the
        code happens to return. It is admitted when all tests pass in fresh sandboxes. The name of a tool that is there
        makes a new version of it. If it is refused, you are told which check failed and what was seen.

        Args:
            name: letters, digits and _.
            description: what it does and when to use it, in a sentence or two.
            code: the source.
            tests: two to twenty.
        """
        raise AssertionError

    return make


def read_tests(tests: Sequence[ProposedTest]) -> list[MadeTest]:
    """Return proposed tests as they are stored.

    Raises:
        ToolError: kind `form`, one is incomplete.
    """
    for number, test in enumerate(tests, 1):
        if test.arguments is not None and "expected" not in test.model_fields_set:
            raise refused("form", f"test {number} has arguments, but does not say what is expected.")
        if test.arguments is None and "expected" in test.model_fields_set and test.expected is not None:
            raise refused("form", f"test {number} says what is expected, but not of which arguments.")
    return [MadeTest(arguments=t.arguments, expected=t.expected, check=t.check) for t in tests]


def refusal(name: str, kind: str, seen: str) -> str:
    """Return what the model is told of a refusal."""
    return f"{name or 'the tool'} was not admitted. Failed check: {kind}. {seen}"


def answer(name: str, row: LogEntry) -> str:
    """Return what the model is told of a proposal that ended in a row of the log.

    Raises:
        ToolError: it was refused.
    """
    if row.event == "refused":
        raise ToolError(refusal(row.name, str(row.payload["check"]), str(row.payload["seen"])))
    if row.event == "admitted":
        after = "; from now on it is used instead of those before" if row.version > 1 else ""
        return f"{name} is admitted as version {row.version}{after}. Call it like any other tool."
    if row.name == name:
        return f"{name} is there already with the same code, as version {row.version}. Call it."
    how = "has the same code" if row.payload.get("by") == "code" else "does the same on all tests of both"
    also = f" Calls of {name} go to it." if row.payload.get("alias") else ""
    return f"{row.name} {how}, so no second tool was made; call {row.name}.{also}"
