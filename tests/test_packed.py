"""Packed scoring equals scoring each continuation alone; the prompt's cache changes nothing but the time."""

import random

import pytest
import torch
from lamarck.agent.packed import PackedScorer, build_trie


@pytest.fixture(scope="module")
def tiny():
    """A randomly initialised Llama of a few thousand weights."""
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=97,
        hidden_size=48,
        intermediate_size=96,
        num_hidden_layers=3,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=512,
    )
    return LlamaForCausalLM(config).eval()


def alone(model, prompt, option):
    with torch.inference_mode():
        logits = model(input_ids=torch.tensor([prompt + option])).logits[0].float().log_softmax(-1)
    return [float(logits[len(prompt) - 1 + n, token]) for n, token in enumerate(option)]


def options(generator, n):
    found = [[generator.randrange(97) for _ in range(generator.randint(1, 7))] for _ in range(n)]
    return [*found, found[0][:1], found[0], [*found[0], 5], [*found[1], 6]]


@pytest.mark.parametrize("seed", range(5))
def test_equal_to_scoring_each_alone(tiny, seed):
    generator = random.Random(seed)
    prompt = [generator.randrange(97) for _ in range(generator.randint(1, 60))]
    rows = options(generator, 20)
    scorer = PackedScorer(tiny)
    for row, scored in zip(rows, scorer.score(prompt, rows)[0], strict=True):
        assert scored.logprobs == pytest.approx(alone(tiny, prompt, row), abs=1e-3)
        assert len(scored.entropies) == len(row) and all(e >= 0 for e in scored.entropies)


def test_the_cache_survives_growing_shrinking_and_changing_prompts(tiny):
    generator = random.Random(1)
    scorer = PackedScorer(tiny)
    prompt = [generator.randrange(97) for _ in range(30)]
    for _ in range(12):
        rows = options(generator, 5)
        known, cached = scorer.score(prompt, rows, "episode")
        fresh, none = PackedScorer(tiny).score(prompt, rows)
        assert none == 0 and cached < len(prompt)
        for one, other in zip(known, fresh, strict=True):
            assert one.logprobs == pytest.approx(other.logprobs, abs=1e-4)
            assert one.entropies == pytest.approx(other.entropies, abs=1e-4)
        cut = generator.randrange(5, len(prompt))
        prompt = prompt[:cut] + [generator.randrange(97) for _ in range(generator.randint(1, 20))]


def test_a_prompt_read_again_costs_nothing(tiny):
    scorer = PackedScorer(tiny)
    prompt = list(range(40))
    scorer.read(prompt, "a")
    before = scorer.tokens_read
    _, cached = scorer.read(prompt, "a")
    assert cached == 40 and scorer.tokens_read == before
    _, cached = scorer.read([*prompt, 1, 2], "a")
    assert cached == 40 and scorer.tokens_read == before + 2
    scorer.forget("a")
    assert scorer.read(prompt, "a")[1] == 0


def test_reading_and_scoring_share_a_cache_and_a_pass(tiny):
    scorer = PackedScorer(tiny)
    scorer.read([1, 2, 3], "a")
    before = scorer.tokens_read
    _, cached = scorer.score([1, 2, 3, 4], [[5, 6, 7], [5, 8]], "a")
    assert cached == 3 and scorer.tokens_read == before + 3  # the new token, and the nodes 5 and 6
    assert scorer.read([1, 2, 3, 4], "a")[1] == 4


def test_a_pass_that_fails_forgets_its_session(tiny):
    scorer = PackedScorer(tiny)
    scorer.read([1, 2, 3], "a")
    with pytest.raises(IndexError):
        scorer.score([1, 2, 3, 400], [[5]], "a")
    assert scorer.read([1, 2, 3, 4], "a")[1] == 0


def test_sessions_are_bounded(tiny):
    scorer = PackedScorer(tiny, sessions=2)
    for name in ("a", "b", "c"):
        scorer.read([1, 2, 3], name)
    assert scorer.read([1, 2, 3, 4], "a")[1] == 0
    assert scorer.read([1, 2, 3, 4], "c")[1] == 3


def test_equal_beginnings_are_one_path():
    trie = build_trie([[1, 2, 3], [1, 2, 4], [1, 2], [5]])
    assert trie.tokens == [1, 2, 3, 4, 5]
    assert trie.parents == [-1, 0, 1, 2, 2, 0]
    assert trie.depths == [0, 1, 2, 3, 3, 1]
    assert trie.paths == [[1, 2, 3], [1, 2, 4], [1, 2], [5]]
