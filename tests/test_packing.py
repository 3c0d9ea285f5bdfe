"""Rows packed into one sequence: the layout by hand, and logits and gradients as of each row alone."""

import copy
import inspect
import math
import random
from collections import Counter

import numpy as np
import pytest
import tiny_model
import torch
import trl
from lamarck.training.collate import Weighed, collate
from lamarck.training.grpo import RowTrainer, row_config
from lamarck.training.packed_attention import forward, install
from lamarck.training.packed_trainer import PackedRowTrainer
from lamarck.training.packing import block_mask, build_trie, chunks, pack
from lamarck.training.rows import Row
from lamarck.training.together import TogetherSampler
from peft import LoraConfig
from transformers import LlamaConfig, LlamaForCausalLM, MistralConfig, MistralForCausalLM

pytestmark = pytest.mark.filterwarnings("ignore")


def arrays(*rows):
    return [np.array(row, np.int64) for row in rows]


def grouped(count, seed=0, answer=6):
    """Return random rows of which many begin alike, some are equal, and some tokens were read."""
    draw, stems, rows = random.Random(seed), [[3], [4, 5]], []
    for number in range(count):
        stems.append(draw.choice(stems) + draw.choices(range(3, 12), k=draw.randrange(1, 9)))
        prompt = draw.choice(stems)
        completion = draw.choices(range(1, 12), k=draw.randrange(1, answer))
        mask = [1, *draw.choices([0, 1], k=len(completion) - 1)]
        advantages = tuple(draw.uniform(-1, 1) * known for known in mask)
        old = tuple(draw.uniform(-3, -2) * known for known in mask)
        # In order of step within trajectories, four of them in a group.
        name = (f"t{number // 3}", f"g{number // 12}")
        rows.append(
            Weighed(Row(*name, tuple(prompt), tuple(completion), tuple(mask), old, (0,) * len(mask)), advantages)
        )
    return [*rows, rows[0]]


def test_equal_beginnings_stand_once():
    trie = build_trie(arrays([5, 6, 7], [5, 6], [5, 8, 9], [5, 6, 7]))
    assert trie.tokens.tolist() == [5, 6, 7, 8, 9]
    assert trie.positions.tolist() == [0, 1, 2, 1, 2]
    assert [path.tolist() for path in trie.paths] == [[0, 1, 2], [0, 1], [0, 3, 4], [0, 1, 2]]
    assert block_mask(trie).astype(int).tolist() == [
        [1, 0, 0, 0, 0],
        [1, 1, 0, 0, 0],
        [1, 1, 1, 0, 0],
        [1, 0, 0, 1, 0],
        [1, 0, 0, 1, 1],
    ]


def test_a_tree_is_as_small_as_can_be():
    rows = [[*row.prompt_ids, *row.completion_ids] for row, _ in grouped(40, seed=3)]
    trie = build_trie(arrays(*rows))
    assert (
        len(trie.tokens) == len({tuple(row[:n]) for row in rows for n in range(1, len(row) + 1)}) < sum(map(len, rows))
    )
    for row, path in zip(rows, trie.paths, strict=True):
        assert trie.tokens[path].tolist() == row and trie.positions[path].tolist() == list(range(len(row)))


@pytest.mark.parametrize("size, slack", [(1, 0), (3, 0), (3, 5), (8, 20), (1000, 10**9)])
def test_chunks_make_up_the_block_mask(size, slack):
    trie = build_trie(arrays(*([*row.prompt_ids, *row.completion_ids] for row, _ in grouped(15, seed=1))))
    found = np.zeros((len(trie.tokens),) * 2, bool)
    cells, at = 0, 0
    for chunk in chunks(trie, size=size, slack=slack):
        assert chunk.start == at and chunk.stop - chunk.start <= size
        at = chunk.stop
        columns = np.concatenate([np.arange(*run) for run in chunk.columns])
        seen = np.tri(len(columns), dtype=bool) if chunk.seen is None else chunk.seen
        found[chunk.start : chunk.stop, columns] = seen
        assert seen.any(axis=0).all(), "a column that no node sees"
        cells += seen.size
    assert at == len(trie.tokens) and (found == block_mask(trie)).all()
    assert (cells < found.size / 3) == (size < 1000)


