"""What becomes of the tools that agents write: versions, wear, duplicates, and the log of it all."""

import asyncio
import subprocess
import sys

import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st
from lamarck.errors import ToolError
from lamarck.store import Store
from lamarck.store_tables import METADATA
from lamarck.tools.made import MadeTool
from lamarck.tools.made_check import signature_of
from lamarck.tools.made_convergence import Convergence, convergence
from lamarck.tools.made_log import Source, ToolLog
from lamarck.tools.made_merge import merge_alike
from lamarck.tools.made_shelf import LogEntry, Shelf, fold
from lamarck.tools.made_toolset import MadeSettings
from lamarck.tools.made_trial import Trial, TrialLimits
from making import (
    DOUBLE,
    QUICK,
    TESTS,
    Desk,
    draft,
    function,
    made,
    sandboxes,
)
from postgres_server import postgres


@pytest.fixture
def store(tmp_path):
    with Store.open(tmp_path / "store.db") as store:
        yield store


@pytest.fixture
async def desk(store):
    async with sandboxes() as pool, pool.lease() as lease:
        yield Desk(store, pool, lease)


# Versions.


async def test_versions_and_roll_back(desk):
    await desk.make()
    better = DOUBLE.replace("2 * x", "2 * x if x < 1000 else 0")
    more = [*TESTS, {"arguments": {"x": 1000}, "expected": 0}]
    done = await desk.make(better, more)
    assert done.result == (
        "double is admitted as version 2; from now on it is used instead of those before. Call it like any other tool."
    )
    assert (await desk.call("double", {"x": 1000})).result == "0"
    before = desk.log.entries()[-1].seq
    desk.log.roll_back("double", 1)
    assert (await desk.call("double", {"x": 1000})).result == "2000"
    assert [(v.version, v.status, v.reason) for v in desk.log.shelf().versions["double"]] == [
        (1, "active", ""),
        (2, "deprecated", "rolled back to version 1"),
    ]
    desk.log.roll_back("double", 2)
    assert desk.log.shelf().newest("double").version == 2
    # The log can be read up to any point, and a toolset stand there.
    assert desk.log.shelf(before).newest("double").version == 2
    assert desk.log.shelf(2).newest("double").version == 1 and desk.log.shelf(1).active() == []
    frozen = desk.open("t3", settings=MadeSettings(trial=QUICK, upto=2))
    assert [spec.name for spec in frozen.specs()] == ["list_tools", "double"]
    assert (await desk.call("double", {"x": 1000}, frozen)).result == "2000"
    assert "there is no tool 'make_tool'" in (await desk.make(toolset=frozen)).error
    with pytest.raises(ToolError, match="tool double has no version 7; it has: 1, 2"):
        desk.log.roll_back("double", 7)
    assert not desk.log.revive("double", 2, "again") and not desk.log.deprecate("nothing", 1, "")
    # The old code proposed anew is not a third version.
    assert "is there already with the same code, as version 1" in (await desk.make()).result
    assert len(desk.log.shelf().versions["double"]) == 2


# Wear.

SHAKY = function("if x > 100: raise ValueError('too large')\nreturn x")


async def test_a_tool_that_starts_to_fail_is_given_up(desk):
    await desk.make(SHAKY, None, "f")
    for n in range(4):
        done = await desk.call("f", {"x": 101 + n})
        assert done.error == "f failed: ValueError: too large (line 4)." and desk.names() == ["f"]
    for n in range(3):
        await desk.call("f", {"x": n})
    assert desk.names() == ["f"]
    await desk.call("f", {"x": 200})
    assert desk.names() == [] and desk.events()[-2:] == ["failed", "deprecated"]
    reason = "5 of its latest 8 calls failed; last: ValueError: too large (line 4)"
    assert desk.log.entries()[-1].payload == {"reason": reason}
    assert (await desk.call("f", {"x": 1})).error == f"f was given up: {reason}. Do without it, or make a better one."
    # The same code, under any name, is not tried again.
    done = await desk.make(SHAKY.replace("f(", "g("), None, "g")
    assert f"Failed check: known. the same code was f (version 1), which was given up: {reason}" in done.error
    assert (await desk.make(SHAKY.replace("raise ValueError('too large')", "return 0"), None, "f")).result
    assert desk.log.shelf().newest("f").version == 2


