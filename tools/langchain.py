"""LangChain's tools as ours, and ours as LangChain's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ValidationError

from ..core import ToolCall
from ..errors import ConfigError, ToolError
from .foreign import Check, checker, plain, safe_name, verify
from .tool import MAX_CHARS, TIMEOUT_S, Permission, Tool, as_text, schema_of

if TYPE_CHECKING:
    from langchain_core.tools import BaseTool


def from_langchain(
    tool: BaseTool,
    *,
    permissions: frozenset[Permission] | set[Permission] = frozenset(),
    timeout_s: float = TIMEOUT_S,
    max_chars: int = MAX_CHARS,
) -> Tool:
    """Return a LangChain tool as one of ours.

    Its `handle_tool_error` and `handle_validation_error` are respected: what they make of an error is what the model
    reads. Without them the model reads the message of a `ToolException`, and what is wrong with its arguments.

    Args:
        tool: synchronous or asynchronous, its arguments described by a pydantic model or a JSON schema.
        permissions: what it needs beside computing, which LangChain does not say.
        timeout_s: longest run, in seconds.
        max_chars: longest result in characters.

    Raises:
        ConfigError: its arguments have no JSON schema.
    """
    from langchain_core.tools import ToolException

    name = safe_name(tool.name)
    parameters, check = _arguments(tool, name)

    async def run(**arguments: Any) -> str:
        # The form of a call, not the bare arguments: those could pass themselves off as a call.
        call = {"type": "tool_call", "id": "call", "name": tool.name, "args": arguments}
        try:
            message = await tool.ainvoke(call)
        except ToolException as error:
            raise ToolError(str(error) or f"{name} failed.") from error
        except ValidationError as error:
            raise ToolError(f"{name} cannot be called like that: {_wrong(error)}.") from None
        text = _text(getattr(message, "content", message))
        if getattr(message, "status", "success") == "error":
            raise ToolError(text)
        return text

    return Tool(
        name=name,
        description=plain(tool.description, 4_000),
        parameters=parameters,
        function=run,
        check=check,
        permissions=frozenset(permissions),
        timeout_s=timeout_s,
        max_chars=max_chars,
    )


def to_langchain(tool: Tool) -> BaseTool:
    """Return one of our tools for LangChain. It is asynchronous, and answers an error as its result.

    Its permissions are not known there: what calls it must keep them.
    """
    from langchain_core.tools import StructuredTool, ToolException

    async def run(**arguments: Any) -> str:
        done = await tool.call(ToolCall(name=tool.name, arguments=arguments))
        if done.error is not None:
            raise ToolException(done.error)
        return done.result or ""

    return StructuredTool(
        name=tool.name,
        description=tool.description,
        args_schema=dict(tool.parameters),
        coroutine=run,
        handle_tool_error=True,
    )


def _arguments(tool: BaseTool, name: str) -> tuple[dict[str, Any], Check]:
    """Return the schema a model is shown, and what checks its arguments."""
    from langchain_core.tools import Tool as SingleInput

    schema = tool.tool_call_schema
    if isinstance(tool, SingleInput) and tool.args_schema is None:
        # It takes one text; what is inferred of it describes LangChain's own machinery.
        schema = {"properties": tool.args, "required": list(tool.args), "additionalProperties": False}
    if isinstance(schema, dict):
        parameters = {key: value for key, value in schema.items() if key not in ("title", "description")}
        parameters = {"type": "object", "properties": {}, **parameters}
        verify(parameters, f"tool {name}")
        return parameters, checker(name, parameters)
    if not issubclass(schema, BaseModel):
        raise ConfigError(
            f"tool {name} describes its arguments with pydantic 1.", hint="Use a model of pydantic 2 or a JSON schema."
        )
    shown = {key: value for key, value in schema_of(schema, name).items() if key != "description"}
    properties = shown.get("properties")
    known = list(properties) if isinstance(properties, dict) else []

    def check(arguments: Mapping[str, Any]) -> dict[str, Any]:
        # LangChain would take from the model what the program injects, the user's id for example.
        if extra := [key for key in arguments if key not in known]:
            there = ", ".join(known) or "none"
            raise ToolError(f"{name} cannot be called like that: no argument {extra[0]!r}. Its arguments: {there}.")
        return dict(arguments)

    return shown, check


def _wrong(error: ValidationError) -> str:
    entries = error.errors(include_url=False, include_input=False)[:5]
    return "; ".join(f"{'.'.join(map(str, entry['loc'])) or 'arguments'}: {entry['msg'].lower()}" for entry in entries)


def _text(content: Any) -> str:
    """Return the content of a message as text; what is no text is named."""
    if not isinstance(content, list):
        return as_text(content)
    parts = []
    for part in content:
        block = part if isinstance(part, dict) else {"type": "text", "text": as_text(part)}
        parts.append(str(block["text"]) if "text" in block else f"[{block.get('type', 'data')}]")
    return "\n".join(parts)
