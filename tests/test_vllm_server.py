"""vLLM as a process of ours: started, waited for, given adapters, put to sleep, and never left behind."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import tomllib
from functools import partial
from importlib.metadata import requires
from pathlib import Path

import pytest
from lamarck.agent.llm import LiteLLM
from lamarck.agent.llm_choice import picked
from lamarck.agent.llm_convert import read_policy
from lamarck.agent.llm_gate import Gate
from lamarck.agent.llm_score import spelled
from lamarck.agent.llms import build_llm
from lamarck.agent.vllm_command import Served, room_for, vllm_command
from lamarck.agent.vllm_control import VllmControl
from lamarck.agent.vllm_process import VllmProcess
from lamarck.agent.vllm_server import VllmServer
from lamarck.cli.serve_model import serve
from lamarck.config import ModelConfig
from lamarck.config_vllm import VllmConfig
from lamarck.core import Message, Sampling
from lamarck.errors import ConfigError, ModelError
from lamarck.weights import adapter_id, weights_id
from packaging.requirements import Requirement
from vllms import adapter, gone, interpreter, model_in, started, until

TESTS = Path(__file__).parent
ASK = [Message(role="user", content="What now?")]


@pytest.fixture
def model(tmp_path):
    return model_in(tmp_path / "small")


@pytest.fixture
def python(tmp_path, monkeypatch):
    """Return what makes an interpreter that behaves in a given way."""
    monkeypatch.setenv("FAKE_VLLM_NOTES", str(tmp_path))
    return partial(interpreter, tmp_path)


def server(model, python, tmp_path, *, said=None, **more):
    notify = said.append if said is not None else None
    config = VllmConfig(**{"python": python, "start_s": 20.0, **more})
    return VllmServer(Served.of(model), config, log=tmp_path / "logs" / "vllm.log", notify=notify)


async def test_from_start_to_end(model, python, tmp_path):
    said = []
    one, two = adapter(tmp_path / "one", model), adapter(tmp_path / "two", model, weights=b"other")
    async with server(model, python(), tmp_path, said=said) as found:
        label = f"small@{weights_id(model)}"
        assert found.model == label and found.running and found.died() is None
        assert said[0].startswith(f"starting vLLM with {label}; its log is") and "up after" in said[-1]
        assert await found.load(one) == f"{label}+{adapter_id(one)[:12]}" == found.model
        await found.load(two)
        control = VllmControl(found.root, found.key)
        names = [card.name for card in await control.models()]
        assert names == [label, "small", found.model]  # the first adapter was unloaded
        assert await found.load(None) == label
        assert [card.name for card in await control.models()] == [label, "small"]
        with pytest.raises(ModelError, match="refused the API key"):
            await VllmControl(found.root, "wrong").models()
        [begun] = started(tmp_path)
        await control.close()
    assert gone(begun["pid"]) and not found.running
    await found.stop()
    with pytest.raises(ModelError, match="is not running"):
        await found.load(one)


def test_the_command_line(model, python, tmp_path):
    config = VllmConfig(
        python=python(), context=4096, gpu_memory=0.4, sleep=True, dtype="bfloat16", arguments=("--enforce-eager",)
    )
    one = adapter(tmp_path / "one", model)
    assert [room_for(rank) for rank in (0, 1, 2, 16, 24, 300, 512)] == [0, 1, 8, 16, 32, 320, 512]
    with pytest.raises(ConfigError, match="no adapter of rank 513, 512 at most"):
        room_for(513)
    words = vllm_command(Served.of(model), config, host="127.0.0.1", port=81, rank=32, adapter=one)
    label = f"small@{weights_id(model)}"
    modules = json.dumps({"name": f"{label}+{adapter_id(one)[:12]}", "path": str(one.resolve())})
    assert words == [
        *(config.python, "-m", "vllm.entrypoints.openai.api_server", "--model", str(model.resolve())),
        *("--host", "127.0.0.1", "--port", "81", "--served-model-name", label, "small", "--dtype", "bfloat16"),
        *("--generation-config", "vllm"),
        *("--max-model-len", "4096", "--gpu-memory-utilization", "0.4", "--enable-lora", "--max-lora-rank", "32"),
        *("--lora-modules", modules, "--enable-sleep-mode", "--enforce-eager"),
    ]
    hub = Served.of("Qwen/Qwen3-4B")
    assert (hub.label, hub.adapted(one)) == ("Qwen3-4B", f"Qwen3-4B+{adapter_id(one)[:12]}")
    plain = vllm_command(hub, VllmConfig(python=config.python, lora_rank=0), host="::1", port=1, rank=0)
    words = "--host ::1 --port 1 --served-model-name Qwen3-4B --dtype auto --generation-config vllm"
    assert plain[4:] == ["Qwen/Qwen3-4B", *words.split()]


@pytest.mark.parametrize(
    ("act", "says"),
    [
        ("crash", "ended with exit status 1 before it answered: Value error, Sleep mode is not supported"),
        ("engine", r"has no engine: ValueError: not enough memory \(1000"),
        ("hang", r"did not answer within 0\.6 s: (Loading weights|it said nothing)"),
    ],
)
async def test_a_server_that_does_not_come_up(act, says, model, python, tmp_path):
    limit = 0.6 if act == "hang" else 20.0
    found = server(model, python(act), tmp_path, start_s=limit)
    with pytest.raises(ModelError, match=says) as caught:
        await found.start()
    assert str(tmp_path / "logs" / "vllm.log") in caught.value.hint and "\n" not in str(caught.value)
    assert all(gone(row["pid"]) for row in started(tmp_path)) and not found.running


def test_the_reason_is_the_first_error_of_this_start(python, tmp_path):
    log = tmp_path / "vllm.log"
    log.write_text("ValueError: of an earlier start\n")
    process = VllmProcess(["/bin/sh", "-c", "cat >&2"], {}, log)
    process.stop()
    assert process.reason() == "it said nothing" and process.last() == "nothing yet"
    for line, reason in {
        "(Worker pid=3) ERROR 11-21 17:13:44 [x.py:1] vllm.errors.NoRoomError: 1 GiB is left\nOSError: later": (
            "NoRoomError: 1 GiB is left"
        ),
        "api_server.py: error: unrecognized arguments: --no-such": "unrecognized arguments: --no-such",
        "WARNING 11-21 17:13:44 [x.py:1] errors like `OSError: [Errno 24]` can come": (
            "errors like `OSError: [Errno 24]` can come"
        ),
        "one\ntwo\nthree\nfour": "two / three / four",
    }.items():
        start = log.stat().st_size
        with log.open("a") as file:
            file.write(line + "\n")
        process._from = start
        assert process.reason() == reason


async def test_what_is_wrong_before_anything_starts(model, python, tmp_path):
    with pytest.raises(ConfigError, match=r"no interpreter .*nowhere.*model\.vllm\.python"):
        await server(model, str(tmp_path / "nowhere"), tmp_path).start()
    with pytest.raises(ConfigError, match=r"vLLM is not installed here.*lamarck-agents\[vllm\]"):
        build_llm(ModelConfig(name=f"vllm:{model}"))
    with pytest.raises(ConfigError, match="no model folder"):
        build_llm(ModelConfig(name="vllm:nothing-here", vllm=VllmConfig(python=python())))
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ConfigError, match=f"127.0.0.1:{port}: Address already in use"):
            await server(model, python(), tmp_path, port=port).start()
    other = tmp_path / "other"
    other.mkdir()
    (other / "config.json").write_text("{}")
    (other / "model.safetensors").write_bytes(b"other weights")
    wrong = adapter(tmp_path / "wrong", other)
    with pytest.raises(ConfigError, match=r"was trained on other .*not on small"):
        build_llm(ModelConfig(name=f"vllm:{model}", adapter=str(wrong), vllm=VllmConfig(python=python())))
    assert not (tmp_path / "started").exists()


async def test_an_interpreter_without_vllm(model, tmp_path):
    found = server(model, sys.executable, tmp_path)
    with pytest.raises(ModelError, match=r"has no vllm.*model\.vllm\.python") as caught:
        await found.start()
    assert caught.value.kind == "no_vllm"


@pytest.mark.parametrize("act", ["refuse", "old"])
async def test_an_adapter_that_is_not_taken_is_loaded_by_starting_anew(act, model, python, tmp_path):
    said = []
    one = adapter(tmp_path / "one", model)
    async with server(model, python(act), tmp_path, said=said) as found:
        name = await found.load(one)
        assert name == found.model == f"small@{weights_id(model)}+{adapter_id(one)[:12]}"
        first, second = started(tmp_path)
        assert gone(first["pid"]) and not gone(second["pid"])
        assert "--lora-modules" in second["argv"] and "--lora-modules" not in first["argv"]
    reason = {"refuse": "LoRA cannot be added now", "old": "it has no /v1/load_lora_adapter"}[act]
    assert any(reason in line and "anew" in line for line in said)


async def test_a_rank_the_server_was_not_started_for(model, python, tmp_path):
    large = adapter(tmp_path / "large", model, rank=40)
    other = adapter(tmp_path / "other", model, rank=64, weights=b"other")
    async with server(model, python(), tmp_path, lora_rank=16) as found:
        await found.load(large)
        await found.load(other)  # for which there is room now
    ranks = [row["argv"][row["argv"].index("--max-lora-rank") + 1] for row in started(tmp_path)]
    assert ranks == ["16", "64"]


async def test_a_log_of_its_own_is_kept_only_where_it_says_why(model, python, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    found = VllmServer(Served.of(model), VllmConfig(python=python()))
    async with found:
        assert found.log.parent.parent == tmp_path and found.log.exists()
    assert not list(tmp_path.glob("lamarck-vllm-*"))
    found = VllmServer(Served.of(model), VllmConfig(python=python("crash")))
    with pytest.raises(ModelError, match="Sleep mode is not supported"):
        await found.start()
    assert found.log.exists()


async def test_sleeping(model, python, tmp_path):
    async with server(model, python(), tmp_path) as found:
        with pytest.raises(ModelError, match=r"not started so that it can sleep.*model\.vllm\.sleep=true"):
            await found.sleep()
        control = VllmControl(found.root, found.key)
        with pytest.raises(ModelError, match=r"cannot sleep: it has no /sleep.*VLLM_SERVER_DEV_MODE=1") as caught:
            await control.sleep()
        assert caught.value.kind == "no_endpoint"
        await control.close()
    async with server(model, python(), tmp_path, sleep=True) as found:
        control = VllmControl(found.root, found.key)
        await found.sleep()
        assert await control.asleep()
        await found.wake()
        assert not await control.asleep()
        await control.close()


async def test_a_model_behind_its_own_server(model, python, tmp_path):
    one = adapter(tmp_path / "one", model)
    config = ModelConfig(name=f"vllm:{model}", adapter=str(one), vllm=VllmConfig(python=python()), retries=0)
    llm = build_llm(config, logs=tmp_path / "logs")
    reply = await llm.chat(ASK)
    assert (reply.text, reply.model, llm.name) == ("look", "small", "small")
    assert reply.policy_version == f"{weights_id(model)}+{adapter_id(one)[:12]}"
    assert (reply.prompt_token_ids, reply.token_ids, reply.logprobs) == ((1, 2, 3), (5, 6), (-0.5, -0.5))
    chosen = await llm.choose(ASK, ["look", "go"])
    assert chosen.text == "look" and chosen.choice.index == 0 and chosen.usage.calls == 2
    assert (chosen.prompt_token_ids, chosen.token_ids, chosen.logprobs) == ((1, 2, 3), (7,), (-0.25,))
    with pytest.raises(ConfigError):
        await llm.load(tmp_path / "none")
    assert (await llm.chat(ASK)).policy_version.endswith(adapter_id(one)[:12])
    await llm.load(None)
    assert (await llm.chat(ASK)).policy_version == weights_id(model)
    with pytest.raises(ModelError, match=r"died with exit status 3: RuntimeError: CUDA error.*vllm\.log") as caught:
        await llm.chat([Message(role="user", content="die")])
    assert caught.value.kind == "died"
    assert (await llm.chat(ASK)).text == "look"  # started anew
    await llm.close()
    assert len(started(tmp_path)) == 2 and all(gone(row["pid"]) for row in started(tmp_path))


async def test_scoring_and_servers_that_tell_nothing_of_prompts(model, python, tmp_path):
    config = {"name": f"vllm:{model}", "retries": 0}
    llm = build_llm(ModelConfig(**config, choice_mode="score", vllm=VllmConfig(python=python())))
    reply = await llm.choose(ASK, ["go", "take mug", "look"])
    assert reply.text == "take mug" and reply.choice.scores == (-0.5, -0.125, -0.25)
    assert (reply.prompt_token_ids, reply.token_ids, reply.logprobs) == ((1, 2, 3), (7,), (-0.125,))
    assert reply.usage.calls == 4 and reply.policy_version == weights_id(model)
    await llm.close()
    llm = build_llm(ModelConfig(**config, vllm=VllmConfig(python=python("old"))))
    first, second = await llm.choose(ASK, ["look", "go"]), await llm.choose(ASK, ["look", "go"])
    assert (first.token_ids, first.logprobs, second.usage.calls) == ((), (), 1)
    await llm.close()


def test_kill_9_of_the_parent_leaves_nothing_behind(model, python, tmp_path):
    code = f"""
