"""LangChain's tools as ours, and ours as LangChain's."""

import asyncio
from typing import Annotated

import pytest
from lamarck.core import ToolCall
from lamarck.errors import ConfigError, SandboxError, ToolError
from lamarck.tools.langchain import from_langchain, to_langchain
from lamarck.tools.tool import tool
from lamarck.tools.toolset import Tools
from langchain_core.tools import InjectedToolArg, InjectedToolCallId, StructuredTool, ToolException
from langchain_core.tools import Tool as SingleInput
from langchain_core.tools import tool as langchain_tool
from pydantic import BaseModel, Field


class Trip(BaseModel):
    """Where to go."""

    city: str = Field(description="by its own name")
    days: int = Field(default=1, ge=1)


@langchain_tool(args_schema=Trip)
def plan(city: str, days: int) -> dict:
    """Plan a trip."""
    if city == "Atlantis":
        raise ToolException("there is no such city.")
    if city == "Sodom":
        raise RuntimeError("password=hunter2")
    return {"city": city, "days": days}


@langchain_tool
async def wait(seconds: float) -> str:
    """Wait."""
    await asyncio.sleep(seconds)
    return "x" * 500


async def ask(made, **arguments):
    return await made.call(ToolCall(id="1", name=made.name, arguments=arguments))


async def test_a_tool_of_langchain():
    made = from_langchain(plan, permissions={"network"})
    assert (made.name, made.description, made.permissions) == ("plan", "Plan a trip.", {"network"})
    assert made.spec.parameters == {
        "type": "object",
        "properties": {
            "city": {"type": "string", "description": "by its own name"},
            "days": {"type": "integer", "default": 1, "minimum": 1},
        },
        "required": ["city"],
    }
    done = await ask(made, city="Rome", days="3")
    assert (done.id, done.result, done.error) == ("1", '{"city": "Rome", "days": 3}', None)
    assert (await ask(made, city="Rome")).result == '{"city": "Rome", "days": 1}'


async def test_what_a_model_reads_of_its_errors(caplog):
    made = from_langchain(plan)
    assert (await ask(made, city="Atlantis")).error == "there is no such city."
    assert (await ask(made, city="Sodom")).error == "plan failed (RuntimeError)." and "hunter2" in caplog.text
    assert (await ask(made)).error == "plan cannot be called like that: city: field required."
    assert "days: input should be greater than or equal to 1" in (await ask(made, city="Rome", days=0)).error
    assert (await ask(made, city="Rome", by="boat")).error == (
        "plan cannot be called like that: no argument 'by'. Its arguments: city, days."
    )
    handled = plan.model_copy(update={"handle_tool_error": lambda error: f"sorry: {error}"})
    done = await ask(from_langchain(handled), city="Atlantis")
    assert (done.result, done.error) == (None, "sorry: there is no such city.")
    handled = plan.model_copy(update={"handle_validation_error": "read the manual"})
    assert (await ask(from_langchain(handled), city=[])).error == "read the manual"


async def test_asynchronous_tools_and_limits():
    made = from_langchain(wait, timeout_s=0.2, max_chars=100)
    assert (await ask(made, seconds=5)).error == "wait took longer than 0.2 s and was stopped."
    done = await ask(made, seconds=0)
    assert done.truncated and "400 characters left out" in done.result


async def test_arguments_of_a_json_schema():
    def double(**given):
        return str(given["n"] * 2)

    schema = {"title": "double", "type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    made = from_langchain(StructuredTool(name="double it", description="Double.", args_schema=schema, func=double))
    assert made.name == "double_it" and made.spec.parameters == {key: schema[key] for key in schema if key != "title"}
    assert (await ask(made, n=4)).result == "8"
    assert "'n' is a required property" in (await ask(made)).error
    assert "n: 'four' is not of type 'integer'" in (await ask(made, n="four")).error
    wrong = StructuredTool(name="wrong", description="", args_schema={"type": "no type"}, func=double)
    with pytest.raises(ConfigError, match="tool wrong: a schema is wrong: 'no type'"):
        from_langchain(wrong)


async def test_a_model_cannot_give_what_the_program_injects():
    @langchain_tool
    def pay(amount: int, user: Annotated[str, InjectedToolArg] = "me", call: Annotated[str, InjectedToolCallId] = ""):
        """Pay."""
        return f"{user} pays {amount}"

    made = from_langchain(pay)
    assert list(made.spec.parameters["properties"]) == ["amount"]
    assert (await ask(made, amount=3)).result == "me pays 3"
    assert "no argument 'user'" in (await ask(made, amount=3, user="you")).error
    # Arguments that look like a call are still arguments.
    disguised = {"type": "tool_call", "id": "1", "name": "pay", "args": {"amount": 3, "user": "you"}}
    assert "no argument 'type'" in (await ask(made, **disguised)).error


async def test_results_that_are_no_text():
    @langchain_tool
    def look() -> list:
        """Look."""
        return [{"type": "text", "text": "a cat"}, {"type": "image", "base64": "AAAA", "mime_type": "image/png"}]

    @langchain_tool(response_format="content_and_artifact")
    def find(what: str) -> tuple:
        """Find."""
        return f"found {what}", object()

    assert (await ask(from_langchain(look))).result == "a cat\n[image]"
    assert (await ask(from_langchain(find), what="it")).result == "found it"
    shout = SingleInput(name="shout", description="Shout.", func=str.upper)
    made = from_langchain(shout)
    [key] = made.spec.parameters["properties"]
    assert (await ask(made, **{key: "hey"})).result == "HEY"


async def test_ours_for_langchain():
    @tool
    def halve(n: int) -> int:
        """Halve a number.

        Args:
            n: an even one.
        """
        if n == 7:
            raise SandboxError("the sandbox is away")
        if n % 2:
            raise ToolError(f"{n} is odd.")
        return n // 2

    theirs = to_langchain(halve)
    assert theirs.name == "halve" and theirs.args == {"n": {"type": "integer", "description": "an even one."}}
    assert await theirs.ainvoke({"n": 8}) == "4"
    call = {"type": "tool_call", "id": "c", "name": "halve", "args": {"n": 3}}
    message = await theirs.ainvoke(call)
    assert (message.content, message.status, message.tool_call_id) == ("3 is odd.", "error", "c")
    with pytest.raises(SandboxError):
        await theirs.ainvoke({"n": 7})
    there_and_back = from_langchain(theirs)
    assert there_and_back.spec == halve.spec
    done = await Tools([there_and_back]).call(ToolCall(name="halve", arguments={"n": 5}))
    assert (done.result, done.error) == (None, "5 is odd.")