async def test_the_version_before_takes_over(desk):
    await desk.make(function("return x"), None, "f")
    await desk.make(SHAKY, None, "f")
    for n in range(5):
        await desk.call("f", {"x": 101 + n})
    assert desk.log.shelf().newest("f").version == 1
    assert (await desk.call("f", {"x": 101})).result == "101" and desk.names() == ["f"]
    assert desk.log.revive("f", 2, "by hand") and desk.log.shelf().newest("f").version == 2
    # It starts anew: one more failure does not end it.
    assert (await desk.call("f", {"x": 999})).error and desk.log.shelf().newest("f").version == 2


# Duplicates.


async def test_the_same_code_under_another_name_is_merged(desk):
    await desk.make()
    twin = '''
def twice(number: int) -> int:
    """Say it in other words."""
    return 2 * number
'''
    done = await desk.make(twin, [{"arguments": {"number": n}, "expected": 2 * n} for n in (5, 6)], "twice")
    assert done.result == (
        "double has the same code, so no second tool was made; call double. Calls of twice go to it."
    )
    assert desk.names() == ["double"] and desk.toolset.knows("twice") and not desk.toolset.knows("thrice")
    assert (await desk.call("twice", {"number": 4})).result == "8"
    [version] = desk.log.shelf().active()
    assert version.calls == 1 and desk.log.entries()[-1].payload["alias"] == "twice"
    # A version with other arguments is not what the old name came to.
    other = function("return 2 * n", "double", "n: int, m: int = 0")
    assert (
        "as version 2" in (await desk.make(other, [{"arguments": {"n": n}, "expected": 2 * n} for n in (5, 6)])).result
    )
    assert (await desk.call("twice", {"number": 4})).result == (await desk.call("double", {"n": 4})).result == "8"
    # A tool of its own takes the name back.
    third = twin.replace("2 * number", "3 * number")
    assert (await desk.make(third, [{"arguments": {"number": n}, "expected": 3 * n} for n in (5, 6)], "twice")).result
    assert (await desk.call("twice", {"number": 4})).result == "12" and desk.names() == ["double", "twice"]


async def test_the_same_behaviour_is_merged(desk):
    await desk.make()
    other = '''
def plus_itself(a: int) -> int:
    """Add a number to itself."""
    return a + a
'''
    tests = [{"arguments": {"a": n}, "expected": 2 * n} for n in (7, 8)]
    done = await desk.make(other, tests, "plus_itself", toolset=desk.open("t2"))
    assert done.result == (
        "double does the same on all tests of both, so no second tool was made; call double. "
        "Calls of plus_itself go to it."
    )
    assert desk.log.shelf().active()[0].sources == ("t1", "t2")
    assert (await desk.call("plus_itself", {"a": 3})).result == "6"
    # It differs on one input of either's tests: a tool of its own.
    capped = other.replace("plus_itself", "capped").replace("a + a", "min(a + a, 100)")
    tests = [{"arguments": {"a": n}, "expected": min(2 * n, 100)} for n in (2, 70)]
    assert "is admitted" in (await desk.make(capped, tests, "capped")).result
    # Too few inputs say nothing, and so does another shape.
    few = other.replace("plus_itself", "few").replace("a + a", "a * 2")
    tests = [{"arguments": {"a": n}, "expected": 2 * n} for n in (2, -3)]
    assert "is admitted" in (await desk.make(few, tests, "few")).result
    shape = other.replace("plus_itself", "real").replace("a: int", "a: float")
    tests = [{"arguments": {"a": n}, "expected": 2 * n} for n in (7, 8)]
    assert "is admitted" in (await desk.make(shape, tests, "real")).result


