"""Tools that agents write, in real sandboxes: what is admitted and what is not, and their use."""

import asyncio
import json

import pytest
from harness import Bench
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lamarck.agent.hooks import Hooks
from lamarck.agent.scripted import ScriptedLLM
from lamarck.config import CollectConfig, SolverConfig
from lamarck.core import Reply, ToolCall
from lamarck.errors import SandboxError, ToolError
from lamarck.sandboxes.bubblewrap import Bubblewrap
from lamarck.sandboxes.pool import Pool, PoolLimits
from lamarck.store import Store
from lamarck.tools.made_log import Source, ToolLog
from lamarck.tools.made_rules import PURE, Rules
from lamarck.tools.made_run import Outcome, RunLimits, run_code
from lamarck.tools.made_toolset import MadeSettings, MadeToolset
from lamarck.tools.made_trial import TrialLimits
from lamarck.tools.workbench import Workbench
from making import (
    DOUBLE,
    QUICK,
    QUICKLY,
    TESTS,
    Desk,
    draft,
    function,
    made,
    sandboxes,
)
from worlds import Walks


@pytest.fixture
def store(tmp_path):
    with Store.open(tmp_path / "store.db") as store:
        yield store


@pytest.fixture
async def desk(store):
    async with sandboxes() as pool, pool.lease() as lease:
        yield Desk(store, pool, lease)


# A tool that is good.


async def test_a_good_tool_is_admitted_and_used(desk):
    assert desk.names() == []
    done = await desk.make()
    assert done.result == "double is admitted as version 1. Call it like any other tool." and done.error is None
    [spec] = desk.toolset.specs()[2:]
    assert (spec.name, spec.description) == ("double", "Computes.")
    assert spec.parameters["properties"] == {"x": {"type": "integer", "description": "the number."}}
    done = await desk.call("double", {"x": 21})
    assert (done.result, done.error) == ("42", None) and done.seconds > 0
    assert desk.events() == ["proposed", "admitted", "called"]
    [version] = desk.log.shelf().active()
    assert (version.calls, version.failures, version.sources) == (1, 0, ("t1",))
    assert version.tool.permissions == ("sandbox",) and version.tool.id == desk.log.entries()[1].tool_id
    assert json.loads((await desk.call("list_tools")).result)["calls"] == 1
    assert (await desk.call("list_tools", {"name": "double"})).result == f"# double, version 1\n{DOUBLE}"
    assert "there is no tool 'triple'" in (await desk.call("list_tools", {"name": "triple"})).error


async def test_rich_arguments_and_results(desk):
    code = '''
import re
from collections import Counter
from typing import Literal

_WORD = re.compile(r"\\w+")

class _Count(Counter):
    def top(self, n):
        return self.most_common(n)

def _words(text, *, lower=True):
    return _WORD.findall(text.lower() if lower else text)

def words(
    texts: list[str], top: "int | None" = None, how: Literal["count", "list"] = "count", *, json: dict[str, float] = {}
):
    """Count words."""
    found = _Count(word for text in texts for word in _words(text, lower=True))
    if how == "list":
        return sorted(found)
    return {"top": _Count(found).top(top), "json": json}
'''
    tests = [
        {
            "arguments": {"texts": ["a b A", "ß"], "top": 1, "json": {"k": 1}},
            "expected": {"top": [["a", 2]], "json": {"k": 1}},
        },
        {"check": "assert words(['b a'], how='list') == ['a', 'b']\nassert words([])['top'] == []"},
    ]
    assert (await desk.make(code, tests, "words")).error is None
    done = await desk.call("words", {"texts": ["x"], "how": "list"})
    assert done.result == '["x"]'
    for wrong, seen in [
        ({}, "texts: field required"),
        ({"texts": ["x"], "how": "sum"}, "input should be 'count' or 'list'"),
        ({"texts": ["x"], "n": 1}, "n: extra inputs are not permitted. Its arguments: texts, top, how, json."),
        ({"texts": "x"}, "texts: input should be a valid list"),
        ("texts=x", "not a JSON object: 'texts=x'"),
        ({"texts": ["x" * 300_000]}, "arguments are too large"),
    ]:
        assert seen in (await desk.call("words", wrong)).error
    # None of these was the tool's fault.
    assert desk.events().count("failed") == 0 and desk.events().count("called") == 1


