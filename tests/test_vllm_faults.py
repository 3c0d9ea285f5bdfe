"""A vLLM of ours that goes wrong while it is used: told in one line, mended where that can be, never silent."""

import asyncio
import logging
import os
import signal
from contextlib import AsyncExitStack
from functools import partial

import pytest
from fake_server import fake_server
from lamarck.agent import vllm_control
from lamarck.agent.distiller import LLMDistiller
from lamarck.agent.llms import build_llm
from lamarck.agent.prompting import Prompts
from lamarck.agent.vllm_command import Served
from lamarck.agent.vllm_control import VllmControl
from lamarck.cli.serve_model import serve
from lamarck.cli.wire import build_distiller
from lamarck.config import ModelConfig, RunConfig
from lamarck.config_vllm import VllmConfig
from lamarck.core import Message
from lamarck.errors import ConfigError, ModelError
from lamarck.weights import adapter_id, weights_id
from vllms import adapter, calls, gone, interpreter, model_in, started, until


def ask(text):
    return [Message(role="user", content=text)]


@pytest.fixture
def model(tmp_path):
    return model_in(tmp_path / "small")


@pytest.fixture
async def served(model, tmp_path, monkeypatch):
    """Return what makes a model behind a vLLM that behaves in a given way; all are ended with the test."""
    monkeypatch.setenv("FAKE_VLLM_NOTES", str(tmp_path))
    async with AsyncExitStack() as stack:

        def made(act="well", said=None, **more):
            settings = VllmConfig(python=interpreter(tmp_path, act), start_s=60.0, **more)
            config = ModelConfig(name=f"vllm:{model}", vllm=settings, retries=0)
            llm = build_llm(config, said.append if said is not None else None, tmp_path / "logs")
            stack.push_async_callback(llm.close)
            return llm

        yield made
    assert all(gone(row["pid"]) for row in started(tmp_path))


async def test_one_answer_that_cannot_be_measured_is_said_and_the_next_is_measured(served, caplog):
    llm = served()
    with caplog.at_level(logging.WARNING, "lamarck.model"):
        torn = [await llm.choose(ask("torn"), ["look", "go"]) for _ in range(2)]
        assert all((one.text, one.token_ids, one.logprobs) == ("look", (), ()) for one in torn)
        [said] = caplog.messages
        assert "is kept without tokens" in said and "this prompt cannot be had" in said
        assert (await llm.choose(ask("well"), ["look", "go"])).token_ids == (7,)
        caplog.clear()
        never = served("old")
        found = [await never.choose(ask("well"), ["look", "go"]) for _ in range(2)]
    assert [one.token_ids for one in found] == [(), ()] and found[1].usage.calls == 1
    [said] = caplog.messages
    assert said.startswith("choices are kept without tokens from now on: the server gives no prompt_logprobs.")


async def test_an_engine_that_dies_behind_a_server_that_lives(served, tmp_path):
    llm = served()
    await llm.start()
    found = await asyncio.gather(*(llm.chat(ask("engine")) for _ in range(3)), return_exceptions=True)
    assert [error.kind for error in found] == ["died"] * 3 and len({str(error) for error in found}) == 1
    # What the log says last counts, not the error of a question long ago.
    assert "small has lost its engine: RuntimeError: NCCL went away Its log is" in str(found[0])
    assert (await llm.chat(ask("well"))).text == "look"
    first, second = started(tmp_path)
    assert gone(first["pid"]) and not gone(second["pid"])


async def test_a_server_that_ends_between_questions_fails_none(served, tmp_path):
    said = []
    llm = served(said=said)
    await llm.start()
    os.kill(started(tmp_path)[0]["pid"], signal.SIGKILL)
    await asyncio.to_thread(until, lambda: not llm.server.running)
    assert (await llm.chat(ask("well"))).text == "look"
    assert any("small died with exit status 137" in line and line.endswith("Starting vLLM anew.") for line in said)


async def test_a_failure_of_a_server_that_is_well_does_not_end_it(served, tmp_path):
    llm = served()
    await llm.start()
    with pytest.raises(ModelError, match="failed with 500") as caught:
        await llm.chat(ask("hiccup"))
    assert caught.value.kind == "server" and len(started(tmp_path)) == 1 and llm.server.running


async def test_proxies_are_for_the_world_outside(served, monkeypatch):
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.setenv(name, "")
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert (await served().chat(ask("well"))).text == "look"
    assert os.environ["no_proxy"] == "127.0.0.1"


async def test_a_distiller_of_the_same_name_asks_the_same_server(served, model):
    llm, playing = served(), f"vllm:{model}"
    for name, shared in ((f"{playing}/", True), (playing, True), ("random", False)):
        distil = {"memory.mode": "learn", "memory.distil.by": "llm", "memory.distil.model": name}
        config = RunConfig.load(None, {"model.name": playing, **distil})
        async with AsyncExitStack() as stack:
            found = await build_distiller(config, llm, Prompts(), Place(), stack)
            assert isinstance(found, LLMDistiller) and (found._llm is llm) is shared