async def test_what_parallel_episodes_made_twice_is_merged_later(desk):
    named = [
        ("a", "x", "x + x", (1, 2)),
        ("b", "y", "2 * y", (3, 4)),
        ("c", "z", "z * 3", (5, 6)),
        ("d", "w", "w + w", (5, 6)),
    ]
    for name, argument, body, inputs in named:
        code = function(f"return {body}", name, f"{argument}: int")
        factor = 3 if name == "c" else 2
        tool = made(name, code, [{"arguments": {argument: n}, "expected": factor * n} for n in inputs])
        examples = await Trial(desk.pool, QUICK).run(tool, signature_of(tool))
        # As another process would have, that has not seen the others.
        log = desk.log
        log.known = lambda tool, shelf: None
        log.admit(Source("r", f"t-{name}", "1"), tool, examples)
        del log.known
    for name, argument in (("b", "y"), ("d", "w")):
        await desk.call(name, {argument: 3})
    done = await merge_alike(desk.log, Trial(desk.pool, QUICK))
    assert done == [("b", "a", "behaviour"), ("d", "a", "code")]
    assert desk.names() == ["a", "c"]
    [kept, _] = desk.log.shelf().active()
    assert (kept.calls, kept.sources) == (2, ("t-a", "t-b", "t-d"))
    assert (await desk.call("b", {"y": 9})).result == "18" and (await desk.call("d", {"w": 9})).result == "18"
    assert [v.status for v in desk.log.shelf().versions["b"]] == ["merged"]
    assert await merge_alike(desk.log, Trial(desk.pool, QUICK)) == []


def test_old_names_follow_a_tool_through_several_merges():
    def entry(seq, event, name, payload):
        return LogEntry(seq, 0.0, event, name, 1, "", "r", f"t{seq}", None, payload)

    def tool(name):
        return {"tool": made(name, DOUBLE.replace("double", name)).model_dump()}

    absorbed = {"absorbed": True}
    log = [
        entry(1, "admitted", "a", tool("a")),
        entry(2, "admitted", "b", tool("b")),
        entry(3, "merged", "b", {"alias": "c", "arguments": {"z": "y"}}),
        entry(4, "merged", "a", {"alias": "b", "arguments": {"y": "x"}, **absorbed}),
        entry(5, "called", "nowhere", {}),
        entry(6, "merged", "nowhere", {"alias": "d"}),
    ]
    shelf = fold(Shelf(), log)
    assert {name: shelf.find(name).arguments for name in "abc"} == {"a": {}, "b": {"y": "x"}, "c": {"z": "x"}}
    assert shelf.find("d") is None and shelf.seq == 6
    assert fold(shelf, log) == shelf and fold(fold(Shelf(), log[:3]), log[2:]) == shelf


# The log.


async def test_a_run_that_is_replayed_doubles_nothing(desk):
    calls = [
        ("make_tool", draft(DOUBLE, TESTS, "double")),
        ("double", {"x": 1}),
        ("double", {"x": 2}),
        ("make_tool", draft(DOUBLE.replace("2 * x", "7"), TESTS, "double")),
        ("make_tool", draft(DOUBLE.replace("double", "again"), TESTS, "again")),
    ]
    told = []
    for _ in range(2):
        toolset = desk.open(log=ToolLog(desk.store))
        done = [
            await desk.call(name, arguments, toolset, ident=f"call_{n % 2}")
            for n, (name, arguments) in enumerate(calls)
        ]
        told.append([(call.result, call.error) for call in done])
    assert told[0] == told[1]
    assert desk.events() == ["proposed", "admitted", "called", "called", "proposed", "refused", "proposed", "merged"]
    assert desk.log.shelf().active()[0].calls == 2
    # Another episode makes the same calls: those count.
    await desk.call("double", {"x": 1}, desk.open("t2"), ident="call_1")
    assert desk.log.shelf().active()[0].calls == 3