async def test_code_as_models_write_it(desk):
    code = '''
from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class _Unit(Enum):
    M = 1
    KM = 1000


@dataclass(order=True)
class _Length:
    value: float
    unit: _Unit = _Unit.M

    def metres(self) -> float:
        return self.value * self.unit.value


def metres(value: float, unit: str = "M") -> float:
    """Convert a length to metres."""
    return _Length(value, _Unit[unit]).metres()
'''
    tests = [{"arguments": {"value": 2}, "expected": 2}, {"arguments": {"value": 0.5, "unit": "KM"}, "expected": 500}]
    assert (await desk.make(code, tests, "metres")).error is None
    assert (await desk.call("metres", {"value": "3", "unit": "KM"})).result == "3000.0"
    assert (
        await desk.call("metres", {"value": 3, "unit": "mile"})
    ).error == "metres failed: KeyError: 'mile' (line 24)."


async def test_a_tool_runs_apart_from_the_agents_own_python(desk):
    await desk.make()
    await desk.lease.run("kept = 1\ndef double(x): return 'mine'")
    await desk.lease.write_file("json.py", b"raise ValueError('not the real one')")
    assert (await desk.call("double", {"x": 1})).result == "2"
    assert (await desk.lease.run("kept")).value == "1"


# Refusals.


async def test_a_refusal_is_told_and_logged(desk):
    done = await desk.make(DOUBLE.replace("2 * x", "3 * x"))
    assert done.result is None and done.error == (
        'double was not admitted. Failed check: tests. test 1: double({"x": 2}) is 6; expected 4.'
    )
    entry = desk.log.entries()[-1]
    assert (entry.event, entry.name, entry.payload["check"]) == ("refused", "double", "tests")
    done = await desk.make("import os\n" + DOUBLE)
    assert "Failed check: static. it uses what a tool must not: line 1: it imports os." in done.error
    for wrong in (
        {},
        "x",
        {**draft(DOUBLE, TESTS), "more": 1},
        draft(DOUBLE, [{"test": 1}]),
        draft(DOUBLE, 3),
        draft(3),
    ):
        assert (await desk.call("make_tool", wrong)).error
    half = [{"arguments": {"x": 1}}, {"arguments": {"x": 2}, "expected": 4}]
    assert "test 1 has arguments, but does not say what is expected" in (await desk.make(tests=half)).error
    assert "but not of which arguments" in (await desk.make(tests=[{"expected": 4}, *TESTS])).error
    shelf = desk.log.shelf()
    assert (shelf.proposed, shelf.refused, desk.names()) == (4, 4, [])


FAILING = {
    "raises": (
        function("return x if x == 1 else 1 // (x - 2)"),
        r'test 2: f\({"x": 2}\) failed: ZeroDivisionError: .*\(line 4\)',
    ),
    "hangs": (function("while True: pass"), r'f\({"x": 1}\): it was stopped after 2'),
    "exits": (function("raise SystemExit(0)"), "failed: SystemExit: 0"),
    "eats memory": (function("return len(b'x' * (8 << 30))"), r"it used too much memory|memory"),
    "recurses": (function("return f(x)"), "failed: RecursionError"),
    "returns no JSON": (function("return {x}"), "Object of type set is not JSON serializable"),
    "returns a generator": (function("yield x"), "Object of type generator is not JSON"),
    "returns NaN": (function("return float('nan')"), "Out of range float"),
    "returns a circle": (function("a = []\na.append(a)\nreturn a"), "Circular reference"),
    "returns too much": (function("return 'y' * 20_000"), "20013 characters of JSON; at most 16000 are allowed"),
    "returns far too deep": (function("a = []\nfor _ in range(100_000): a = [a]\nreturn a"), "RecursionError"),
    "is wrong about types": (function("return True if x == 1 else x"), 'f\\({"x": 1}\\) is true; expected 1'),
    "fails to load": (function("return x", before="_T = 1 / 0\n"), "failed: ZeroDivisionError"),
    "prints instead": (function("print(x)"), 'f\\({"x": 1}\\) is null; expected 1'),
}


