"""A tool: a typed function that a model may call, with its schema, its permissions and its limits."""

from __future__ import annotations

import asyncio
import functools
import inspect
import json
import logging
import re
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_type_hints, overload

from pydantic import BaseModel, ConfigDict, Field, JsonValue, PydanticUserError, ValidationError, create_model

from ..core import ToolCall, ToolSpec
from ..errors import INFRASTRUCTURE, ConfigError, ToolError

log = logging.getLogger("lamarck.tools")

Permission = Literal["sandbox", "network", "files"]
"""What a tool needs beside computing: it runs code in a sandbox, it reaches the network, it touches files."""

TIMEOUT_S = 60.0
MAX_CHARS = 8_000
NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_-]{0,63}")
"""Names that every provider takes."""
SECTION = re.compile(r"^(Args|Arguments|Parameters|Returns|Raises|Yields|Example|Examples|Note|Notes):\s*$")
ARGUMENT = re.compile(r"^(\w+)(?:\s*\([^)]*\))?:\s*(.*)$")


@dataclass(frozen=True)
class Tool:
    """One function a model may call. Make it with `@tool`, or of a schema that comes from elsewhere.

    Args:
        name: as the model calls it.
        description: what it does, for the model.
        parameters: JSON schema of the arguments, an object.
        function: called with the checked arguments as keywords; may be a coroutine function.
        check: turns the model's arguments into those of the function, or raises ToolError.
        permissions: what it needs beside computing.
        timeout_s: longest run, in seconds.
        max_chars: longest result in characters; the rest is cut with a note.
    """

    name: str
    description: str
    parameters: Mapping[str, JsonValue]
    function: Callable[..., Any]
    check: Callable[[Mapping[str, Any]], dict[str, Any]] = dict
    permissions: frozenset[Permission] = field(default_factory=frozenset)
    timeout_s: float = TIMEOUT_S
    max_chars: int = MAX_CHARS

    def __post_init__(self) -> None:
        if not NAME.fullmatch(self.name):
            raise ConfigError(
                f"tool name {self.name!r} is none that models can call.",
                hint="Use letters, digits, - and _, at most 64, and begin with a letter.",
            )

    @property
    def spec(self) -> ToolSpec:
        """What a model is told of it."""
        return ToolSpec(name=self.name, description=self.description, parameters=dict(self.parameters))

    async def call(self, call: ToolCall) -> ToolCall:
        """Run a call and return it with its result or error.

        Whatever the arguments are and whatever the function raises, the model gets an answer: a `ToolError`'s
        message, or only the kind of any other error, whose trace goes to the log.

        Raises:
            SandboxError, ModelError, EnvironmentFailure, StoreError: infrastructure failed, which is no result.
        """
        started = time.monotonic()
        try:
            arguments = self._checked(call)
        except ToolError as error:
            return self._failed(call, str(error), started).model_copy(update={"ran": False})
        try:
            result = await asyncio.wait_for(self._run(arguments), self.timeout_s)
        except INFRASTRUCTURE:
            raise
        except ToolError as error:
            return self._failed(call, str(error), started)
        except TimeoutError:
            return self._failed(call, f"{self.name} took longer than {self.timeout_s:g} s and was stopped.", started)
        except Exception as error:  # a defect of the tool is data for the model, not our crash
            log.exception("tool %s failed", self.name)
            return self._failed(call, f"{self.name} failed ({type(error).__name__}).", started)
        text, truncated = capped(result, self.max_chars)
        seconds = time.monotonic() - started
        return call.model_copy(update={"result": text, "error": None, "truncated": truncated, "seconds": seconds})

    def _checked(self, call: ToolCall) -> dict[str, Any]:
        if not isinstance(call.arguments, Mapping):
            raise ToolError(f"the arguments of {self.name} are not a JSON object: {call.arguments[:80]!r}.")
        return self.check(call.arguments)

    async def _run(self, arguments: dict[str, Any]) -> str:
        if inspect.iscoroutinefunction(self.function):
            result = await self.function(**arguments)
        else:
            result = await asyncio.to_thread(self.function, **arguments)
            if isinstance(result, Awaitable):
                result = await result
        return as_text(result)

    def _failed(self, call: ToolCall, message: str, started: float) -> ToolCall:
        text, truncated = capped(message, self.max_chars)
        seconds = time.monotonic() - started
        return call.model_copy(update={"result": None, "error": text, "truncated": truncated, "seconds": seconds})


@overload
def tool(function: Callable[..., Any], /) -> Tool: ...


@overload
def tool(
    *,
    name: str | None = None,
    permissions: frozenset[Permission] | set[Permission] = frozenset(),
    timeout_s: float = TIMEOUT_S,
    max_chars: int = MAX_CHARS,
) -> Callable[[Callable[..., Any]], Tool]: ...