class Place:
    """Stands where a memory is told how items are compared."""

    same = None


async def test_an_adapter_that_cannot_be_dropped_is_a_note(served, model, tmp_path):
    said = []
    llm = served("sticky", said)
    one, two = adapter(tmp_path / "one", model), adapter(tmp_path / "two", model, weights=b"other")
    await llm.start()
    await llm.load(one)
    await llm.load(two)
    assert (await llm.chat(ask("well"))).policy_version.endswith(adapter_id(two)[:12])
    assert sum("not now It stays loaded beside" in line for line in said) == 1 and len(started(tmp_path)) == 1


async def test_whether_it_is_there_is_not_waited_for_as_long_as_an_adapter(monkeypatch):
    monkeypatch.setattr(vllm_control, "ANSWER_S", 0.1)
    async with fake_server("hang") as fake:
        control = VllmControl(fake.base)
        for question in (control.models, control.asleep, partial(control.unload, "x")):
            with pytest.raises(ModelError, match="Timeout"):
                await asyncio.wait_for(question(), 20.0)
        assert await control.health() == "silent"
        await control.close()


@pytest.mark.parametrize("act", ["garbage", "hello"])
async def test_a_server_that_does_not_say_whether_it_sleeps(act):
    async with fake_server(act) as fake:
        control = VllmControl(fake.base)
        with pytest.raises(ModelError, match="does not say whether it sleeps"):
            await control.asleep()
        await control.close()


async def test_a_log_that_was_cleaned_up_does_not_matter(served, tmp_path):
    llm = served()
    await llm.start()
    llm.server.log.unlink()
    assert not llm.server._process.failed and llm.server._process.last() == "nothing yet"
    with pytest.raises(ModelError, match=r"died with exit status 3: its log is gone"):
        await llm.chat(ask("die"))


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ("--port=1", r"--port is what model\.vllm\.port sets"),
        ("--max_model_len=512", r"--max-model-len is what model\.vllm\.context sets"),
        ("--host=0.0.0.0", "--host is not to be given"),
    ],
)
def test_arguments_that_are_ours_are_refused_in_one_line(given, says):
    with pytest.raises(ConfigError, match=says) as caught:
        serve("embedded", settings=[f"arguments=['--enforce-eager', '{given}']"])
    assert "\n" not in str(caught.value)


def test_a_server_that_sleeps_is_not_served_to_the_world():
    with pytest.raises(ConfigError, match=r"opens its paths for development to all who can reach 0\.0\.0\.0"):
        serve("embedded", host="0.0.0.0", token="secret", settings=["sleep=true"])


def test_weights_are_hashed_once_for_as_long_as_they_stay(model):
    file = model / "model.safetensors"
    first, stat = Served.of(model).weights, file.stat()
    file.write_bytes(b"WEIGHTS")
    os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert Served.of(model).weights == first != weights_id(model)
    os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns + 1))
    assert Served.of(model).weights == weights_id(model)


async def test_a_question_wakes_it(served, tmp_path):
    llm = served(sleep=True)
    await llm.sleep()
    assert not started(tmp_path)  # nothing runs that could sleep
    assert (await llm.chat(ask("well"))).text == "look"
    await llm.sleep()
    await llm.sleep()
    assert llm.server.asleep
    found = await asyncio.gather(*(llm.chat(ask("well")) for _ in range(3)))
    assert [one.text for one in found] == ["look"] * 3 and calls(tmp_path) == ["sleep", "wake_up"]
    await llm.sleep()
    await llm.wake()
    assert not llm.server.asleep and len(started(tmp_path)) == 1


async def test_asleep_it_answers_nobody(served):
    llm = served(sleep=True)
    door = await llm._open()
    await llm.sleep()
    with pytest.raises(ModelError, match=r"cannot be reached|failed with 500"):
        await door.chat(ask("well"))
    await asyncio.to_thread(until, lambda: not llm.server.running)
    assert (await llm.chat(ask("well"))).text == "look"  # it has ended of that, and is started anew


async def test_one_that_does_not_wake_is_started_anew_with_its_adapter(served, model, tmp_path):
    said = []
    llm = served("insomniac", said, sleep=True)
    one = adapter(tmp_path / "one", model)
    await llm.start()
    await llm.load(one)
    await llm.sleep()
    assert (await llm.chat(ask("well"))).policy_version == f"{weights_id(model)}+{adapter_id(one)[:12]}"
    assert calls(tmp_path)[1:] == ["sleep", "wake_up"] and len(started(tmp_path)) == 2
    assert any("did not wake up: CUDA out of memory Starting vLLM anew" in line for line in said)
