"""Checks with `assert`, run where the tool is not: they get its results from a table, as data.

A call that is not in the table stops the check, which says what it wants to know; we ask the tool, in another sandbox,
and run the check again. So what a check expects is never near the tool, and what the tool does is never near the check.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass

from pydantic import JsonValue

from .made import MadeTool, canonical, refused
from .made_check import parse

JUDGE = r"""
import builtins, json

class Wanted(BaseException):
    pass

def judge(tool, names, checks, table):
    said = []
    for source in checks:
        wanted = []

        def call(*given, **more):
            if len(given) > len(names):
                raise TypeError("%s takes %d arguments" % (tool, len(names)))
            arguments = {**dict(zip(names, given)), **more}
            known = table.get(json.dumps(arguments, sort_keys=True, ensure_ascii=False))
            if known is None:
                wanted.append(arguments)
                raise Wanted
            if "raised" in known:
                kind = getattr(builtins, known["raised"], RuntimeError)
                if not (isinstance(kind, type) and issubclass(kind, Exception)):
                    kind = RuntimeError
                raise kind(known["message"])
            return json.loads(json.dumps(known["value"]))

        message = ""
        try:
            exec(compile(source, "<check>", "exec"), {"__name__": "check", tool: call})
        except BaseException as error:
            line, trace = 0, error.__traceback__
            while trace is not None:
                if trace.tb_frame.f_code.co_filename == "<check>":
                    line = trace.tb_lineno
                trace = trace.tb_next
            text = source.splitlines()[line - 1].strip() if 0 < line <= len(source.splitlines()) else ""
            message = "%s: %s (line %d: %s)" % (type(error).__name__, str(error)[:300], line, text[:200])
        said.append({"wanted": wanted[0]} if wanted else {"message": message})
    return said
"""


@dataclass(frozen=True)
class Ruling:
    """What one check says."""

    wanted: dict[str, JsonValue] | None = None
    """Arguments of a call whose result it needs first."""
    message: str = ""
    """Why it failed; empty where it passed."""

    @classmethod
    def read(cls, said: JsonValue, count: int) -> list[Ruling]:
        """Read what the judge returned.

        Raises:
            ToolError: kind `tests`, that is no ruling.
        """
        found = []
        for entry in said if isinstance(said, list) else ():
            if isinstance(entry, dict) and isinstance(wanted := entry.get("wanted"), dict):
                found.append(cls(wanted=wanted))
            elif isinstance(entry, dict) and isinstance(message := entry.get("message"), str):
                found.append(cls(message=message))
        if len(found) != count:
            raise refused("tests", "the checks gave no answer.")
        return found


def written_calls(tool: MadeTool, check: str) -> list[dict[str, JsonValue]]:
    """Return the arguments of those calls in a check that are written out, so that it need not ask for them."""
    found = []
    for node in ast.walk(parse(check, "the check")):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == tool.name:
            try:
                given = [ast.literal_eval(value) for value in node.args]
                arguments = dict(zip(tool.arguments, given, strict=False))
                arguments |= {keyword.arg or "": ast.literal_eval(keyword.value) for keyword in node.keywords}
                canonical(arguments)
            except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
                continue
            if len(given) <= len(tool.arguments) and "" not in arguments:
                found.append(arguments)
    return found
