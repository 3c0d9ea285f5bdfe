"""A real vLLM server, where there is one to be had: `.ci/vllm` makes an environment with the build for processors."""

import asyncio
import json
import os
import statistics
import subprocess
import sys
import time
import warnings

import pytest
import pytest_asyncio
from lamarck.agent.embedded import EmbeddedLLM
from lamarck.agent.llm import LiteLLM
from lamarck.agent.llms import build_llm
from lamarck.agent.models_cache import DEFAULT_MODEL, pull
from lamarck.agent.vllm_server import VllmServer
from lamarck.config import ModelConfig
from lamarck.config_vllm import VllmConfig
from lamarck.core import Message, Sampling
from lamarck.errors import ModelError
from lamarck.store import Store
from lamarck.weights import weights_id

PYTHON = os.environ.get("LAMARCK_VLLM_PYTHON")
pytestmark = [
    pytest.mark.skipif(
        PYTHON is None, reason="set LAMARCK_VLLM_PYTHON to an interpreter that has vllm, or run .ci/vllm"
    ),
    pytest.mark.asyncio(loop_scope="module"),
]
ASK = [Message(role="system", content="You act."), Message(role="user", content="Task: put a mug in the cabinet.")]
DTYPE = os.environ.get("LAMARCK_VLLM_DTYPE", "float32")
CLOSE, FAR = (0.001, 0.02) if DTYPE == "float32" else (0.1, 1.0)
"""Mean and largest difference to transformers in float32, in nats: bfloat16 rounds after every layer."""
OPTIONS = ["go to cabinet 1", "go to cabinet 10", "take mug 1 from shelf 2", "look", "öffne Tür 💥", "inventory"]


def settings(**more):
    given = {"python": PYTHON, "arguments": ("--enforce-eager",), "context": 2048, "lora_rank": 8, "start_s": 900.0}
    given["dtype"] = DTYPE
    return VllmConfig(**{**given, **more})


def say(text):
    print(f"\n[vllm] {text}", flush=True)


@pytest.fixture(scope="module")
def folder():
    os.environ.setdefault("VLLM_CPU_KVCACHE_SPACE", "1")
    return pull(DEFAULT_MODEL)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def served(folder):
    config = ModelConfig(name=f"vllm:{folder}", vllm=settings(), timeout_s=300.0, max_concurrency=16)
    llm = build_llm(config, say)
    await llm.start()
    say(f"start: {llm.server.seconds:.1f} s")
    yield llm
    await llm.close()


@pytest.fixture(scope="module")
def exact(folder):
    return EmbeddedLLM(folder, dtype="float32", threads=1)


@pytest.fixture(scope="module")
def adapter(folder, tmp_path_factory):
    return trained(folder, tmp_path_factory.mktemp("adapters") / "one", rank=4)


def trained(folder, place, rank):
    """Return an adapter after a few steps towards one answer."""
    import torch
    from lamarck.training.adapters import save
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM, AutoTokenizer

    # peft asks transformers for something that will have another name.
    warnings.filterwarnings("ignore", "`is_gradient_checkpointing`", FutureWarning)
    torch.manual_seed(0)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    model = get_peft_model(model, LoraConfig(r=rank, lora_alpha=2 * rank, target_modules=["q_proj", "v_proj"]))
    chat = [message.model_dump(include={"role", "content"}) for message in ASK]
    prompt = tokenizer.apply_chat_template(chat, add_generation_prompt=True, tokenize=True, return_dict=False)
    ids = torch.tensor([[*prompt, *tokenizer("look", add_special_tokens=False)["input_ids"]]])
    optimiser = torch.optim.AdamW((p for p in model.parameters() if p.requires_grad), lr=5e-3)
    for _ in range(3):
        loss = model(input_ids=ids, labels=ids).loss
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return save(model, place, base_model=folder.name, base_weights=weights_id(folder), parent=None, kind="sft")


def recomputed(llm, reply):
    """Return the log-probabilities of a reply's tokens as transformers computes them."""
    import torch

    with torch.inference_mode():
        ids = torch.tensor([[*reply.prompt_token_ids, *reply.token_ids]])
        logits = llm.load().model(input_ids=ids).logits[0].float().log_softmax(-1)
    begin = len(reply.prompt_token_ids) - 1
    return [float(logits[begin + n, token]) for n, token in enumerate(reply.token_ids)]


def differences(llm, replies):
    return [abs(a - b) for reply in replies for a, b in zip(reply.logprobs, recomputed(llm, reply), strict=True)]


def agree(what, found):
    say(f"{what}, {len(found)} values: mean {statistics.mean(found):.5f}, max {max(found):.5f} nats from transformers")
    assert statistics.mean(found) < CLOSE and max(found) < FAR


async def test_ids_logprobs_and_the_policy_come_through_litellm(served, exact, folder):
    hot = Sampling(temperature=0.7, max_tokens=24, seed=1)
    reply = await served.chat(ASK, sampling=hot)
    exact.load()
    assert reply.prompt_token_ids == tuple(exact.encode(ASK))
    assert len(reply.token_ids) == len(reply.logprobs) == reply.usage.completion_tokens > 0
    assert exact._tokenizer.decode(list(reply.token_ids), skip_special_tokens=True) == reply.text
    assert (reply.model, reply.policy_version) == (folder.name, weights_id(folder))


async def test_log_probabilities_agree_with_transformers(served, exact):
    asks = [[*ASK[:1], Message(role="user", content=f"Task: put {n} mugs in the cabinet. What now?")] for n in range(8)]
    hot = Sampling(temperature=1.0, max_tokens=32)
    replies = await asyncio.gather(
        *(served.chat(ask, sampling=hot.model_copy(update={"seed": n})) for n, ask in enumerate(asks))
    )
    agree("sampled", await asyncio.to_thread(differences, exact, replies))