@pytest.mark.parametrize("name", FAILING)
async def test_tools_whose_tests_fail(desk, name):
    code, seen = FAILING[name]
    done = await desk.make(code, None, "f")
    with pytest.raises(ToolError, match=seen):
        raise ToolError(done.error)
    assert "Failed check: tests" in done.error and desk.events() == ["proposed", "refused"]


async def test_a_crash_of_the_interpreter_is_a_failure(desk):
    code = function("return re.compile('(' * 90_000 + ')' * 90_000) and x", before="import re\n")
    assert "Failed check: tests" in (await desk.make(code, None, "f")).error
    crash = "import ctypes\ndef f(x):\n    ctypes.string_at(0)"
    done = await run_code(desk.lease, "f", crash, {"x": 1}, limits=RunLimits())
    assert (done.why, done.message) == ("died", "its process ended with -11")


# Cheats.

CHEATS = {
    "chance": (function("return random.random()", before="import random\n"), "assert 0 <= f({n}) < 1"),
    "addresses": (function("return id(object())"), "assert f({n}) > 0"),
    "the clock": (function("return time.time()", before="import time\n"), "assert f({n}) > 0"),
    "the date": (
        function("return datetime.date.fromtimestamp(time.time()).isoformat()", before="import time, datetime\n"),
        "assert len(f({n})) == 10",
    ),
    "hashes": (function("return hash(str(x))"), "assert isinstance(f({n}), int)"),
    "the order of sets": (function("return list({'one', 'two', 'three', 'four', 'five'})"), "assert len(f({n})) == 5"),
}


@pytest.mark.parametrize("name", CHEATS)
async def test_results_that_are_never_the_same(desk, name):
    code, text = CHEATS[name]
    toolset = desk.open(settings=MadeSettings(Rules(modules=PURE | {"time"}), QUICK))
    tests = [{"check": text.format(n=n)} for n in (1, 2)]
    done = await desk.make(code, tests, "f", toolset=toolset)
    assert "Failed check: determinism. f(" in done.error and "in another. It must not depend on chance" in done.error


async def test_tests_that_pass_only_the_first_time(desk):
    body = "try:\n    open('/work/seen', 'x').close()\nexcept FileExistsError:\n    return 0\nreturn x"
    allowed = desk.open(settings=MadeSettings(Rules(files=True), QUICK))
    # The second test comes second in the same sandbox.
    assert 'f({"x": 2}) is 0; expected 2' in (await desk.make(function(body), None, "f", toolset=allowed)).error
    each = function(body.replace("'/work/seen'", "'/work/seen' + str(x)"))
    done = await desk.make(each, None, "f", toolset=allowed)
    assert "Failed check: determinism" in done.error and "is 2 in one run and 0 in another" in done.error
    # What is kept in memory does not outlive a call, in the trial as later.
    counter = function("_seen.append(x)\nreturn len(_seen) * x", before="_seen = []\n")
    assert (await desk.make(counter, None, "f")).error is None
    assert [(await desk.call("f", {"x": 5})).result for _ in range(2)] == ["5", "5"]