def test_a_result_is_written_once_whatever_it_is(store):
    log = ToolLog(store)
    log.admit(Source("r", "t", "0"), made(), [])
    version = log.shelf().newest("double")
    for why in ("", "timeout", ""):
        log.ran(Source("r", "t", "1"), version, why)
    assert [entry.event for entry in log.entries()] == ["admitted", "called"]
    log.admit(Source("r", "t", "0"), made(), [])
    log.refuse(Source("r", "t", "0"), "double", ToolError("no", kind="tests"))
    assert len(log.entries()) == 2
    with pytest.raises(sa.exc.IntegrityError), store._engine.begin() as connection:
        columns = "at, event, name, version, tool_id, run_id, trajectory_id, call_id, payload"
        row = f"SELECT 99, {columns} FROM tool_log LIMIT 1"
        connection.execute(sa.text(f"INSERT INTO tool_log (seq, {columns}) {row}"))


ENTRIES = st.lists(
    st.tuples(
        st.sampled_from(["proposed", "refused", "admitted", "called", "failed", "deprecated", "revived", "merged"]),
        st.sampled_from(["a", "b", "c"]),
        st.integers(1, 3),
        st.sampled_from(["", "a", "b", "c"]),
        st.booleans(),
    ),
    max_size=30,
)


@settings(max_examples=200, deadline=None)
@given(rows=ENTRIES, cut=st.integers(0, 30))
def test_the_state_is_a_fold(rows, cut):
    tools = {name: MadeTool(name=name, description="", code="", parameters={}).model_dump() for name in "abc"}
    log = [
        LogEntry(
            seq,
            0.0,
            event,
            name,
            version,
            "",
            "r",
            "t",
            None,
            {"tool": tools[name], "alias": alias, "absorbed": absorbed},
        )
        for seq, (event, name, version, alias, absorbed) in enumerate(rows, 1)
    ]
    whole = fold(Shelf(), log)
    assert fold(fold(Shelf(), log[:cut]), log[cut:]) == whole == fold(whole, log)
    assert whole.seq == len(log)
    for version in whole.active():
        assert version.status == "active"
    for name in "abc":
        found = whole.find(name)
        assert found is None or found.version in whole.active()


WRITER = """
import sys
from lamarck.errors import ToolError
from lamarck.store import Store
from lamarck.tools.made import MadeTest
from lamarck.tools.made_check import check
from lamarck.tools.made_log import Source, ToolLog
from lamarck.tools.made_rules import Rules
url, who = sys.argv[1:]
tests = [MadeTest(arguments={"x": n}, expected=n) for n in (1, 2)]
with Store.open(url) as store:
    log = ToolLog(store)
    for n in range(15):
        for number in (n, f"10{who}{n}"):
            code = f'def f(x: int):\\n    "D."\\n    return x + 0 * {number}'
            log.admit(Source("r", who, f"{n}{number}"), check("f", "", code, tests, Rules()).tool, [])
        log.ran(Source("r", who, f"call{n}"), log.shelf().newest("f"))
        for _ in range(2):
            if log.propose(Source("r", who, f"wrong{n}"), "f", {"code": "50% \\0"}) is None:
                log.refuse(Source("r", who, f"wrong{n}"), "f", ToolError("no", kind="tests"))
"""


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_two_processes_write_at_once(tmp_path, kind):
    def both(url):
        Store.open(url).close()
        writers = [subprocess.Popen([sys.executable, "-c", WRITER, url, who]) for who in ("1", "2")]
        assert [writer.wait(120) for writer in writers] == [0, 0]
        with Store.open(url) as store:
            entries = ToolLog(store).entries()
            assert [entry.seq for entry in entries] == list(range(1, len(entries) + 1)) and len(entries) == 150
            # Both wrote 15 versions of their own, and 15 alike, of which each keeps what came first.
            versions = ToolLog(store).shelf().versions["f"]
            assert [version.version for version in versions] == list(range(1, len(versions) + 1))
            assert len({version.tool.code for version in versions}) == len(versions) == 45
            assert sum(entry.event == "merged" for entry in entries) == 15
            assert sum(version.calls for version in versions) == 30

    if kind == "sqlite":
        both(str(tmp_path / "store.db"))
    else:
        with postgres() as url:
            both(url)