import asyncio
from lamarck.agent.vllm_server import VllmServer
from lamarck.agent.vllm_command import Served
from lamarck.config_vllm import VllmConfig
async def main():
    await VllmServer(Served.of({str(model)!r}), VllmConfig(python={python("well")!r})).start()
    print("up", flush=True)
    await asyncio.sleep(60)
asyncio.run(main())
"""
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, env=environment) as parent:
        assert parent.stdout.readline() == "up\n"
        [row] = started(tmp_path)
        assert not gone(row["pid"])
        parent.send_signal(signal.SIGKILL)
    until(lambda: gone(row["pid"]))


def test_who_will_not_end_is_ended_with_its_children(python, tmp_path):
    command = [python("stubborn"), "--served-model-name", "x", "--host", "127.0.0.1", "--port", "0"]
    process = VllmProcess(command, {"VLLM_API_KEY": ""}, tmp_path / "vllm.log", grace_s=0.2)
    until((tmp_path / "child").exists)
    until(lambda: (tmp_path / "child").read_text())
    process.stop()
    [row] = started(tmp_path)
    until(lambda: gone(row["pid"]) and gone(int((tmp_path / "child").read_text())))
    assert process.status is not None


def test_killing_the_watcher_ends_the_server(python, tmp_path):
    command = [python(), "--served-model-name", "x", "--host", "127.0.0.1", "--port", "0"]
    process = VllmProcess(command, {"VLLM_API_KEY": ""}, tmp_path / "vllm.log")
    until(lambda: started(tmp_path))
    process._process.kill()
    until(lambda: gone(started(tmp_path)[0]["pid"]))
    process.stop()


def test_serving_from_the_command_line(model, python, tmp_path):
    command = [sys.executable, "-m", "lamarck", "models", "serve", str(model), "--python", python(), "--port", "0"]
    command += ["--set", "model.vllm.context=512", "--set", "start_s=20.0", "--json", "--log", str(tmp_path / "log")]
    environment = {**os.environ, "LAMARCK_TOKEN": "secret"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as serving:
        lines = []
        while not lines or lines[-1] != "}\n":
            lines.append(serving.stdout.readline())
            assert lines[-1]
        serving.terminate()
        assert serving.wait(20) == 0
    said = json.loads("".join(lines))
    assert said["model"] == f"hosted_vllm/small@{weights_id(model)}" and said["weights"] == weights_id(model)
    [row] = started(tmp_path)
    assert gone(row["pid"]) and row["argv"][row["argv"].index("--max-model-len") + 1] == "512"
    with pytest.raises(ConfigError, match=r"0\.0\.0\.0 can be reached from outside, so a token is needed"):
        serve("embedded", host="0.0.0.0")
    with pytest.raises(ConfigError, match=r"unknown key model\.vllm\.colour"):
        serve("embedded", settings=["colour=1"])


async def test_a_gate_for_some_or_for_one_alone():
    gate, under_way, log = Gate(3), set(), []

    async def call(name, way):
        async with way():
            under_way.add(name)
            await asyncio.sleep(0)
            log.append((name, len(under_way)))
            await asyncio.sleep(0)
            under_way.remove(name)

    ways = [gate.one, gate.one, gate.alone, gate.one, gate.alone, gate.one, gate.one]
    await asyncio.gather(*(call(number, way) for number, way in enumerate(ways)))
    seen = dict(log)
    assert len(seen) == 7 and seen[2] == seen[4] == 1 and max(seen.values()) in (2, 3)


class Answer:
    """A response with what is read of it."""

    def __init__(self, **fields):
        self.__dict__.update(fields)


def test_an_answer_is_found_at_the_end_of_its_prompt():
    rows = [None, *({str(token): {"logprob": -token / 10, "decoded_token": "x" * token}} for token in (2, 3, 4))]
    found = Answer(prompt_logprobs=rows, prompt_token_ids=[1, 2, 3, 4])
    assert spelled(found, "whatever", (1, 2)) == ((3, 4), (-0.3, -0.4))
    assert spelled(found, "whatever", (1, 2)).mean == pytest.approx(-0.35)
    # Where the beginning is another, five letters from the end are those of two tokens.
    assert spelled(found, "xxxxx", (9, 2)) == ((), (-0.3, -0.4))
    with pytest.raises(ModelError, match="gives no prompt_logprobs"):
        spelled(Answer(), "x", (1,))


def test_drawing_among_scores():
    scores = [0.0, -1.0, 0.0]
    assert picked(scores, Sampling()) == 0
    drawn = [picked(scores, Sampling(temperature=1.0, seed=n)) for n in range(400)]
    # exp(-1) / (2 + exp(-1)) = 0.155
    assert drawn.count(1) / 400 == pytest.approx(0.155, abs=0.06)


def test_which_policy_answered():
    label = "small@0123456789ab+ba9876543210"
    fingerprint = {"system_fingerprint": "vllm-0.32.0-c58d04ce"}
    assert read_policy(Answer(model=label, **fingerprint), f"hosted_vllm/{label}") == (
        "small",
        "0123456789ab+ba9876543210",
    )
    assert read_policy(Answer(model="mine", **fingerprint), "hosted_vllm/mine") == ("mine", "mine")
    assert read_policy(Answer(model="gpt", system_fingerprint="fp_1"), "openai/gpt") == ("gpt", "fp_1")
    assert read_policy(Answer(model="claude@20240229"), "vertex_ai/claude") == ("claude@20240229", "claude@20240229")


def test_our_range_of_vllm_is_that_of_trl():
    project = tomllib.loads((TESTS.parent / "pyproject.toml").read_text())
    [ours] = [Requirement(text) for text in project["project"]["optional-dependencies"]["vllm"]]
    theirs = [Requirement(text) for text in requires("trl") or () if text.startswith("vllm")]
    assert [one.name for one in theirs] == ["vllm"], "TRL names vllm in another way now"

    def bounds(one):
        return {(part.operator, part.version.removesuffix(".0")) for part in one.specifier}

    assert bounds(ours) == bounds(theirs[0]), f"pyproject has {ours.specifier}, TRL {theirs[0].specifier}"


async def test_a_vllm_that_is_not_there():
    llm = LiteLLM("hosted_vllm/x", api_base="http://127.0.0.1:9/v1", retries=0, timeout_s=20.0)
    with pytest.raises(ModelError, match=r"127\.0\.0\.1:9/v1 cannot be reached .*Is the server running") as caught:
        await llm.chat(ASK)
    assert caught.value.kind == "connection"
    await llm.close()
