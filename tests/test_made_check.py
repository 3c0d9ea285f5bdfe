"""What the code and the tests of a tool must be, before anything of it runs."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lamarck.errors import ConfigError, ToolError
from lamarck.tools.made import MadeTool
from lamarck.tools.made_normal import normal_form
from lamarck.tools.made_rules import PURE, Rules
from lamarck.tools.made_shelf import Wear
from lamarck.tools.made_trial import TrialLimits, same
from making import (
    DOUBLE,
    TESTS,
    draft,
    function,
    made,
)

FORBIDDEN = {
    "import os": ("", "import os\n"),
    "import sub.process": ("", "import os.path\n"),
    "from os": ("", "from os import path\n"),
    "relative": ("", "from . import x\n"),
    "star": ("", "from math import *\n"),
    "a module's module": ("", "from random import _os\n"),
    "import here": ("import socket", ""),
    "__import__": ("__import__('os')", ""),
    "eval": ("eval('1')", ""),
    "exec": ("exec('1')", ""),
    "compile": ("compile('1', '', 'eval')", ""),
    "open": ("open('/etc/passwd')", ""),
    "io.open": ("io.open('/etc/passwd')", "import io\n"),
    "globals": ("globals()", ""),
    "vars": ("vars()", ""),
    "builtins": ("__builtins__", ""),
    "a dunder": ("x.__class__", ""),
    "a dunder in a pattern": ("match x:\n    case object(__class__=c):\n        return c", ""),
    "getattr of a dunder": ("getattr(x, '__class__')", ""),
    "getattr of anything": ("getattr(x, 'a' + 'b')", ""),
    "getattr by another name": ("g = getattr", ""),
    "attrgetter": ("operator.attrgetter('a.__class__')(x)", "import operator\n"),
    "attrgetter by another name": ("a('__class__')(x)", "from operator import attrgetter as a\n"),
    "a module as attribute": ("dataclasses.sys.modules", "import dataclasses\n"),
    "frames": ("(i for i in ()).gi_frame.f_back", ""),
    "the clock": ("datetime.datetime.now()", "import datetime\n"),
    "text that is evaluated": ("typing.get_type_hints(x)", "import typing\n"),
}


@pytest.mark.parametrize("name", FORBIDDEN)
def test_what_code_must_not_use(name):
    body, before = FORBIDDEN[name]
    with pytest.raises(ToolError, match="it uses what a tool must not: line") as caught:
        made("f", function(f"{body}\nreturn x", before=before), draft("")["tests"])
    assert caught.value.kind == "static"


@pytest.mark.parametrize(
    ("code", "seen"),
    [
        ("def f(x: int):\n  return (", "the code does not parse: '(' was never closed (line 2)"),
        ("\0", "does not parse"),
        ("(" * 9000 + ")" * 9000, "at most 16,000"),
        ("a" + ".b" * 7000, "does not parse: "),
        ("a = " + "not " * 3000 + "1", "does not parse: "),
        ("", "must define the function f exactly once"),
        ("f = lambda x: x", "must define the function f exactly once"),
        ('async def f(x: int):\n  "d"\n  return x', "only imports, constants and definitions stand at the top"),
        (function("return x") * 2, "exactly once"),
        (function("return x") + "f = 1", "exactly once"),
        (function("return x") + function("return x", "g"), "it defines g beside f"),
        (function("return x") + "print(f(1))", "line 5: only imports"),
        ("@str\n" + function("return x").lstrip(), "must have no decorator"),
        ("def f(x: int):\n  return x", "must have a docstring"),
        (function("return x", arguments="x"), "argument x of f has no type"),
        (function("return x", arguments="*x: int"), "cannot be given by name"),
        (function("return x", arguments="x: int, /"), "cannot be given by name"),
        (function("return x", arguments="x: " + " | ".join(["int"] * 2000)), "nested too deeply"),
        (function("return x", arguments="x: bytes"), "the type bytes has no JSON schema"),
        (function("return x", arguments="x: list[set[int]]"), "the type set[int] has no JSON schema"),
        (function("return x", arguments="x: 'int |'"), "the type 'int |' cannot be read"),
        (function("return x", arguments="x: int = len('a')"), "the default of argument x is no JSON value"),
    ],
)
def test_what_code_must_be(code, seen):
    with pytest.raises(ToolError) as caught:
        made("f", code, draft("")["tests"])
    assert seen in caught.value.message and caught.value.kind in ("static", "form")


@pytest.mark.parametrize(
    ("tests", "seen"),
    [
        ([], "there are 0 tests; give 2 to 20"),
        (TESTS[:1], "there are 1 tests"),
        (TESTS * 11, "there are 22 tests"),
        (TESTS[:1] * 2, "the tests are all the same"),
        ([*TESTS, {}], "test 3 has neither arguments with an expected result nor a check"),
        (
            [*TESTS, {"arguments": {"y": 1}, "expected": 1}],
            "test 3: double cannot be called like that: x: field required",
        ),
        ([*TESTS, {"arguments": {"x": 1}, "expected": "y" * 9000}], "test 3 has 9,0"),
        ([*TESTS, {"arguments": {"x": 1}, "expected": float("nan")}], "test 3 is no JSON"),
        ([*TESTS, {"check": "assert True"}], "the check of test 3 must call double and assert something"),
        ([*TESTS, {"check": "double(1)"}], "the check of test 3 must call double and assert something"),
        ([*TESTS, {"check": "double = int\nassert double(1) == 1"}], "the check of test 3 must call double"),
        ([*TESTS, {"check": "import os\nassert double(1)"}], "the check of test 3: it uses what a tool must not"),
        ([*TESTS, {"check": "assert double(1"}], "the check of test 3 does not parse"),
    ],
)
def test_what_tests_must_be(tests, seen):
    with pytest.raises(ToolError) as caught:
        made(tests=tests)
    assert seen in caught.value.message and caught.value.kind in ("static", "form")


@pytest.mark.parametrize("name", ["", "a b", "1a", "_a", "class", "é", "a" * 65, "make_tool", "python"])
def test_names_that_are_none(name):
    with pytest.raises(ToolError, match=r"is no name for a tool|is built in"):
        made(name, DOUBLE.replace("double", name))


def test_what_may_be_allowed():
    clock = function("return x + 0 * time.time()", before="import time\n")
    with pytest.raises(ToolError, match=r"it imports time.*may be imported: __future__, abc"):
        made("f", clock, draft("")["tests"])
    assert made("f", clock, draft("")["tests"], Rules(modules=PURE | {"time"}))
    reader = function("return open('/work/a').read()")
    with pytest.raises(ToolError, match="line 4: the function open"):
        made("f", reader, draft("")["tests"])
    assert made("f", reader, draft("")["tests"], Rules(files=True)).permissions == ("sandbox", "files")
    assert made(rules=Rules(files=True)).permissions == ("sandbox",)
    with pytest.raises(ConfigError, match="two sandboxes"):
        TrialLimits(seeds=((1, 2),))
    with pytest.raises(ConfigError, match="cannot be judged"):
        Wear(window=3, failures=4)


def test_what_equals_what_was_expected():
    assert same(2, 2.0) and same(0.3, 0.1 + 0.2) and same([1, {"a": None}], [1, {"a": None}])
    for expected, found in [
        (1, True),
        (0, None),
        ([1], [1, 2]),
        ({"a": 1}, {"b": 1}),
        ("1", 1),
        (10**400, 0.5),
        (2, 3),
    ]:
        assert not same(expected, found) and not same(found, expected)


def test_normal_forms():
    def form(code, name="f"):
        return normal_form(MadeTool(name=name, description="", code=code, parameters={}))

    base = function(
        "total = 0\nfor n in range(x): total += _h(n, by=2)\nreturn total", before="def _h(v, by): return v * by\n"
    )
    other = '''
def _times(one, two):
    """Say something."""
    return one * two

def g(limit: int):
    """Other words.

    Args:
        limit: that far.
    """
    result = 0
    for number in range(limit):
        result += _times(number, two=2)
    return result
'''
    assert form(base) == form(other, "g")
    assert form(base) != form(base.replace("by=2", "by=3"))
    assert form(function("return sorted([x], key=abs)")) != form(function("return sorted([x], reverse=abs)"))
    assert form(function("return a.b(x)", before="import a\n")) != form(function("return a.c(x)", before="import a\n"))
    assert form(function("return C.a", before="class C:\n    a = 1\n")) != form(
        function("return C.a", before="class C:\n    b = 1\n")
    )
    assert form("not python (") != form("nor this (")


@settings(max_examples=300, deadline=None)
@given(
    code=st.text(max_size=200)
    | st.lists(st.sampled_from(DOUBLE.split(" ") + list("()[]{}:=.,@\n'\"\\")), max_size=60).map(" ".join)
)
def test_no_code_breaks_the_check(code):
    with pytest.raises(ToolError):
        made("double", f"{code}\n(", TESTS)
    try:
        made("double", code, TESTS)
    except ToolError as error:
        assert error.kind in ("form", "static")
