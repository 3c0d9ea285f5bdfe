"""From the annotations of a function to the schema of its arguments, without running any of it."""

from __future__ import annotations

import ast
import functools
import operator
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError, create_model

from ..errors import ToolError
from .made import canonical, refused
from .tool import parse_docstring, schema_of

SIMPLE: Mapping[str, Any] = {
    "str": str,
    "int": int,
    "float": float,
    "bool": bool,
    "None": type(None),
    "Any": Any,
    "object": Any,
    "list": list[Any],
    "List": list[Any],
    "dict": dict[str, Any],
    "Dict": dict[str, Any],
}
LISTS, DICTS = {"list", "List", "Sequence", "Iterable"}, {"dict", "Dict", "Mapping"}
USABLE = "str, int, float, bool, list[...], dict[str, ...], Literal[...], Any and None"


@dataclass(frozen=True)
class Signature:
    """How a made tool is called."""

    tool: str
    names: tuple[str, ...]
    model: type[BaseModel]
    parameters: dict[str, JsonValue]

    def arguments(self, given: Mapping[str, Any]) -> dict[str, JsonValue]:
        """Return a call's arguments, checked, as JSON; those with a default may be missing.

        Raises:
            ToolError: the tool cannot be called like that; the message says why.
        """
        known = f"Its arguments: {', '.join(self.names) or 'none'}."
        try:
            found = self.model.model_validate(dict(given)).model_dump(mode="json", by_alias=True, exclude_unset=True)
            canonical(found)
        except ValidationError as error:
            lines = [
                f"{'.'.join(str(part) for part in entry['loc']) or 'arguments'}: {entry['msg'].lower()}"
                for entry in error.errors(include_url=False, include_input=False)[:5]
            ]
            raise ToolError(f"{self.tool} cannot be called like that: {'; '.join(lines)}. {known}") from None
        except (ValueError, RecursionError):
            raise ToolError(f"{self.tool} cannot be called like that: an argument is no JSON. {known}") from None
        return found


def signature(function: ast.FunctionDef) -> Signature:
    """Return how a function is called.

    Raises:
        ToolError: kind `static`; an argument has no type, one without a JSON schema, or is not given by name.
    """
    arguments = function.args
    if arguments.vararg or arguments.kwarg or arguments.posonlyargs:
        raise refused("static", f"{function.name} has arguments that cannot be given by name (*, ** or /).")
    plain = arguments.args
    defaults: list[ast.expr | None] = [None] * (len(plain) - len(arguments.defaults)) + list(arguments.defaults)
    pairs = [*zip(plain, defaults, strict=True), *zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)]
    described = parse_docstring(ast.get_docstring(function) or "")[1]
    fields: dict[str, Any] = {}
    for number, (argument, default) in enumerate(pairs):
        if argument.annotation is None:
            raise refused("static", f"argument {argument.arg} of {function.name} has no type; annotate it.")
        words = described.get(argument.arg)
        # Fields have names of their own, since an argument may be called what a model's method is.
        value = ... if default is None else _default(argument.arg, default)
        fields[f"argument_{number}"] = (
            type_of(argument.annotation),
            Field(value, alias=argument.arg, description=words),
        )
    names = tuple(argument.arg for argument, _ in pairs)
    model = create_model(function.name, __config__=ConfigDict(extra="forbid", allow_inf_nan=False), **fields)
    return Signature(function.name, names, model, schema_of(model, function.name))


def type_of(node: ast.expr) -> Any:
    """Return the type an annotation names, from a closed list.

    Raises:
        ToolError: kind `static`, it is not on the list.
    """
    if isinstance(node, ast.Constant) and node.value is None:
        return type(None)
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        try:
            return type_of(ast.parse(node.value, mode="eval").body)
        except (SyntaxError, ValueError, MemoryError, RecursionError):
            raise refused("static", f"the type {node.value[:80]!r} cannot be read.") from None
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
        return type_of(node.left) | type_of(node.right)
    if isinstance(node, ast.Subscript):
        return _generic(_named(node.value), node.slice)
    if (name := _named(node)) in SIMPLE:
        return SIMPLE[name]
    raise refused("static", f"the type {_source(node)} has no JSON schema here; use {USABLE}.")


def _generic(name: str, inner: ast.expr) -> Any:
    parts = list(inner.elts) if isinstance(inner, ast.Tuple) else [inner]
    if name in LISTS and len(parts) == 1:
        return list[type_of(parts[0])]  # type: ignore[misc]
    if name in DICTS and len(parts) == 2 and _named(parts[0]) == "str":
        return dict[str, type_of(parts[1])]  # type: ignore[misc]
    if name == "Optional" and len(parts) == 1:
        return type_of(parts[0]) | None
    if name == "Union":
        return functools.reduce(operator.or_, [type_of(part) for part in parts])
    if name == "Literal":
        values = tuple(part.value for part in parts if isinstance(part, ast.Constant))
        if len(values) == len(parts) and all(isinstance(value, str | int | bool) for value in values):
            literal: Any = Literal
            return literal[values]
    raise refused("static", f"the type {name}[{_source(inner)}] has no JSON schema here; use {USABLE}.")


def _named(node: ast.expr) -> str:
    """Return a type's name, also as `typing.Name`."""
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""


def _default(name: str, node: ast.expr) -> JsonValue:
    try:
        value: JsonValue = ast.literal_eval(node)
        canonical(value)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        raise refused("static", f"the default of argument {name} is no JSON value written out.") from None
    return value


def _source(node: ast.AST) -> str:
    try:
        return ast.unparse(node)[:80]
    except RecursionError:
        return "that is nested so deeply"