def tool(
    function: Callable[..., Any] | None = None,
    /,
    *,
    name: str | None = None,
    permissions: frozenset[Permission] | set[Permission] = frozenset(),
    timeout_s: float = TIMEOUT_S,
    max_chars: int = MAX_CHARS,
) -> Tool | Callable[[Callable[..., Any]], Tool]:
    """Make a tool of a typed function with a docstring; what stands under `Args:` describes its arguments.

    Args:
        function: the function, where `@tool` stands without brackets.
        name: how the model calls it; the function's name if not given.
        permissions: what it needs beside computing.
        timeout_s: longest run, in seconds.
        max_chars: longest result in characters.

    Raises:
        ConfigError: an argument has no type, or one that has no JSON schema.
    """

    def make(function: Callable[..., Any]) -> Tool:
        described, arguments = parse_docstring(inspect.getdoc(function) or "")
        title = name if name is not None else function.__name__
        model = arguments_model(function, title, arguments)
        return Tool(
            name=title,
            description=described,
            parameters=schema_of(model, title),
            function=function,
            check=functools.partial(checked, model, title),
            permissions=frozenset(permissions),
            timeout_s=timeout_s,
            max_chars=max_chars,
        )

    return make if function is None else make(function)


def arguments_model(function: Callable[..., Any], name: str, described: Mapping[str, str]) -> type[BaseModel]:
    """Return a pydantic model of a function's arguments.

    Raises:
        ConfigError: an argument has no type, or is not given by name.
    """
    try:
        hints = get_type_hints(function, include_extras=True)
    except NameError as error:
        raise ConfigError(f"tool {name}: its types cannot be resolved ({error}).") from error
    fields: dict[str, Any] = {}
    for key, parameter in inspect.signature(function).parameters.items():
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD, parameter.POSITIONAL_ONLY):
            raise ConfigError(f"tool {name}: argument {key} cannot be given by name.")
        if key not in hints:
            raise ConfigError(f"tool {name}: argument {key} has no type.", hint="Annotate it, for example `n: int`.")
        default = ... if parameter.default is parameter.empty else parameter.default
        fields[key] = (hints[key], Field(default, description=described.get(key)))
    try:
        return create_model(name, __config__=ConfigDict(extra="forbid", arbitrary_types_allowed=False), **fields)
    except (PydanticUserError, TypeError, NameError) as error:
        raise ConfigError(f"tool {name}: {str(error).splitlines()[0]}.") from error


def schema_of(model: type[BaseModel], name: str) -> dict[str, JsonValue]:
    """Return the JSON schema of a tool's arguments, without the titles pydantic adds.

    Raises:
        ConfigError: a type has no JSON schema.
    """
    try:
        schema: dict[str, JsonValue] = _without_titles(model.model_json_schema())
    except PydanticUserError as error:
        raise ConfigError(f"tool {name}: {str(error).splitlines()[0]}.") from error
    return schema


def checked(model: type[BaseModel], name: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return a function's arguments from what a model gave.

    Raises:
        ToolError: they are not of the right types, some are missing or too many; the message says which.
    """
    try:
        found = model.model_validate(dict(arguments))
    except ValidationError as error:
        lines = [
            f"{'.'.join(str(part) for part in entry['loc']) or 'arguments'}: {entry['msg'].lower()}"
            for entry in error.errors(include_url=False, include_input=False)[:5]
        ]
        known = ", ".join(model.model_fields) or "none"
        raise ToolError(f"{name} cannot be called like that: {'; '.join(lines)}. Its arguments: {known}.") from None
    except RecursionError:
        raise ToolError(f"{name} cannot be called like that: its arguments are nested too deeply.") from None
    return {key: getattr(found, key) for key in model.model_fields}


def parse_docstring(text: str) -> tuple[str, dict[str, str]]:
    """Return what a Google-style docstring says of a function and of its arguments."""
    described: list[str] = []
    arguments: dict[str, str] = {}
    section, latest, indent = "", "", 0
    for line in text.splitlines():
        if found := SECTION.match(line):
            section, latest = found[1], ""
        elif not section:
            described.append(line)
        elif section in ("Args", "Arguments", "Parameters") and line.strip():
            depth = len(line) - len(line.lstrip())
            entry = ARGUMENT.match(line.strip())
            if entry and (not latest or depth <= indent):
                latest, indent = entry[1], depth
                arguments[latest] = entry[2].strip()
            elif latest:
                arguments[latest] = f"{arguments[latest]} {line.strip()}".strip()
    return "\n".join(described).strip(), arguments


def as_text(result: Any) -> str:
    """Return a tool's result as the model reads it: text as it is, data as JSON."""
    if isinstance(result, str):
        return result
    if isinstance(result, BaseModel):
        return result.model_dump_json()
    try:
        return json.dumps(result, ensure_ascii=False)
    except (TypeError, ValueError):
        return str(result)


def capped(text: str, limit: int) -> tuple[str, bool]:
    """Return a text of at most `limit` characters and a note where it was cut, from the middle, and whether it was."""
    if len(text) <= limit:
        return text, False
    head, tail = limit - limit // 3, limit // 3
    return f"{text[:head]}\n[{len(text) - limit:,} characters left out]\n{text[len(text) - tail :]}", True


def _without_titles(schema: Any) -> Any:
    if isinstance(schema, dict):
        return {
            key: _without_titles(value)
            for key, value in schema.items()
            # A title is a note of pydantic's; a property may bear that name.
            if not (key == "title" and isinstance(value, str))
        }
    return [_without_titles(entry) for entry in schema] if isinstance(schema, list) else schema