def test_only_what_stands_before_a_scored_token_is_laid_out():
    ids = np.array([[0, 5, 6, 7, 8], [5, 6, 9, 4, 0]])
    mask = np.array([[0, 1, 1, 1, 1], [1, 1, 1, 1, 0]], bool)
    packed = pack(ids, mask, np.array([[1, 0], [0, 1]], bool))
    # Row 0 is 5 6 [7] 8 and row 1 is 5 6 9 4 pad: the second's last place is padding, so nothing of it is scored.
    assert packed.trie.tokens.tolist() == [5, 6] and packed.sources.tolist() == [1]
    assert packed.row.tolist() == [0] and packed.column.tolist() == [0] and packed.token.tolist() == [7]
    both = pack(ids, mask, np.array([[1, 1], [1, 0]], bool))
    assert both.trie.tokens.tolist() == [5, 6, 7, 9] and both.sources.tolist() == [1, 2, 3]
    assert both.token.tolist() == [7, 8, 4] and both.source.tolist() == [0, 1, 2]
    with pytest.raises(ValueError, match="first token"):
        pack(ids[:, 1:], mask[:, 1:], np.array([[1, 1, 1, 1], [0, 0, 0, 0]], bool))


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("heads", [4, 2])
def test_logits_are_those_of_each_row_alone(seed, heads):
    net = llama(heads=heads, seed=seed).eval()
    rows = grouped(12, seed=seed)
    given = {name: value.numpy() for name, value in collate(rows, 0).items()}
    ids = np.concatenate([given["prompt_ids"], given["completion_ids"]], axis=1)
    mask = np.concatenate([given["prompt_mask"], given["completion_mask"]], axis=1).astype(bool)
    packed = pack(ids, mask, given["completion_mask"].astype(bool))
    assert len(packed.trie.tokens) < 0.7 * mask.sum()
    with torch.no_grad():
        wanted = []
        for row, _ in rows:
            alone = net(torch.tensor([[*row.prompt_ids, *row.completion_ids]])).logits[0]
            wanted.append(alone[len(row.prompt_ids) - 1 : -1])
        assert install(net) is None
        found = forward(net, packed, "cpu")[torch.from_numpy(packed.source)]
    assert torch.allclose(found, torch.cat(wanted), atol=1e-4)


def llama(heads=4, seed=0, **settings):
    torch.manual_seed(seed)
    config = {"vocab_size": 12, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2} | settings
    net = LlamaForCausalLM(LlamaConfig(num_attention_heads=4, num_key_value_heads=heads, pad_token_id=0, **config))
    # As made, such a small model hardly looks at what went before.
    for part in net.parameters():
        if part.dim() == 2:
            part.data *= 8
    return net


def both(tmp_path, rows, net, *, lora=False, accumulate=1, batch=None, **settings):
    """Return the trainer without and with packing, over copies of a model."""
    made = []
    if settings.get("beta") and not lora:
        # TRL loads the reference anew.
        net.save_pretrained(tmp_path / "base")
        net.config._name_or_path = str(tmp_path / "base")
    for kind in (RowTrainer, PackedRowTrainer):
        config = row_config(
            str(tmp_path), batch=batch or len(rows), accumulate=accumulate, use_cpu=True, save_strategy="no",
            **{"learning_rate": 1e-2, "max_completion_length": 6, **settings},
        )  # fmt: skip
        torch.manual_seed(7)
        peft = LoraConfig(r=4, target_modules=["q_proj", "v_proj"], init_lora_weights=False) if lora else None
        made.append(
            kind(
                rows=rows,
                args=config,
                model=copy.deepcopy(net),
                processing_class=tiny_model.tokenizer(),
                peft_config=peft,
            )
        )
        made[-1].create_optimizer()
        made[-1].current_gradient_accumulation_steps = 1
        made[-1].model.train()
    return made


