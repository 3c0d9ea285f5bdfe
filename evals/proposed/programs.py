"""Programs as text: whether one may be used at all, what it reads like, and values that can be written down."""

from __future__ import annotations

import ast
import math
import warnings
from typing import Any

from ...agent.proposers.proposer import Reason

ALLOWED = frozenset(
    {
        *("bisect", "collections", "copy", "dataclasses", "datetime", "decimal", "enum", "fractions", "functools"),
        *("heapq", "itertools", "math", "operator", "re", "statistics", "string", "textwrap", "typing"),
    }
)
"""Modules a program may import. A list of the forbidden ones would never be whole."""
BANNED = frozenset(
    {
        *("eval", "exec", "compile", "open", "input", "globals", "locals", "vars", "getattr", "setattr", "delattr"),
        *("breakpoint", "exit", "quit", "help", "id", "hash", "memoryview", "print", "super", "type", "object"),
        *("now", "today", "utcnow"),
    }
)
"""Names that reach out of a program, or whose value is another one in each process."""
LONGEST = 2000
"""Characters of a program."""
LARGEST = 400
"""Characters of an input or an output."""


def unfit(source: str) -> tuple[Reason, str] | None:
    """Return why a program may not be used, or None: it has one function f of at least one argument, and no way out."""
    if len(source) > LONGEST:
        return "too_long", f"{len(source)} characters"
    try:
        tree = _parsed(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        return "format", f"no Python: {type(error).__name__}"
    functions = [node for node in tree.body if isinstance(node, ast.FunctionDef)]
    named = [node for node in functions if node.name == "f"]
    if len(named) != 1 or any(
        not isinstance(node, ast.FunctionDef | ast.Import | ast.ImportFrom) for node in tree.body
    ):
        return "fields", "not imports and functions, one of them f"
    arguments = named[0].args
    plain = not (arguments.vararg or arguments.kwarg or arguments.kwonlyargs or arguments.defaults)
    if not arguments.args or not plain:
        return "fields", "f takes one or more plain arguments"
    for node in ast.walk(tree):
        found = _reaches_out(node)
        if found:
            return "banned", found
    return None


def _reaches_out(node: ast.AST) -> str:
    if isinstance(node, ast.Import):
        return next((one.name for one in node.names if one.name.split(".")[0] not in ALLOWED), "")
    if isinstance(node, ast.ImportFrom):
        return "" if not node.level and (node.module or "").split(".")[0] in ALLOWED else f"from {node.module}"
    if isinstance(node, ast.Name | ast.Attribute):
        name = node.id if isinstance(node, ast.Name) else node.attr
        return name if name in BANNED or "__" in name else ""
    if isinstance(node, ast.Global | ast.Nonlocal | ast.ClassDef | ast.AsyncFunctionDef | ast.Await):
        return type(node).__name__
    return ""


def normal_form(source: str) -> str:
    """Return a program without comments, docstrings and names of its own, so that renaming makes no other program.

    Raises:
        SyntaxError: it is none.
    """
    tree = _parsed(source)
    names: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.arg):
            names.setdefault(node.arg, f"v{len(names)}")
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.setdefault(node.id, f"v{len(names)}")
        elif isinstance(node, ast.FunctionDef):
            if node.name != "f":
                names.setdefault(node.name, f"v{len(names)}")
            if len(node.body) > 1 and ast.get_docstring(node, clean=False) is not None:
                del node.body[0]
    return ast.unparse(_Renamed(names).visit(tree))


def _parsed(source: str) -> ast.Module:
    """Parse a program; what Python has against its escape sequences is of no interest here."""
    with warnings.catch_warnings(action="ignore"):
        return ast.parse(source)


class _Renamed(ast.NodeTransformer):
    def __init__(self, names: dict[str, str]) -> None:
        self._names = names

    def visit_Name(self, node: ast.Name) -> ast.Name:
        node.id = self._names.get(node.id, node.id)
        return node

    def visit_arg(self, node: ast.arg) -> ast.arg:
        node.arg, node.annotation = self._names.get(node.arg, node.arg), None
        return node

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.FunctionDef:
        node.name, node.returns = self._names.get(node.name, node.name), None
        self.generic_visit(node)
        return node


def arguments_of(text: str) -> tuple[Any, ...] | None:
    """Return the arguments in a text such as `[1, 2], "a"`, or None where they are no plain values."""
    found = value_of(f"({text},)") if text.strip() else None
    return found[0] if found is not None and isinstance(found[0], tuple) and found[0] else None


def value_of(text: str) -> tuple[Any] | None:
    """Return the value of a Python literal in a tuple of its own, or None where it is none that can be compared."""
    if len(text) > 2 * LARGEST:
        return None
    try:
        with warnings.catch_warnings(action="ignore"):
            value = ast.literal_eval(text.strip())
    except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
        return None
    return (value,) if _plain(value) else None


def written(value: Any) -> str:
    """Return a plain value as a literal; sets in the order of their members, which no process changes."""
    if isinstance(value, set):
        return "{" + ", ".join(sorted(written(one) for one in value)) + "}" if value else "set()"
    if isinstance(value, list):
        return "[" + ", ".join(written(one) for one in value) + "]"
    if isinstance(value, tuple):
        return "(" + ", ".join(written(one) for one in value) + ("," if len(value) == 1 else "") + ")"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{written(key)}: {written(one)}" for key, one in value.items()) + "}"
    return repr(value)


def written_arguments(values: tuple[Any, ...]) -> str:
    """Return arguments as they stand in a call."""
    return ", ".join(written(value) for value in values)


def same(one: Any, other: Any) -> bool:
    """Say whether two plain values are equal in kind as well: 1, 1.0 and True are three."""
    if type(one) is not type(other):
        return False
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(same(a, b) for a, b in zip(one, other, strict=True))
    if isinstance(one, dict):
        # In the order of their text: equal keys of another kind are another key.
        keys, others = sorted(one, key=written), sorted(other, key=written)
        return same(keys, others) and all(same(one[a], other[b]) for a, b in zip(keys, others, strict=True))
    if isinstance(one, set):
        return same(sorted(one, key=written), sorted(other, key=written))
    return bool(one == other)


def _plain(value: Any, depth: int = 12) -> bool:
    if depth == 0:
        return False
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, list | tuple | set):
        return all(_plain(one, depth - 1) for one in value)
    if isinstance(value, dict):
        return all(_plain(key, depth - 1) and _plain(one, depth - 1) for key, one in value.items())
    return value is None or isinstance(value, bool | str) or (isinstance(value, int) and abs(value) < 10**100)
