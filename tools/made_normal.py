"""The form of a tool's code that is left when names and words are taken away: equal forms are one tool."""

from __future__ import annotations

import ast

from ..core import content_id
from ..errors import ToolError
from .made import MadeTool
from .made_check import parse


def normal_form(tool: MadeTool) -> str:
    """Return the hash of a tool's syntax tree without its docstrings and the names it chose itself.

    Names of attributes, of what is imported and of members of classes stay, since they are more than words. Equal
    hashes mean equal behaviour; unequal ones mean nothing.
    """
    try:
        tree = parse(tool.code, tool.name)
        own = _own_names(tree)
        return content_id(ast.dump(_Renamed(own).visit(tree)))
    except (ToolError, RecursionError):
        return content_id(tool.name, tool.code)


def _own_names(tree: ast.Module) -> dict[str, str]:
    """Return the names a module binds itself, numbered in the order in which they come."""
    found: dict[str, str] = {}
    kept = set[str]()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            kept |= {(alias.asname or alias.name).split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ClassDef):
            kept |= {name for member in node.body for name in _bound(member)}
    for node in _in_order(tree):
        for name in _bound(node):
            if name not in kept:
                # A name that no source can hold, so that it never meets a builtin.
                found.setdefault(name, f"#{len(found)}")
    return found


def _in_order(tree: ast.AST) -> list[ast.AST]:
    """Return all nodes as they stand in the source, from top to bottom."""
    found, left = [], [tree]
    while left:
        node = left.pop()
        found.append(node)
        left += reversed(list(ast.iter_child_nodes(node)))
    return found


def _bound(node: ast.AST) -> list[str]:
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return [node.name]
    if isinstance(node, ast.Assign):
        return [target.id for target in node.targets if isinstance(target, ast.Name)]
    if isinstance(node, ast.AnnAssign):
        return [node.target.id] if isinstance(node.target, ast.Name) else []
    if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
        return [node.id]
    if isinstance(node, ast.arg):
        return [node.arg]
    if isinstance(node, ast.ExceptHandler | ast.MatchAs | ast.MatchStar):
        return [node.name] if node.name else []
    if isinstance(node, ast.MatchMapping):
        return [node.rest] if node.rest else []
    return []


class _Renamed(ast.NodeTransformer):
    def __init__(self, own: dict[str, str]) -> None:
        self._own = own

    def generic_visit(self, node: ast.AST) -> ast.AST:
        super().generic_visit(node)
        for field in ("id", "arg", "name", "rest"):
            value = getattr(node, field, None)
            # The name of an import is what it is, and a keyword belongs to the function that is called.
            if isinstance(value, str) and not isinstance(node, ast.alias | ast.keyword):
                setattr(node, field, self._own.get(value, value))
        if isinstance(node, ast.Global | ast.Nonlocal):
            node.names = [self._own.get(name, name) for name in node.names]
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id.startswith("#"):
            for keyword in node.keywords:
                keyword.arg = self._own.get(keyword.arg, keyword.arg) if keyword.arg else None
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Module):
            first = node.body[0] if node.body else None
            if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
                del node.body[0]
        return node