def gradients(trainer, count):
    trainer.model.zero_grad()
    inputs = trainer._generate_and_score_completions([{"row": index} for index in range(count)])
    loss = trainer._compute_loss(trainer.model, inputs)
    loss.backward()
    return loss.item(), {name: p.grad.clone() for name, p in trainer.model.named_parameters() if p.grad is not None}


@pytest.mark.parametrize(
    "settings",
    [
        {"loss_type": "dapo"},
        {"loss_type": "grpo", "lora": True, "beta": 0.1},
        {"loss_type": "dr_grpo", "beta": 0.1, "importance_sampling_level": "sequence"},
        {"loss_type": "cispo", "entropy_coef": 0.1},
        {"loss_type": "bnpo", "gradient_checkpointing": True},
        {"loss_type": "sapo", "top_entropy_quantile": 0.5},
    ],
    ids=lambda settings: "-".join(map(str, settings.values())),
)
def test_loss_gradients_and_metrics_are_those_without_packing(tmp_path, settings):
    rows = grouped(11, seed=5)
    plain, packed = both(tmp_path, rows, llama(), **settings)
    assert packed.unpacked_because is None
    if plain.beta:
        for trainer in (plain, packed):
            move(trainer.model)
    wanted, found = gradients(plain, len(rows)), gradients(packed, len(rows))
    assert found[0] == pytest.approx(wanted[0], abs=1e-5)
    assert found[1].keys() == wanted[1].keys() and len(wanted[1]) >= 4
    for name, part in wanted[1].items():
        assert torch.allclose(found[1][name], part, atol=1e-5), name
    assert max(part.abs().max() for part in wanted[1].values()) > 1e-3
    for name, values in plain._metrics["train"].items():
        assert packed._metrics["train"][name] == pytest.approx(values, abs=1e-4), name
    assert plain._metrics["train"]["entropy"][0] > 0.1
    assert bool(plain.beta) == (plain._metrics["train"].get("kl", [0])[0] > 1e-4)


def move(model):
    """Change what is trained, so that it differs from its reference."""
    torch.manual_seed(3)
    with torch.no_grad():
        for part in model.parameters():
            if part.requires_grad:
                part += 0.02 * torch.randn_like(part)


def test_training_step_by_step_is_the_same(tmp_path):
    rows = grouped(23, seed=2)
    plain, packed = both(tmp_path, rows, llama(), batch=4, accumulate=2, num_train_epochs=2, logging_steps=1)
    order = [packed._get_train_sampler().order(epoch) for epoch in (0, 1)]
    plain._get_train_sampler = lambda dataset=None: TogetherSampler(
        [row for row, _ in rows], block=4, blocks=2, repeats=2, seed=plain.args.seed
    )
    seen = []
    make = packed._generate_and_score_completions
    packed._generate_and_score_completions = lambda entries: (seen.append([e["row"] for e in entries]), make(entries))[
        1
    ]
    before = copy.deepcopy(packed.model.state_dict())
    packed.train()
    plain.train()
    assert [index for block in seen for index in block] == order[0] + order[1]
    assert {len(block) for block in seen} == {4} and order[0] != order[1]
    # TRL mixes the rows of an update's batches; the sum over an update is the same.
    for name, part in plain.model.state_dict().items():
        assert torch.allclose(packed.model.state_dict()[name], part, atol=1e-3), name
    assert any(not torch.equal(part, before[name]) for name, part in packed.model.state_dict().items())
    losses = [[e["loss"] for e in t.state.log_history if "loss" in e] for t in (plain, packed)]
    assert losses[0] == pytest.approx(losses[1], abs=1e-3) and len(losses[0]) == 6


