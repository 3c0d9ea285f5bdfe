"""A tool that an agent wrote: its code, the schema of its arguments, and the tests it came with."""

from __future__ import annotations

import json
import keyword
import re
from typing import Any, Literal

from pydantic import JsonValue

from ..core import ToolSpec, Wire, content_id
from ..errors import ToolError
from .tool import Permission

Check = Literal["form", "static", "tests", "determinism", "replay", "known"]
"""What a tool must pass before it is admitted; the `kind` of the error where it does not.

`form`: name, description and tests are what they must be; `static`: nothing forbidden is in the code; `tests`: they
pass; `determinism`: every run gives the same; `replay`: the tasks that gave rise to it are solved with it; `known`: the
same code was tried before and given up.
"""

NAME = re.compile(r"[a-zA-Z][a-zA-Z0-9_]{0,63}")
RESERVED = frozenset(
    {"make_tool", "list_tools", "act", "submit", "python", "shell", "read_file", "write_file", "list_files", "search"}
)
"""Names of tools that are there without being made."""
DESCRIPTION = 1000
"""Longest description, in characters."""


class MadeTest(Wire):
    """One test: a call with the result it must have, or source code with `assert`, or both."""

    arguments: dict[str, JsonValue] | None = None
    """Of the call; None where there is only a check."""
    expected: JsonValue = None
    """What the call must return."""
    check: str = ""
    """Source that calls the tool by its name and asserts something; empty for none."""


class Example(Wire):
    """What a tool did in its trial."""

    arguments: dict[str, JsonValue]
    output: str
    """The result as JSON with sorted keys, or the name of the exception."""
    raised: bool = False


class MadeTool(Wire):
    """A tool an agent wrote. What became of it is in the log."""

    schema_version: Literal[1] = 1
    name: str
    description: str
    code: str
    parameters: dict[str, JsonValue]
    """JSON schema of the arguments; their order is the function's."""
    tests: tuple[MadeTest, ...] = ()
    permissions: tuple[Permission, ...] = ("sandbox",)

    @property
    def id(self) -> str:
        """Hash of its content."""
        return content_id("made tool", self.model_dump(mode="json"))

    @property
    def spec(self) -> ToolSpec:
        """What a model is told of it."""
        return ToolSpec(name=self.name, description=self.description, parameters=self.parameters)

    @property
    def arguments(self) -> tuple[str, ...]:
        """Names of its arguments, in order."""
        properties = self.parameters.get("properties")
        return tuple(properties) if isinstance(properties, dict) else ()

    def shape(self) -> str:
        """Return what of its signature matters to a caller who gives arguments by position.

        Two tools of one shape can stand in for each other: types, defaults and order, but neither names nor words.
        """
        properties, required = self.parameters.get("properties"), self.parameters.get("required")
        needed = set(required) if isinstance(required, list) else set()
        found = []
        for name, entry in properties.items() if isinstance(properties, dict) else ():
            fields = {k: v for k, v in entry.items() if k != "description"} if isinstance(entry, dict) else entry
            found.append([fields, name in needed])
        return json.dumps(found, sort_keys=True)


def refused(check: Check, seen: str) -> ToolError:
    """Return the error that says which check failed and what was seen."""
    return ToolError(seen, kind=check)


def canonical(value: Any) -> str:
    """Return JSON text that is the same for equal data.

    Raises:
        ValueError: it is no JSON: NaN, an infinity, text that is none, nested too deeply.
    """
    try:
        text = json.dumps(value, sort_keys=True, ensure_ascii=False, allow_nan=False)
        text.encode()
    except (TypeError, RecursionError) as error:
        raise ValueError(str(error)[:100]) from error
    return text


def shown(value: Any, most: int = 120) -> str:
    """Return a value for a message."""
    try:
        text = canonical(value)
    except ValueError:
        text = "something that is no JSON"
    return text if len(text) <= most else f"{text[:most]}..."


def checked_name(name: str, reserved: frozenset[str]) -> str:
    """Return a name a tool may bear.

    Raises:
        ToolError: kind `form`, it may not.
    """
    if not NAME.fullmatch(name) or keyword.iskeyword(name):
        raise refused("form", f"{name[:80]!r} is no name for a tool; use letters, digits and _, begin with a letter.")
    if name in reserved:
        raise refused("form", f"{name} is the name of a tool that is built in; choose another one.")
    return name
