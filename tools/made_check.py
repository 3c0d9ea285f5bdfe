"""Looking at a tool's code before anything of it runs: on our side, by its syntax tree alone.

This keeps mistakes out, tells the model what it may use, and makes cheating hard. What holds code that wants out is
the sandbox; nothing here is trusted for that.
"""

from __future__ import annotations

import ast
import warnings
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from ..errors import ToolError
from .made import DESCRIPTION, MadeTest, MadeTool, canonical, checked_name, refused
from .made_rules import ATTRIBUTES, BY_NAME, FILES, FUNCTIONS, HIDDEN, PURE, Rules
from .made_types import Signature, signature
from .tool import Permission, parse_docstring

TOP = (ast.Import, ast.ImportFrom, ast.FunctionDef, ast.ClassDef, ast.Assign, ast.AnnAssign)


class Checked(NamedTuple):
    """A tool that passed, and how it is called."""

    tool: MadeTool
    signature: Signature


def check(name: str, description: str, code: str, tests: Sequence[MadeTest], rules: Rules) -> Checked:
    """Return the tool that a proposal describes.

    Raises:
        ToolError: kind `form` or `static`; the message says what was seen.
    """
    checked_name(name, rules.reserved)
    if len(code) > rules.code_chars:
        raise refused("form", f"the code has {len(code):,} characters; at most {rules.code_chars:,} are allowed.")
    tree = parse(code, "the code")
    function = _definition(tree, name)
    _raise_for(tree, rules)
    try:
        called = signature(function)
    except RecursionError:
        raise refused("static", f"the types of {name} are nested too deeply.") from None
    _check_tests(name, tests, called, rules)
    words = description.strip() or parse_docstring(ast.get_docstring(function) or "")[0]
    try:
        canonical(words)
    except ValueError:
        raise refused("form", "the description holds what is no text.") from None
    if len(words) > DESCRIPTION:
        raise refused("form", f"the description has {len(words):,} characters; at most {DESCRIPTION:,} are allowed.")
    permissions: tuple[Permission, ...] = ("sandbox", "files") if rules.files and _touches_files(tree) else ("sandbox",)
    tool = MadeTool(
        name=name,
        description=words,
        code=code,
        parameters=called.parameters,
        tests=tuple(tests),
        permissions=permissions,
    )
    return Checked(tool, called)


def signature_of(tool: MadeTool) -> Signature:
    """Return how a tool that was admitted is called."""
    return signature(_definition(parse(tool.code, "the code"), tool.name))


def parse(code: str, what: str) -> ast.Module:
    """Return the syntax tree of source code.

    Raises:
        ToolError: kind `static`, it has none.
    """
    try:
        code.encode()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.parse(code)
    except SyntaxError as error:
        raise refused("static", f"{what} does not parse: {error.msg} (line {error.lineno}).") from None
    except (ValueError, MemoryError, RecursionError) as error:
        raise refused("static", f"{what} does not parse: {str(error)[:80] or 'it is nested too deeply'}.") from None


def problems(tree: ast.Module, rules: Rules) -> Iterator[tuple[int, str]]:
    """Yield what of a tree is not allowed: the line, and what was seen there."""
    by_name = set[int]()
    for node in ast.walk(tree):
        line = getattr(node, "lineno", 0)
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield from ((line, found) for found in _imports(node, rules))
        elif isinstance(node, ast.Call) and (place := BY_NAME.get(_called(node))) is not None:
            by_name.add(id(node.func))
            given = node.args[place] if len(node.args) > place else None
            if not (isinstance(given, ast.Constant) and isinstance(given.value, str)):
                yield line, f"{_called(node)} with a name that is not written out"
            else:
                yield from ((line, seen) for part in given.value.split(".") if (seen := _attribute(part, rules)))
        elif isinstance(node, ast.Attribute):
            if node.attr in BY_NAME and id(node) not in by_name:
                yield line, f"{node.attr} other than in a call"
            elif seen := _attribute(node.attr, rules):
                yield line, seen
        elif isinstance(node, ast.Name):
            if node.id.startswith("__"):
                yield line, f"the name {node.id}"
            elif node.id in FUNCTIONS and not (rules.files and node.id == "open"):
                yield line, f"the function {node.id}"
            elif node.id in BY_NAME and id(node) not in by_name:
                yield line, f"{node.id} other than in a call"
        elif isinstance(node, ast.MatchClass):
            yield from ((line, seen) for name in node.kwd_attrs if (seen := _attribute(name, rules)))


def _raise_for(tree: ast.Module, rules: Rules) -> None:
    found = sorted(set(problems(tree, rules)))
    if not found:
        return
    seen = "; ".join(f"line {line}: {words}" for line, words in found[:5])
    hint = ""
    if any("import" in words for _, words in found):
        hint = f" Modules that may be imported: {', '.join(sorted(rules.modules))}."
    raise refused("static", f"it uses what a tool must not: {seen}.{hint}")