def test_what_stands_together_is_of_one_trajectory_or_of_one_group():
    rows = [Row(f"t{n // 5}", f"g{n // 20}", (3,), (4,), (1,), (0.0,), (0,)) for n in range(60)]
    sampler = TogetherSampler(rows, block=5, blocks=2, repeats=3, seed=1)
    first, second = list(sampler), list(sampler)
    assert len(first) == len(sampler) == 180 and first != second
    assert first[:10] == first[10:20] == first[20:30]
    for epoch in (0, 1):
        order = sampler.order(epoch)
        assert sorted(order) == list(range(60))
        assert all(len({rows[i].trajectory_id for i in order[n : n + 5]}) == 1 for n in range(0, 60, 5))
    again = TogetherSampler(rows, block=5, blocks=2, repeats=3, seed=1)
    again.set_epoch(1)
    assert list(again) == second
    other = TogetherSampler(rows, block=5, blocks=2, repeats=3, seed=2)
    assert list(other) != first
    still = TogetherSampler(rows, block=5, blocks=2, shuffle=False)
    assert list(still) == list(range(60))
    # Four of 59 rows wait; each gets its turn.
    short = TogetherSampler(rows[:59], block=5, blocks=1, seed=1)
    counts = Counter(index for epoch in range(30) for index in short.order(epoch))
    assert len(short) == 55 and max(counts.values()) <= 30 and set(counts) == set(range(59))


def window(**settings):
    return MistralForCausalLM(
        MistralConfig(
            vocab_size=12, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4,
            num_key_value_heads=2, **settings,
        )
    )  # fmt: skip


def recurrent():
    """A model whose last layer mixes each token into the next, whatever the mask says."""
    net = llama()
    layer = net.model.layers[-1].mlp.down_proj
    layer.register_forward_hook(lambda module, given, out: out.cumsum(1))
    return net


def flash():
    net = llama()
    net.config._attn_implementation_internal = "flash_attention_2"
    return net


def mixed():
    net = llama()
    net.config.layer_types = ["full_attention", "chunked_attention"]
    return net


@pytest.mark.parametrize(
    "make, why",
    [
        (lambda: window(sliding_window=4096), "sliding_window"),
        (flash, "flash_attention_2"),
        (mixed, "chunked_attention"),
        (recurrent, "differ from rows computed alone"),
    ],
)
def test_models_that_cannot_be_packed_are_left_as_they_were(make, why):
    net = make()
    before = net.config._attn_implementation
    assert why in install(net)
    assert net.config._attn_implementation == before and net.training


def test_a_model_without_a_window_can_be_packed():
    assert install(window(sliding_window=None)) is None


def test_the_trainer_says_that_it_does_not_pack_and_trains(tmp_path):
    rows, said = grouped(7), []
    config = row_config(str(tmp_path), batch=4, use_cpu=True, save_strategy="no", max_steps=2)
    net = window(sliding_window=4096)
    trainer = PackedRowTrainer(
        rows=rows, args=config, model=net, processing_class=tiny_model.tokenizer(), notify=said.append
    )
    assert said == ["shared beginnings are not packed: its attention has sliding_window."]
    trainer.train()
    assert trainer.state.global_step == 2 and math.isfinite(trainer.state.log_history[-1]["train_loss"])


def test_generation_goes_on_as_before():
    net = llama().eval()
    prompt = {"input_ids": torch.tensor([[0, 3, 4], [5, 6, 7]]), "attention_mask": torch.tensor([[0, 1, 1], [1, 1, 1]])}
    wanted = net.generate(**prompt, max_new_tokens=5, do_sample=False)
    assert install(net) is None
    assert net.generate(**prompt, max_new_tokens=5, do_sample=False).tolist() == wanted.tolist()


def test_the_further_hooks_in_trl_are_where_they_were():
    found = inspect.signature(trl.GRPOTrainer._get_per_token_logps_and_entropies).parameters
    assert {"batch_size", "compute_entropy", "compute_aux_loss"} <= set(found)
    source = inspect.getsource(trl.GRPOTrainer._prepare_inputs)
    for name in ("_buffered_inputs", "_step", "steps_per_generation", "num_iterations", "_generate_and_score"):
        assert name in source, f"TRL {trl.__version__} prepares its inputs without {name}"
    source = inspect.getsource(trl.GRPOTrainer)
    assert "_entropy_bonus_enabled" in source and "aux_loss_enabled" in source
