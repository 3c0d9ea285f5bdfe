"""A tool of an MCP server: as it was listed, and what it answers."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from ..core import ToolSpec
from ..errors import ConfigError
from .foreign import described, distinct, plain, rebuilt, safe_name
from .tool import as_text

if TYPE_CHECKING:
    from mcp.types import CallToolResult, Tool


class Known(NamedTuple):
    """A tool as it was listed first; nothing else is ever called under its name."""

    name: str
    """As the server calls it."""
    spec: ToolSpec
    """As a model is told of it."""
    print: str
    """Equal where description and schemas are."""
    repeatable: bool
    """Whether the server says that calling twice does no more than calling once."""


def known(listed: Sequence[Tool], include: Collection[str] | None, server: str) -> list[Known]:
    """Return the tools that are wanted of those that are listed.

    Args:
        listed: what the server offers.
        include: names of those that are wanted, as the server calls them; all if None.
        server: its name, for messages.

    Raises:
        ConfigError: one is not there or has a schema that is none, or models would call two by the same name.
    """
    there = [tool.name for tool in listed]
    if missing := sorted(set(include or ()).difference(there)):
        raise ConfigError(f"MCP server {server} has no tool {missing[0]!r}; there are: {', '.join(there) or 'none'}.")
    found = [_known(tool, server) for tool in listed if include is None or tool.name in include]
    distinct((tool.spec.name for tool in found), f"MCP server {server}")
    return found


def _known(tool: Tool, server: str) -> Known:
    schema = rebuilt(tool.input_schema, described, f"tool {tool.name!r} of MCP server {server}")
    parameters = {"type": "object", "properties": {}, **schema}
    spec = ToolSpec(name=safe_name(tool.name), description=plain(tool.description or ""), parameters=parameters)
    hints = tool.annotations
    repeatable = hints is not None and bool(hints.read_only_hint or hints.idempotent_hint)
    return Known(tool.name, spec, fingerprint(tool), repeatable)


def fingerprint(tool: Tool) -> str:
    """Return what is equal for two tools that a model would use alike."""
    return json.dumps([tool.description, tool.input_schema, tool.output_schema], sort_keys=True)


def answer_text(answer: CallToolResult) -> str:
    """Return what a tool answered as the model reads it: its texts, and notes of what is no text."""
    parts = [_part(part) for part in answer.content]
    if answer.structured_content is not None and not any(part.type == "text" for part in answer.content):
        parts.append(as_text(answer.structured_content))
    return "\n".join(parts)


def _part(part: Any) -> str:
    if part.type == "text":
        return str(part.text)
    if part.type == "resource_link":
        return f"[resource {part.uri}]"
    if part.type == "resource":
        found = part.resource
        return str(found.text) if hasattr(found, "text") else f"[resource, {_size(found.blob)} bytes]"
    return f"[{part.type}, {_size(part.data)} bytes]"


def _size(base64: str) -> int:
    return len(base64) * 3 // 4 - base64.count("=", -2)