async def test_two_toolsets_make_the_same_tool_at_once(desk, tmp_path):
    with Store.open(tmp_path / "store.db") as other:
        first, second = desk.open("t1"), desk.open("t2", log=ToolLog(other))
        done = await asyncio.gather(desk.make(toolset=first), desk.make(toolset=second))
    assert sorted(call.result for call in done) == [
        "double is admitted as version 1. Call it like any other tool.",
        "double is there already with the same code, as version 1. Call it.",
    ]
    assert desk.log.shelf().active()[0].sources == tuple(
        sorted(
            ("t1", "t2"), key=lambda t: next(e.seq for e in desk.log.entries() if e.trajectory_id == t and e.version)
        )
    )


def test_a_store_of_the_schema_before_gets_the_log(tmp_path):
    with Store.open(tmp_path / "store.db") as store, store._engine.begin() as connection:
        connection.execute(sa.text("drop table tool_log"))
        connection.execute(sa.text("update meta set value = '2' where key = 'schema'"))
    with Store.open(tmp_path / "store.db") as store:
        log = ToolLog(store)
        assert log.entries() == [] and log.shelf() == Shelf()
        assert log.admit(Source("r", "t", "1"), made(), []).version == 1
        assert set(sa.inspect(store._engine).get_table_names()) == set(METADATA.tables)


# Convergence.


def test_convergence_by_hand():
    def log(text):
        kinds = {"n": ("admitted", 1), "v": ("admitted", 2), "c": ("called", 1), "f": ("failed", 1), "m": ("merged", 1)}
        return [
            LogEntry(seq, 0.0, kinds[k][0], "t", kinds[k][1], "", "", "", None, {}) for seq, k in enumerate(text, 1)
        ]

    assert convergence([]) == Convergence() and convergence([]).total is None and convergence(log("n")).recent is None
    # Two new tools, four calls: a half; the version and the merger are no new tools.
    found = convergence(log("ncnvcfmc"), window=2)
    assert (found.tools, found.calls, found.total) == (2, 4, 0.5)
    # The latest two calls are `f` and `c`, and nothing new came after the first of them.
    assert (found.recent_tools, found.recent_calls, found.recent) == (0, 2, 0.0)
    # Of three calls: one new tool since the first of them, a third.
    assert convergence(log("ncccnc"), window=3).recent == pytest.approx(1 / 3)
    # The window is not full: all counts.
    assert convergence(log("ncnc"), window=3).recent == convergence(log("ncnc")).total == 1.0


async def test_a_stream_of_tasks_needs_ever_fewer_new_tools(desk):
    """The measure of Yunjue (2601.18226) on thirty tasks of five kinds: it falls to nothing once all are known."""
    curve = []
    for n in range(30):
        name, factor = f"times_{n * 7 % 5}", n * 7 % 5 + 2
        toolset = desk.open(f"t{n}", settings=MadeSettings(trial=TrialLimits(seeds=((1,), (2,)))))
        if not toolset.knows(name):
            tests = [{"arguments": {"x": x}, "expected": factor * x} for x in (3, 4)]
            assert (await desk.make(function(f"return {factor} * x", name), tests, name, toolset=toolset)).error is None
        assert (await desk.call(name, {"x": n}, toolset)).result == str(factor * n)
        curve.append(convergence(desk.log.entries(), window=10))
    assert curve[4].total == 1.0 and curve[-1].total == pytest.approx(5 / 30)
    assert curve[4].recent == 1.0 and curve[-1].recent == 0.0
