"""Tools made of functions, the toolsets around them, and models that call them in every wrong way."""

import asyncio
import importlib.metadata
import json
import random
import string
from typing import Annotated, Literal

import pytest
from harness import Bench
from lamarck.agent.hooks import Hooks, Shared
from lamarck.agent.scripted import ScriptedLLM
from lamarck.config import SolverConfig
from lamarck.core import Reply, ToolCall
from lamarck.errors import ConfigError, SandboxError, ToolError
from lamarck.tools.tool import Tool, as_text, capped, parse_docstring, tool
from lamarck.tools.toolset import Approved, Filtered, Joined, Limited, Prefixed, Recorded, Tools, load_tools
from pydantic import BaseModel, Field
from worlds import Walks


class Place(BaseModel):
    """Where something is."""

    x: int
    y: int = 0


@tool
def distance(start: Place, end: Place, unit: Literal["m", "km"] = "m") -> float:
    """Say how far it is from one place to another.

    As the crow flies.

    Args:
        start: where to begin,
            in metres east and north.
        end: where to arrive.
        unit: of the result.

    Returns:
        The distance.
    """
    metres = ((start.x - end.x) ** 2 + (start.y - end.y) ** 2) ** 0.5
    return metres / (1000 if unit == "km" else 1)


@tool(name="slow-echo", timeout_s=0.2, max_chars=60, permissions={"network"})
async def echo(text: str, seconds: float = 0.0, times: Annotated[int, Field(ge=1, le=100)] = 1) -> str:
    """Say it again."""
    await asyncio.sleep(seconds)
    return text * times


@tool
def faulty(how: str) -> str:
    """Fail."""
    if how == "mine":
        raise ToolError("the lamp is off; switch it on first.")
    if how == "sandbox":
        raise SandboxError("the sandbox died")
    raise ValueError("password=hunter2")


def call(name, arguments=None, **more):
    return ToolCall(id="1", name=name, arguments=arguments if arguments is not None else {}, **more)


def test_a_schema_says_all_that_the_function_does():
    spec = distance.spec
    assert spec.name == "distance" and spec.description == (
        "Say how far it is from one place to another.\n\nAs the crow flies."
    )
    fields = spec.parameters["properties"]
    assert spec.parameters["required"] == ["start", "end"] and spec.parameters["additionalProperties"] is False
    assert fields["start"]["description"] == "where to begin, in metres east and north."
    assert fields["unit"] == {"default": "m", "description": "of the result.", "enum": ["m", "km"], "type": "string"}
    assert spec.parameters["$defs"]["Place"]["properties"]["x"] == {"type": "integer"}
    assert echo.permissions == {"network"} and echo.spec.parameters["properties"]["times"]["maximum"] == 100


async def test_arguments_become_what_the_function_wants():
    done = await distance.call(call("distance", {"start": {"x": 0}, "end": {"x": 3, "y": 4}}))
    assert (done.result, done.error, done.truncated) == ("5.0", None, False) and done.seconds >= 0
    done = await distance.call(call("distance", {"start": {"x": 0}, "end": {"x": "3000"}, "unit": "km"}))
    assert done.result == "3.0"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({}, "start: field required; end: field required"),
        ({"start": {"x": "east"}, "end": {"x": 1}}, "start.x: input should be a valid integer"),
        ({"start": {"x": 1}, "end": {"x": 1}, "unit": "mile"}, "unit: input should be 'm' or 'km'"),
        ({"start": {"x": 1}, "end": {"x": 1}, "speed": 3}, "speed: extra inputs are not permitted"),
        ("start=1", "not a JSON object: 'start=1'"),
    ],
)
async def test_wrong_arguments_are_explained_to_the_model(arguments, words):
    done = await distance.call(call("distance", arguments))
    assert done.result is None and words in done.error and "\n" not in done.error


async def test_limits():
    assert (await echo.call(call("slow-echo", {"text": "a", "seconds": 5}))).error == (
        "slow-echo took longer than 0.2 s and was stopped."
    )
    done = await echo.call(call("slow-echo", {"text": "ab", "times": 100}))
    assert done.truncated and "140 characters left out" in done.result and done.result.startswith("abab")
    assert capped("abcdef", 3) == ("ab\n[3 characters left out]\nf", True) and capped("abc", 3) == ("abc", False)


async def test_what_a_model_may_see_of_an_error(caplog):
    assert (await faulty.call(call("faulty", {"how": "mine"}))).error == "the lamp is off; switch it on first."
    hidden = await faulty.call(call("faulty", {"how": "other"}))
    assert hidden.error == "faulty failed (ValueError)." and "hunter2" in caplog.text
    with pytest.raises(SandboxError):
        await faulty.call(call("faulty", {"how": "sandbox"}))


def test_functions_that_make_no_tool():
    with pytest.raises(ConfigError, match="argument n has no type"):
        tool(lambda n: n)
    with pytest.raises(ConfigError, match="cannot be given by name"):
        tool(name="x")(lambda *n: n)

    def odd(thing: asyncio.Event) -> str:
        return ""

    with pytest.raises(ConfigError, match="tool odd: "):
        tool(odd)
    with pytest.raises(ConfigError, match="none that models can call"):
        tool(name="a b")(echo.function)


def test_results_as_text():
    assert as_text("plain") == "plain" and as_text({"a": [1, None]}) == '{"a": [1, null]}'
    assert as_text(Place(x=1)) == '{"x":1,"y":0}' and as_text({1}) == "{1}" and as_text(None) == "null"
    assert parse_docstring("Do.\n\nArgs:\n    a (int): one.\n    b: two: three.\n\nRaises:\n    E: never.") == (
        "Do.",
        {"a": "one.", "b": "two: three."},
    )