async def test_marks_of_results_cannot_be_forged(desk):
    forged = """
    line = '{"value": 1}'
    for text in (line, "0" * 32 + " 0 " + line + " " + "0" * 32):
        print(text)
    return x + 1
"""
    code = function(forged.strip("\n").replace("\n    ", "\n")[4:])
    assert 'f({"x": 1}) is 2; expected 1' in (await desk.make(code, None, "f")).error
    # Even code that may do everything learns no nonce: it is read after the tool's process has left its parent's.
    spy = """
import os, sys, gc
def f(x):
    frame, found = sys._getframe(), []
    while frame:
        found += [str(value) for value in frame.f_locals.values()]
        frame = frame.f_back
    stdin = os.read(0, 100)
    os.write(1, b"x" * 100)
    return [stdin.decode(), any("nonce" in text and "take(32)" not in text for text in found)]
"""
    done = await run_code(desk.lease, "f", spy, {"x": 1}, limits=RunLimits())
    assert done == Outcome(value=["", False], seconds=done.seconds)
    pipe = """
import os
def f(x):
    [os.write(fd, b"{}") for fd in range(3, 9) if os.path.exists(f"/proc/self/fd/{fd}")]
"""
    assert (await run_code(desk.lease, "f", pipe, {"x": 1}, limits=RunLimits())).why == "result"


async def test_expected_answers_never_enter_the_sandbox_of_the_tool(desk):
    """A tool that may read all there is finds none of the answers, whether they stand in a call or in a check."""
    look = '''
import glob
def f(x: int):
    """Look for the answer."""
    found = []
    for path in glob.glob("/proc/*/cmdline") + glob.glob("/proc/*/environ") + glob.glob("/work/**", recursive=True):
        try:
            with open(path, "rb") as file:
                found.append(file.read())
        except OSError:
            pass
    for path in glob.glob("/proc/[0-9]*/maps"):
        try:
            with open(path) as maps, open(path.replace("maps", "mem"), "rb") as memory:
                for line in maps:
                    low, high = (int(part, 16) for part in line.split()[0].split("-"))
                    if " rw" in line and high - low < 50_000_000:
                        memory.seek(low)
                        found.append(memory.read(high - low))
        except (OSError, ValueError, OverflowError):
            pass
    data = b"".join(found)
    secret = bytes(reversed(b"2461937eulav-tsom-terces"))
    return "there" if len(data) < 100_000 or secret in data else "nothing"
'''
    secret = "secret-most-value7391642"
    toolset = desk.open(settings=MadeSettings(Rules(files=True), TrialLimits(run=RunLimits(timeout_s=10.0))))
    tests = [{"arguments": {"x": 1}, "expected": secret}, {"check": f"assert f(2) != '{secret}'"}]
    done = await desk.make(look, tests, "f", toolset=toolset)
    assert f'f({{"x": 1}}) is "nothing"; expected "{secret}"' in done.error


async def test_objects_that_equal_everything_become_data(desk):
    body = "class Yes(int):\n    def __eq__(self, other): return True\nreturn Yes(x)"
    tests = [{"check": "assert f(1) == 2"}, {"check": "assert f(2) == 2"}]
    assert (
        "the check of test 1 failed: AssertionError:  (line 1: assert f(1) == 2)"
        in (await desk.make(function(body), tests, "f")).error
    )


async def test_checks(desk):
    checks = [
        {"check": "for n in range(4):\n    assert f(n) == n * n\nassert f(x=1) == f(1)"},
        {"check": "try:\n    f(-1)\n    assert 0\nexcept ValueError as error:\n    assert 'negative' in str(error)"},
        {"check": "try:\n    f('one')\nexcept TypeError:\n    pass\nassert True"},
    ]
    code = function("if x < 0: raise ValueError('negative')\nreturn x * x")
    assert (await desk.make(code, checks, "f")).error is None
    [version] = desk.log.shelf().active()
    assert {(e.arguments["x"], e.output, e.raised) for e in version.examples} == {
        *((n, str(n * n), False) for n in range(4)),
        (-1, "ValueError", True),
    }
    few = desk.open(settings=MadeSettings(trial=TrialLimits(run=RunLimits(timeout_s=2.0), calls=5)))
    for number, (wrong, seen) in enumerate(
        [
            ("assert f(2) == 5", "the check of test 1 failed: AssertionError:  (line 1: assert f(2) == 5)"),
            ("assert f(2, 3) == 5", "TypeError: f takes 1 arguments"),
            ("assert f(y=2) == 5", "f cannot be called like that"),
            ("for n in range(99): assert f(n) == n * n", "a check calls f more than 5 times with computed arguments"),
            ("while True: assert f(1) == 1", "the checks failed: it was stopped"),
            ("raise SystemExit\nassert f(1)", "the check of test 1 failed: SystemExit"),
            ("try:\n    f(2)\nexcept:\n    pass\nassert f(2) == 5", "AssertionError"),
        ]
    ):
        tests = [{"check": wrong}, {"check": "assert f(1) == 1"}]
        assert seen in (await desk.make(code + f"_K = {number}\n", tests, "f", toolset=few)).error


