"""What a code task shows of what its answer must do: assertions, or a program, its input and its output.

The second are the three kinds of self-made tasks (`lamarck.evals.proposed.code_tasks`, after Absolute Zero), read as
the solver reads them: of program, input and output one is missing. Nothing here looks at the ground truth.
"""

from __future__ import annotations

import ast
import re
import textwrap
import warnings
from typing import Any, NamedTuple

PROGRAM = re.compile(r"```python\n(?P<program>.*?)\n```\n\n(?P<rest>.*)", re.DOTALL)
DEDUCTION = re.compile(r"What does f\((?P<given>.*)\) return\? Answer with the value as .*", re.DOTALL)
ABDUCTION = re.compile(r"Find arguments with which f returns (?P<output>.*)\. Answer with the arguments .*", re.DOTALL)
INDUCTION = re.compile(
    r"Write a Python function f such that\n(?P<pairs>(?:f\([^\n]*\) returns [^\n]*\n)+)\n.*", re.DOTALL
)
PAIR = re.compile(r"f\((.*)\) returns (.*)")
LONGEST = 1000
"""Characters of a value."""
LINES = 40
"""Lines of one assertion, at most."""


class Trial(NamedTuple):
    """A program, and what it must return."""

    program: str
    calls: tuple[str, ...]
    """Arguments of f."""
    outputs: tuple[str, ...]
    """What it returns for them, as literals."""
    written: bool
    """Whether the program is the answer."""


def trial_of(goal: str, answer: str) -> Trial | str | None:
    """Return what is to be run where a task is one of the three kinds; why not, where no run is needed; None elsewhere.

    Args:
        goal: as the task shows it.
        answer: what was given for what is missing.
    """
    shown = PROGRAM.fullmatch(goal.strip())
    if shown is None:
        induced = INDUCTION.fullmatch(goal.strip())
        if induced is None:
            return None
        pairs = PAIR.findall(induced["pairs"])
        return Trial(answer, tuple(one for one, _ in pairs), tuple(other for _, other in pairs), written=True)
    program, rest = shown["program"], shown["rest"].strip()
    if deduced := DEDUCTION.fullmatch(rest):
        if canonical(answer) is None:
            return "The answer is no Python literal."
        return Trial(program, (deduced["given"],), (answer,), written=False)
    if abduced := ABDUCTION.fullmatch(rest):
        # As plain values they are written anew: nothing but them gets into the call.
        arguments = canonical(f"({answer},)") if answer.strip() else None
        if arguments is None or not arguments.startswith("("):
            return "The answer is no arguments as Python literals."
        return Trial(program, (f"*{arguments}",), (abduced["output"],), written=False)
    return None


def assertions(text: str) -> list[str]:
    """Return the assertions that stand in a text, also over several lines; a sentence that begins so is none."""
    lines, found, at = text.splitlines(), list[str](), 0
    while at < len(lines):
        taken = 1
        if re.match(r"\s*assert\b", lines[at]):
            for count in range(1, min(LINES, len(lines) - at) + 1):
                source = textwrap.dedent("\n".join(lines[at : at + count])).strip()
                if _is_assertion(source):
                    found.append(source)
                    taken = count
                    break
        at += taken
    return found


def compared(assertion: str, function: str) -> str:
    """Return an assertion that something is equal as a call of a function that compares values, not objects.

    What an answer returns may say of itself that it is equal to everything.

    Args:
        assertion: the source of one.
        function: name of what is called with both sides; see `BESIDE`.
    """
    (node,) = _parsed(assertion).body
    assert isinstance(node, ast.Assert)
    test = node.test
    if not (isinstance(test, ast.Compare) and len(test.ops) == 1 and isinstance(test.ops[0], ast.Eq)):
        return assertion
    return f"assert {function}(({ast.unparse(test.left)}), ({ast.unparse(test.comparators[0])}))"


BESIDE = """\
import collections as {name}_more, decimal as {name}_decimal, fractions as {name}_fractions
{name}_one = {int, float, complex, bool, str, bytes, type(None), {name}_decimal.Decimal, {name}_fractions.Fraction}
{name}_many = {list, tuple, set, frozenset, {name}_more.deque}
{name}_pairs = {dict, {name}_more.Counter, {name}_more.OrderedDict, {name}_more.defaultdict}

def {name}_plain(value, kind_of=type, every=all, one={name}_one, many={name}_many, pairs={name}_pairs):
    kind = kind_of(value)
    if kind in pairs:
        return every({name}_plain(a) and {name}_plain(b) for a, b in dict.items(value))
    return kind in one or kind in many and every({name}_plain(a) for a in value)

def {name}_equal(one, other, plain={name}_plain):
    return one == other if plain(one) == plain(other) else False

def {name}_written(value, plain={name}_plain, text_of=repr, wrong=TypeError):
    if not plain(value):
        raise wrong("what was returned is no plain data")
    return text_of(value)
"""
"""Defined in the sandbox before an answer runs: whether a value is plain data, whether two are equal, one as text."""


def canonical(literal: str) -> str | None:
    """Return a literal in one form: equal texts are equal values of the same kind; None where it is none."""
    if len(literal) > LONGEST:
        return None
    try:
        with warnings.catch_warnings(action="ignore"):
            return _written(ast.literal_eval(literal.strip()))
    except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
        return None


def _written(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(sorted(f"{_written(key)}: {_written(one)}" for key, one in value.items())) + "}"
    if isinstance(value, set):
        return "{" + ", ".join(sorted(map(_written, value))) + "}" if value else "set()"
    if isinstance(value, tuple):
        return "(" + "".join(f"{_written(one)}," for one in value) + ")"
    if isinstance(value, list):
        return "[" + ", ".join(map(_written, value)) + "]"
    return repr(value)


def _is_assertion(source: str) -> bool:
    try:
        body = _parsed(source).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return len(body) == 1 and isinstance(body[0], ast.Assert)


def _parsed(source: str) -> ast.Module:
    with warnings.catch_warnings(action="ignore"):
        return ast.parse(source)