def _imports(node: ast.Import | ast.ImportFrom, rules: Rules) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (f"it imports {alias.name}" for alias in node.names if not rules.imports(alias.name))
        return
    module = node.module or ""
    if node.level:
        yield "a relative import"
        return
    for alias in node.names:
        if alias.name == "*":
            yield f"it imports everything from {module}"
        elif not rules.imports(module) and not rules.imports(f"{module}.{alias.name}"):
            yield f"it imports {module}"
        elif alias.name in BY_NAME and alias.asname not in (None, alias.name):
            yield f"it imports {alias.name} under another name"
        elif alias.name not in BY_NAME and (seen := _attribute(alias.name, rules)):
            yield f"it imports {alias.name}: {seen}"


def _attribute(name: str, rules: Rules) -> str:
    """Say what is wrong with an attribute, or nothing."""
    if name.startswith("__"):
        return f"the attribute {name}; no name may begin with two underscores"
    if name.strip("_") in HIDDEN - rules.modules:
        return f"the attribute {name}, which is a module"
    if name in ATTRIBUTES and not (rules.files and name in ("open", "FileIO")):
        clock = "; it reads the clock: take the time as an argument" if name in ("now", "today", "utcnow") else ""
        return f"the attribute {name}{clock}"
    return ""


def _called(node: ast.Call) -> str:
    if isinstance(node.func, ast.Attribute):
        return node.func.attr
    return node.func.id if isinstance(node.func, ast.Name) else ""


def _definition(tree: ast.Module, name: str) -> ast.FunctionDef:
    """Return the one function a tool is; beside it stand imports, constants, classes and private functions."""
    found = []
    for node in tree.body:
        words = (
            isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
        )
        if not words and not isinstance(node, TOP):
            raise refused("static", f"line {node.lineno}: only imports, constants and definitions stand at the top.")
        if isinstance(node, ast.FunctionDef) and node.name == name:
            found.append(node)
        elif isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
            raise refused("static", f"it defines {node.name} beside {name}; let names of others begin with _.")
    bound = {n.id for n in ast.walk(tree) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
    if len(found) != 1 or name in bound:
        raise refused("static", f"it must define the function {name} exactly once, at the top level, by `def`.")
    function = found[0]
    if function.decorator_list:
        raise refused("static", f"{name} must have no decorator.")
    if not (ast.get_docstring(function) or "").strip():
        raise refused("static", f"{name} must have a docstring that says what it does.")
    return function


def _touches_files(tree: ast.Module) -> bool:
    bare = Rules(modules=PURE | FILES)
    imported = {
        (node.module or "" if isinstance(node, ast.ImportFrom) else alias.name).split(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
    }
    return bool(imported & FILES) or any("open" in seen or "FileIO" in seen for _, seen in problems(tree, bare))


def _check_tests(name: str, tests: Sequence[MadeTest], called: Signature, rules: Rules) -> None:
    if not rules.tests <= len(tests) <= rules.most_tests:
        raise refused("form", f"there are {len(tests)} tests; give {rules.tests} to {rules.most_tests}.")
    seen = set[str]()
    for number, test in enumerate(tests, 1):
        try:
            text = canonical(test.model_dump())
        except ValueError:
            raise refused("form", f"test {number} is no JSON.") from None
        if len(text) > rules.test_chars:
            raise refused("form", f"test {number} has {len(text):,} characters; at most {rules.test_chars:,}.")
        if test.arguments is None and not test.check.strip():
            raise refused("form", f"test {number} has neither arguments with an expected result nor a check.")
        if test.arguments is not None:
            try:
                seen.add(canonical(called.arguments(test.arguments)))
            except ToolError as error:
                raise refused("form", f"test {number}: {error.message}") from None
        if test.check.strip():
            _check_assertion(number, name, test.check, rules)
            seen.add(test.check.strip())
    if len(seen) < rules.tests:
        raise refused("form", f"the tests are all the same; give {rules.tests} different ones.")


def _check_assertion(number: int, name: str, code: str, rules: Rules) -> None:
    tree = parse(code, f"the check of test {number}")
    try:
        _raise_for(tree, rules)
    except ToolError as error:
        raise refused("static", f"the check of test {number}: {error.message}") from None
    nodes = list(ast.walk(tree))
    calls = any(isinstance(n, ast.Call) and isinstance(n.func, ast.Name) and n.func.id == name for n in nodes)
    bound = any(isinstance(n, ast.Name) and n.id == name and isinstance(n.ctx, ast.Store) for n in nodes)
    defined = any(isinstance(n, ast.FunctionDef | ast.ClassDef) and n.name == name for n in nodes)
    if not calls or bound or defined or not any(isinstance(n, ast.Assert) for n in nodes):
        raise refused("form", f"the check of test {number} must call {name} and assert something of what it returns.")