async def test_toolsets_compose():
    whole = Tools([distance, echo, faulty])
    assert [spec.name for spec in whole.specs()] == ["distance", "slow-echo", "faulty"]
    assert (
        "there is no tool 'nothing'; there are: distance, slow-echo, faulty"
        in (await whole.call(call("nothing"))).error
    )
    some = Filtered(whole, lambda spec: spec.name != "faulty")
    assert "there is no tool 'faulty'" in (await some.call(call("faulty", {"how": "mine"}))).error
    twice = Joined(Prefixed(some, "a_"), Prefixed(whole, "b_"))
    assert len(twice.specs()) == 5
    done = await twice.call(call("b_slow-echo", {"text": "hi"}))
    assert (done.name, done.result) == ("b_slow-echo", "hi")
    assert "there is no tool 'c_x'" in (await twice.call(call("c_x"))).error
    with pytest.raises(ConfigError, match="two tools are called 'distance'"):
        Joined(whole, some)
    with pytest.raises(ConfigError, match="two tools are called 'faulty'"):
        Tools([faulty, faulty])
    kept, asked = [], []

    async def ask(wanted):
        asked.append(wanted.name)
        return wanted.name == "slow-echo"

    guarded = Limited(Recorded(Approved(whole, ask), kept.append), 2)
    assert (await guarded.call(call("slow-echo", {"text": "x"}))).result == "x"
    assert (await guarded.call(call("distance"))).error == "distance was not allowed."
    assert "no tool calls are left" in (await guarded.call(call("slow-echo", {"text": "x"}))).error
    assert [done.name for done in kept] == asked == ["slow-echo", "distance"] and guarded.left == 0


def test_tools_of_installed_packages(monkeypatch):
    class Point:
        def __init__(self, name, value):
            self.name, self.value = name, value

        def load(self):
            if isinstance(self.value, Exception):
                raise self.value
            return self.value

    points = [Point("distance", distance), Point("text", "no tool"), Point("gone", ImportError("no module named gone"))]
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda group: points if group == "lamarck.tools" else [])
    assert [spec.name for spec in load_tools(["distance"]).specs()] == ["distance"]
    for name, words in {"text": "is a str", "gone": "does not load", "none": "there are: distance, gone, text"}.items():
        with pytest.raises(ConfigError, match=words):
            load_tools([name])


async def test_a_solver_calls_them(tmp_path):
    def answer(messages):
        if messages[-1].role == "tool":
            return f"<think>{messages[-1].content}</think><action>right</action>"
        asked = ToolCall(id="c", name="distance", arguments={"start": {"x": 0}, "end": {"x": 7}})
        return Reply(text="", tool_calls=(asked,))

    hooks = Hooks(tools=Shared(Tools([distance])))
    solver = SolverConfig(protocol="text")
    bench = Bench(tmp_path, ScriptedLLM(answer), taskset=Walks(n=1), solver=solver, hooks=hooks)
    await bench.run()
    [trajectory] = bench.trajectories
    assert [c.result for step in trajectory.steps for c in step.tool_calls] == ["7.0"] * 3


def _anything(generator, depth=0):
    kind = generator.randrange(10 if depth < 4 else 7)
    if kind == 0:
        return None
    if kind == 1:
        return generator.choice([True, False])
    if kind == 2:
        return generator.choice([0, -1, 2**63, 10**400, generator.randrange(100)])
    if kind == 3:
        return generator.choice([0.5, float("nan"), float("inf"), -1e308])
    if kind in (4, 5):
        return "".join(generator.choices(string.printable + "é💥\x00\ud800", k=generator.choice([0, 1, 5, 3000])))
    if kind == 6:
        return generator.choice(["m", "km", "x", "{}", "[1]"])
    if kind == 7:
        return [_anything(generator, depth + 1) for _ in range(generator.randrange(4))]
    keys = ["start", "end", "unit", "x", "y", "text", "seconds", "times", "how", "self", "", "💥"]
    return {generator.choice(keys): _anything(generator, depth + 1) for _ in range(generator.randrange(4))}


async def test_five_thousand_fuzzed_calls():
    generator = random.Random(0)
    tools, outcomes = Tools([distance, echo]), {"result": 0, "error": 0}
    deep = {"start": None}
    for _ in range(3000):
        deep = {"start": deep}
    for n in range(5000):
        name = generator.choice(["distance", "distance", "slow-echo", "slow-echo", "", "nothing", "💥" * 200])
        arguments = _anything(generator) if n % 3 else {key: _anything(generator) for key in ("start", "end", "text")}
        if n % 7 == 0:
            arguments = {"start": {"x": n}, "end": {"x": generator.choice([n, "1", None])}}
        if n % 11 == 0:
            arguments = json.dumps(str(arguments), ensure_ascii=True)
        arguments = arguments if isinstance(arguments, dict | str) else {}
        if isinstance(arguments, dict):
            arguments.pop("seconds", None)
        given = ToolCall.model_construct(id=str(n), name=name, arguments=deep if n == 4999 else arguments)
        done = await tools.call(given)
        assert (done.result is None) != (done.error is None) and isinstance(done, ToolCall)
        outcomes["error" if done.error else "result"] += 1
    assert outcomes["result"] > 100 and outcomes["error"] > 3000


def test_a_tool_may_come_from_a_schema():
    made = Tool("any", "Does.", {"type": "object"}, lambda **given: given)
    assert made.spec.parameters == {"type": "object"}
    assert asyncio.run(made.call(call("any", {"a": 1}))).result == '{"a": 1}'