# The replay.


@pytest.mark.parametrize(
    ("solved", "admitted"), [(True, True), (None, True), (False, False), ("slow", False), ("error", False)]
)
async def test_the_tasks_that_gave_rise_to_a_tool_are_played_again(desk, solved, admitted):
    asked = []

    async def replay(tool):
        asked.append(tool.name)
        if solved == "slow":
            await asyncio.sleep(5)
        if solved == "error":
            raise ToolError("the task is gone")
        return solved

    done = await desk.make(toolset=desk.open(replay=replay, settings=MadeSettings(trial=QUICK, replay_s=0.1)))
    assert asked == ["double"] and (done.error is None) is admitted
    if not admitted:
        assert "Failed check: replay" in done.error
    asked.clear()
    await desk.make(DOUBLE.replace("2 * x", "0"), toolset=desk.open("t2", replay=replay))
    assert asked == []


# Use.


async def test_slow_and_greedy_calls_count_as_failures(store):
    async with sandboxes(memory=64 * 2**20) as pool, pool.lease() as lease:
        desk = Desk(store, pool, lease)
        body = "if x == 7:\n    while True: pass\nif x == 8: return len([0] * 10**9)\nreturn x"
        await desk.make(function(body), None, "f")
        assert "f failed: it was stopped after 2" in (await desk.call("f", {"x": 7})).error
        assert "memory" in (await desk.call("f", {"x": 8})).error.lower()
        assert [e.payload["why"] for e in desk.log.entries() if e.event == "failed"] == ["timeout", "memory"]
        assert (await desk.call("f", {"x": 9})).result == "9"


class Broken:
    """A sandbox that fails."""

    async def exec(self, argv, **more):
        raise SandboxError("the sandbox died", kind="died")


async def test_installed_packages_where_they_are_allowed(store):
    backend = Bubblewrap(packages=["pydantic_core", "typing_extensions"])
    try:
        async with Pool(backend, size=PoolLimits(warm=1, most=2)) as pool, pool.lease() as lease:
            desk = Desk(store, pool, lease)
            code = function("return loads(text)", "read", "text: str", "from pydantic_core import from_json as loads\n")
            tests = [{"arguments": {"text": "[1]"}, "expected": [1]}, {"arguments": {"text": "{}"}, "expected": {}}]
            assert "it imports pydantic_core" in (await desk.make(code, tests, "read")).error
            allowed = MadeSettings(Rules(modules=PURE | {"pydantic_core"}))
            assert (await desk.make(code, tests, "read", desk.open("t2", settings=allowed))).error is None
            assert (await desk.call("read", {"text": "[2]"})).result == "[2]"
    finally:
        await backend.close()


async def test_failures_of_the_sandbox_are_not_the_tools(desk):
    await desk.make()
    broken = desk.open("t2", lease=Broken())
    for n in range(12):
        with pytest.raises(SandboxError):
            await desk.call("double", {"x": n}, broken)
    assert desk.events() == ["proposed", "admitted"] and desk.names() == ["double"]
    # Nor is it the tool's fault if nothing is left to start it with.
    done = await desk.call(
        "double", {"x": 1}, desk.open(settings=MadeSettings(trial=TrialLimits(run=RunLimits(python="/no"))))
    )
    assert "could not be started in the sandbox (FileNotFoundError" in done.error
    assert desk.events() == ["proposed", "admitted"]


