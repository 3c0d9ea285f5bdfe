"""The door to litellm, against a server that fails in every way servers fail."""

import asyncio
import random

import pytest
from fake_server import fake_server
from lamarck.agent.llm import LiteLLM
from lamarck.agent.llm_choice import chosen_index
from lamarck.agent.retry import Backoff
from lamarck.core import Message, Sampling, ToolSpec
from lamarck.errors import ModelError

ASK = [Message(role="user", content="What now?")]


def door(server, **options):
    defaults = {"api_base": server.base, "timeout_s": 5.0, "retries": 3, "backoff_s": 0.01}
    return LiteLLM("openai/fake", **{**defaults, **options})


async def test_an_answer_with_usage_and_cost():
    async with fake_server("go north") as server:
        llm = door(server, price=(0.01, 0.1))
        reply = await llm.chat(ASK, sampling=Sampling(temperature=0.5, seed=2**40, stop=("END",)))
        await llm.close()
    assert reply.text == "go north"
    assert (reply.usage.prompt_tokens, reply.usage.completion_tokens, reply.usage.calls) == (10, 4, 1)
    assert reply.usage.cost_usd == pytest.approx(0.5)
    [request] = server.requests
    assert request["temperature"] == 0.5 and request["stop"] == ["END"] and request["logprobs"] is True
    assert 0 <= request["seed"] < 2**31


async def test_token_ids_and_logprobs_where_the_server_gives_them():
    async with fake_server("logprobs") as server:
        reply = await door(server).chat(ASK)
    assert reply.token_ids == (11, 22) and reply.logprobs == (-0.5, -1.5)


async def test_tool_calls_keep_arguments_that_are_no_json():
    async with fake_server("tools") as server:
        reply = await door(server).chat(ASK, tools=[ToolSpec(name="act")])
    assert [call.arguments for call in reply.tool_calls] == [{"action": "look"}, "not json", "[1]"]
    assert server.requests[0]["tools"][0]["function"]["name"] == "act"


@pytest.mark.parametrize("trouble", [429, 500, "hangup", "garbage"])
async def test_passing_trouble_is_tried_again(trouble):
    async with fake_server(trouble, trouble, "fine") as server:
        reply = await door(server).chat(ASK)
    assert reply.text == "fine" and len(server.requests) == 3


@pytest.mark.parametrize(
    ("trouble", "kind", "tries"),
    [
        (500, "server", 4),
        (429, "rate_limit", 4),
        ("hangup", "connection|server|bad_reply", 4),
        (401, "auth", 1),
        (404, "unknown_model", 1),
    ],
)
async def test_lasting_trouble_is_named(trouble, kind, tries):
    async with fake_server(trouble) as server:
        with pytest.raises(ModelError) as caught:
            await door(server).chat(ASK)
    assert caught.value.kind in kind.split("|") and len(server.requests) == tries
    assert "openai/fake" in str(caught.value) and "\n" not in str(caught.value)


async def test_a_server_that_hangs_times_out():
    async with fake_server("hang") as server:
        with pytest.raises(ModelError, match="openai/fake") as caught:
            await door(server, timeout_s=0.2, retries=1).chat(ASK)
    assert caught.value.kind == "timeout" and len(server.requests) == 2


async def test_a_server_that_is_not_there():
    llm = LiteLLM("openai/fake", api_base="http://127.0.0.1:9/v1", retries=1, backoff_s=0.01, timeout_s=5.0)
    with pytest.raises(ModelError, match=r"127\.0\.0\.1:9/v1 .*Is the server running") as caught:
        await llm.chat(ASK)
    assert caught.value.kind == "connection"


async def test_empty_and_huge_answers_are_answers():
    async with fake_server("empty", "huge") as server:
        llm = door(server)
        assert (await llm.chat(ASK)).text == ""
        assert len((await llm.chat(ASK)).text) == 1_000_000


async def test_calls_at_once_are_bounded():
    async with fake_server("fine") as server:
        llm = door(server, max_concurrency=3)
        await asyncio.gather(*(llm.chat(ASK) for _ in range(12)))
    assert server.most_at_once <= 3 and len(server.requests) == 12


async def test_a_cancelled_call_frees_its_place():
    async with fake_server("hang", "fine") as server:
        llm = door(server, max_concurrency=1)
        waiting = asyncio.create_task(llm.chat(ASK))
        await asyncio.sleep(0.5)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert (await llm.chat(ASK)).text == "fine"


@pytest.mark.parametrize("mode", ["text", "json", "structured"])
async def test_choosing(mode):
    answer = '{"action": "go south"}' if mode == "json" else "go south"
    async with fake_server(answer) as server:
        reply = await door(server, choice_mode=mode).choose(ASK, ["go north", "go south"])
    assert reply.text == "go south" and reply.choice.index == 1
    request = server.requests[0]
    if mode == "structured":
        assert request["structured_outputs"] == {"choice": ["go north", "go south"]}
    else:
        assert "- go north" in request["messages"][-1]["content"]


@pytest.mark.parametrize(("mode", "kept"), [("text", (-0.5, -1.5)), ("json", ())])
async def test_log_probabilities_under_a_schema_are_not_the_policys_own(mode, kept):
    async with fake_server("logprobs") as server:
        reply = await door(server, choice_mode=mode).choose(ASK, ["hi there", "go"])
    assert reply.text == "hi there" and reply.logprobs == kept


async def test_an_answer_that_is_no_option_is_asked_again_once():
    async with fake_server("dance", "Go south.") as server:
        reply = await door(server, choice_mode="text").choose(ASK, ["go north", "go south"])
    assert reply.text == "go south" and reply.usage.calls == 2
    async with fake_server("dance") as server:
        with pytest.raises(ModelError, match="none of the 2 options") as caught:
            await door(server, choice_mode="text").choose(ASK, ["go north", "go south"])
    assert caught.value.kind == "no_choice"
    with pytest.raises(ModelError, match="nothing to choose"):
        await door(server).choose(ASK, [])


def test_reading_a_choice():
    options = ["take mug 1", "take mug 10", "look"]
    assert chosen_index("take mug 10", options) == 1
    assert chosen_index("<think>x</think><action>look</action>", options) == 2
    assert chosen_index("I would look around and take mug 1", options) is None
    assert chosen_index("", options) is None
    assert chosen_index("[" * 100_000, options) is None


def test_keys_and_providers_are_checked_before_a_run(monkeypatch):
    for name in ("OPENAI_API_KEY", "MY_KEY"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(ModelError, match="OPENAI_API_KEY") as caught:
        LiteLLM("openai/gpt-4o").check()
    assert caught.value.kind == "no_key"
    with pytest.raises(ModelError, match="needs an API key in MY_KEY"):
        LiteLLM("openai/gpt-4o", api_key_env="MY_KEY").check()
    with pytest.raises(ModelError, match="no provider"):
        LiteLLM("gibberish").check()
    monkeypatch.setenv("OPENAI_API_KEY", "x")
    LiteLLM("openai/gpt-4o").check()


def test_backoff_grows_is_capped_and_heeds_the_server():
    backoff = Backoff(base_s=1.0, most_s=4.0)
    generator = random.Random(0)
    waits = [max(backoff.wait(n, None, generator) for _ in range(300)) for n in range(5)]
    assert waits[0] <= 1.0 < waits[1] <= 2.0 < waits[2] <= 4.0 and max(waits) <= 4.0
    assert backoff.wait(0, 3.0, generator) >= 3.0
    assert backoff.wait(0, 1e9, generator) == 4.0