async def test_choosing_under_constraint(served, exact):
    names = [f"go to {thing} {n}" for thing in ("shelf", "cabinet", "table", "drawer", "bed") for n in range(4)]
    asks = [[*ASK[:1], Message(role="user", content=f"Say exactly: {name}")] for name in names]
    replies = await asyncio.gather(*(served.choose(ask, names) for ask in asks))
    right = sum(reply.text == name for reply, name in zip(replies, names, strict=True))
    say(f"structured: {right} of {len(names)} as told")
    for reply in replies:
        assert reply.text == names[reply.choice.index]
        assert reply.usage.calls == 2  # the choice, and its measure; none was asked again
        assert reply.token_ids == tuple(exact.encode_options([reply.text])[0])
    agree("chosen under constraint", await asyncio.to_thread(differences, exact, replies))


async def test_scoring_options(folder, served, exact):
    server = served.server
    llm = LiteLLM(
        f"hosted_vllm/{server.model}",
        api_base=server.url,
        api_key=server.key,
        choice_mode="score",
        timeout_s=300.0,
        measure_alone=server.fragile,
    )
    mine, theirs = await exact.choose(ASK, OPTIONS), await llm.choose(ASK, OPTIONS)
    far = [abs(a - b) for a, b in zip(mine.choice.scores, theirs.choice.scores, strict=True)]
    agree("scores", far)
    assert theirs.text == OPTIONS[theirs.choice.index]
    assert theirs.prompt_token_ids == mine.prompt_token_ids
    assert theirs.token_ids == tuple(exact.encode_options([theirs.text])[0])
    assert theirs.choice.scores[theirs.choice.index] == pytest.approx(statistics.mean(theirs.logprobs))
    assert theirs.policy_version == weights_id(folder)
    drawn = {(await llm.choose(ASK, OPTIONS, sampling=Sampling(temperature=9.0, seed=n))).text for n in range(6)}
    assert len(drawn) > 1


async def test_an_adapter_is_loaded_while_it_runs(served, folder, adapter):
    process = served.server._process
    before = await served.choose(ASK, ["look"])
    await served.load(adapter.folder)
    after = await served.choose(ASK, ["look"])
    assert served.server._process is process
    assert after.policy_version == adapter.policy_version == f"{weights_id(folder)}+{adapter.id[:12]}"
    assert after.model == folder.name and sum(after.logprobs) > sum(before.logprobs) + 1.0
    say(f"the adapter took the answer from {sum(before.logprobs):.2f} to {sum(after.logprobs):.2f} nats")
    merged = EmbeddedLLM(folder, adapter=adapter.folder, dtype="float32", threads=1)
    agree("with the adapter", await asyncio.to_thread(differences, merged, [after]))
    await served.load(None)
    again = await served.choose(ASK, ["look"])
    assert again.policy_version == before.policy_version and again.logprobs == pytest.approx(before.logprobs, abs=0.05)
    assert [card.parent for card in await served.server._control.models()] == [None, None]


async def test_sleep_is_not_pretended(served, tmp_path):
    with pytest.raises(ModelError, match="not started so that it can sleep") as caught:
        await served.sleep()
    assert caught.value.kind == "no_sleep"
    asked = VllmServer(served.server.served, settings(sleep=True), log=tmp_path / "vllm.log", notify=say)
    with pytest.raises(ModelError, match="Sleep mode is not supported on current platform"):
        await asked.start()
    assert not asked.running


async def test_tokens_per_second_at_16_at_once(served):
    hot = Sampling(temperature=1.0, max_tokens=64)
    begun = time.perf_counter()
    replies = await asyncio.gather(*(served.chat(ASK, sampling=hot.model_copy(update={"seed": n})) for n in range(16)))
    took, tokens = time.perf_counter() - begun, sum(len(reply.token_ids) for reply in replies)
    say(f"16 at once: {tokens} tokens in {took:.1f} s, {tokens / took:.0f} tokens/s")
    assert len({reply.token_ids for reply in replies}) > 8


async def test_an_adapter_of_a_larger_rank_is_loaded_by_starting_anew(served, folder, tmp_path):
    large = await asyncio.to_thread(trained, folder, tmp_path / "large", 16)
    process = served.server._process
    await served.load(large.folder)
    assert served.server._process is not process
    reply = await served.choose(ASK, ["look"])
    assert reply.policy_version == large.policy_version


async def test_a_run_with_a_server_of_its_own(served, tmp_path):
    await served.close()  # two at once are too many for a small machine
    out = tmp_path / "run"
    model = f"model.vllm.python={PYTHON}"
    sets = [model, "model.vllm.arguments=['--enforce-eager']", "model.vllm.context=4096", "model.timeout_s=300.0"]
    command = [sys.executable, "-m", "lamarck", "run", "--model", "vllm:embedded", "--taskset", "household"]
    command += ["--limit", "2", "--max-steps", "4", "--json", "--out", str(out)]
    done = await asyncio.to_thread(
        subprocess.run,
        [*command, *(part for text in sets for part in ("--set", text))],
        capture_output=True,
        text=True,
        timeout=1500,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["finished"] == 2
    with Store.open(str(out / "store.db"), create=False) as store:
        steps = [step for one in store.trajectories() for step in one.steps]
    assert steps and all(step.prompt_token_ids and len(step.token_ids) == len(step.logprobs) > 0 for step in steps)
    assert {step.policy_version for step in steps} == {weights_id(pull(DEFAULT_MODEL))}
    say(f"a run of its own: {len(steps)} steps; log {(out / 'logs' / 'vllm.log').stat().st_size} bytes")