async def test_a_sandbox_that_fails_in_the_trial_refuses_nothing(store):
    class Dead:
        async def create(self, limits=None, policy=None):
            raise SandboxError("no sandbox", kind="start")

    async with Pool(Dead(), size=PoolLimits(warm=0, most=1)) as pool:
        desk = Desk(store, pool, None)
        with pytest.raises(SandboxError):
            await desk.make()
        assert desk.events() == ["proposed"]


# Inside an episode.


def say(*named, text=""):
    return Reply(
        text=text, tool_calls=tuple(ToolCall(id=f"c{n}", name=name, arguments=a) for n, (name, a) in enumerate(named))
    )


async def test_an_episode_makes_a_tool_and_the_next_one_has_it(tmp_path):
    offered = []

    def write(messages):
        answers = [message.content for message in messages if message.role == "tool"]
        offered.append(len(answers))
        if len(answers) < 2:
            if not answers and not any("double" in str(m) for m in known):
                known.append("double")
                return say(("make_tool", draft(DOUBLE, TESTS, "double")))
            return say(("double", {"x": 21}))
        return Reply(text="<action>go north</action>")

    known = []
    async with sandboxes() as pool:
        with Store.open(tmp_path / "tools.db") as store:
            log = ToolLog(store)

            def more(lease, task, trajectory_id):
                return MadeToolset(log, lease, pool, run_id="r", trajectory_id=trajectory_id, settings=QUICKLY)

            hooks = Hooks(tools=Workbench(pool=pool, more=[more]))
            bench = Bench(
                tmp_path,
                ScriptedLLM(write),
                taskset=Walks(),
                solver=SolverConfig(protocol="tools"),
                collect=CollectConfig(concurrency=1, attempts=1),
                hooks=hooks,
            )
            await bench.run(bench.taskset.tasks("train")[:2])
            shelf = log.shelf()
    calls = [call for trajectory in bench.trajectories for step in trajectory.steps for call in step.tool_calls]
    assert {call.name for call in calls} == {"make_tool", "double"} and not any(call.error for call in calls)
    assert all(call.result == "42" for call in calls if call.name == "double")
    assert shelf.newest("double").calls >= 2


# Whatever a model writes.

TEXT = st.text(max_size=30) | st.sampled_from(
    ["\ud800", "\0", "f", "double", DOUBLE, function("return x"), "import os", "assert f(1)"]
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)
TEST = st.fixed_dictionaries(
    {},
    optional={"arguments": st.dictionaries(st.sampled_from("xy"), JSON, max_size=2), "expected": JSON, "check": TEXT},
)
PROPOSALS = st.fixed_dictionaries(
    {"name": TEXT, "description": TEXT, "code": TEXT, "tests": st.lists(TEST | JSON, max_size=3)}
) | st.dictionaries(st.sampled_from(["name", "description", "code", "tests", "x"]), JSON)


BODIES = st.sampled_from(
    ["x", "2 * x", "x + 'a'", "{x}", "_H", "x.__class__", "1 / x", "'\\ud800'", "f", "[x] * 10**9"]
)
CALLS = st.fixed_dictionaries({"arguments": st.fixed_dictionaries({"x": st.integers(-1, 2)}), "expected": JSON})
CHECKS = st.fixed_dictionaries(
    {"check": st.sampled_from(["assert f(1)", "assert f(f(1)) != f(2)", "assert not f('\\0')"])}
)
PLAUSIBLE = st.builds(
    lambda body, tests, name: draft(function(f"return {body}"), tests, name),
    BODIES,
    st.lists(CALLS | CHECKS, min_size=2, max_size=3),
    st.sampled_from(["f", "f", "g", "\ud800"]),
)


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(arguments=PROPOSALS | TEXT | PLAUSIBLE)
async def test_no_arguments_break_anything(desk, arguments):
    desk.log.admit(Source("r", "t", "1"), made(), [])
    for name in ("make_tool", "double", "list_tools"):
        done = await desk.toolset.call(ToolCall(id="\ud800\0", name=name, arguments=arguments))
        assert (done.result is None) != (done.error is None)
    assert desk.log.shelf().seq == len(desk.log.entries())
