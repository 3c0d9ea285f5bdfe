"""Training on stored rows beside plain TRL, on the same tokens and by turns in one run."""

from __future__ import annotations

import copy
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from datasets import Dataset
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast
from trl import GRPOTrainer

from .bench_rows import SHAPES, make_rows
from .collate import Weighed, collate
from .grpo import RowTrainer, row_config
from .packed_trainer import PackedRowTrainer
from .packing import pack

BATCH = {"step_rows": 8, "step_rows_growing": 8, "episode_rows": 4}
"""Rows of a forward pass. Both sides get the same ones in the same order: neighbours of one trajectory or one group,
which favours TRL, since rows of like length need little padding."""
ROUNDS = 3
"""Rounds that are measured at least."""


class Side(NamedTuple):
    """One of the two trainers, with weights and an optimizer of its own."""

    trainer: Any
    model: Any


def bench_train(
    *,
    folder: str | None = None,
    seconds: float = 90.0,
    batches: int = 2,
    seed: int = 0,
    progress: Callable[[str, int, int], None] = lambda label, done, total: None,
) -> dict[str, Any]:
    """Measure forward, backward and optimizer of each form of rows; see `bench_rows` for what they look like.

    A token is one of a row as it stands in the batch, without padding, on both sides. A ratio is TRL's seconds
    divided by ours for the same batches, the median over the rounds; low and high are the extremes. The gradient
    difference is the norm of what the two gradients differ by, as a share of TRL's, before the first update.

    Args:
        folder: a model that transformers can load; a small random Llama if None.
        seconds: what measuring may take in all; each form gets at least three rounds.
        batches: micro-batches of each form.
        seed: of tokens, lengths and first weights.
        progress: is told label, what is behind us and what there is in all.
    """
    model, tokenizer = _load(folder, seed)
    figures: dict[str, Any] = {
        "model": folder or "random Llama",
        "parameters": sum(part.numel() for part in model.parameters()),
        "dtype": str(model.dtype).removeprefix("torch."),
        "device": "cuda" if torch.cuda.is_available() else "cpu",
        "threads": torch.get_num_threads(),
        "seed": seed,
    }
    for number, form in enumerate(SHAPES):
        given = _batches(form, batches, model.config.vocab_size, seed)
        show = _shown(progress, form, number)
        with tempfile.TemporaryDirectory() as out, warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # TRL sets what transformers will rename
            plain, ours = _plain(out, model, tokenizer), _ours(out, model, tokenizer, given)
            figures |= _compare(form, plain, ours, given, seconds / len(SHAPES), show)
    return figures


def _shown(progress: Callable[[str, int, int], None], form: str, number: int) -> Callable[[float], None]:
    return lambda share: progress(form, round(100 * (number + share)), 100 * len(SHAPES))


def _batches(form: str, count: int, vocabulary: int, seed: int) -> list[list[Weighed]]:
    """Return micro-batches, each from another task."""
    size, found = BATCH[form], []
    trajectories = make_rows(form, groups=count, samples=4, vocabulary=vocabulary, seed=seed)
    for number in range(count):
        rows = [row for rows in trajectories[4 * number : 4 * number + 4] for row in rows]
        # Early, middle and late rows of a group in turn.
        start = (len(rows) - size) * number // max(1, count - 1)
        found.append(rows[start : start + size])
    return found


def _compare(
    form: str, plain: Side, ours: Side, batches: Sequence[list[Weighed]], seconds: float, show: Callable[[float], None]
) -> dict[str, Any]:
    difference = _difference(plain, ours, batches[0])  # and both are warm
    laps: tuple[list[float], list[float]] = ([], [])
    begun = time.perf_counter()
    while len(laps[0]) < ROUNDS or time.perf_counter() - begun < seconds:
        lap = [0.0, 0.0]
        for batch in batches:
            # Who goes first changes, so that a warm cache favours neither.
            for which in (0, 1) if len(laps[0]) % 2 else (1, 0):
                lap[which] += _update((plain, ours)[which], batch)
        for which in (0, 1):
            laps[which].append(lap[which])
        show(min(1.0, (time.perf_counter() - begun) / seconds) if seconds else 1.0)
    theirs, mine = laps
    ratios = [their / my for their, my in zip(theirs, mine, strict=True)]
    tokens = sum(len(row.prompt_ids) + len(row.completion_ids) for batch in batches for row, _ in batch)
    return {
        form: sum(map(len, batches)),
        f"{form}_at_once": BATCH[form],
        f"{form}_tokens": tokens,
        f"{form}_tokens_padded": sum(map(_padded, batches)),
        f"{form}_tokens_packed": sum(map(_packed, batches)),
        f"{form}_packs": ours.trainer.unpacked_because or "yes",
        f"{form}_rounds": len(ratios),
        f"{form}_trl_tokens_per_s": round(tokens / statistics.median(theirs), 1),
        f"{form}_tokens_per_s": round(tokens / statistics.median(mine), 1),
        f"{form}_ratio": round(statistics.median(ratios), 2),
        f"{form}_ratio_low": round(min(ratios), 2),
        f"{form}_ratio_high": round(max(ratios), 2),
        f"{form}_gradient_difference": float(f"{difference:.1e}"),
    }


def _update(side: Side, batch: list[Weighed]) -> float:
    """Return the seconds of one update."""
    inputs = _inputs(side, batch)
    _settle()
    clock = time.perf_counter()
    side.trainer._compute_loss(side.model, inputs).backward()
    side.trainer.optimizer.step()
    side.trainer.optimizer.zero_grad()
    _settle()
    return time.perf_counter() - clock


def _inputs(side: Side, batch: list[Weighed]) -> dict[str, torch.Tensor]:
    trainer = side.trainer
    given = collate(batch, trainer.processing_class.pad_token_id)
    inputs = {name: value.to(trainer.accelerator.device) for name, value in given.items()}
    if not isinstance(trainer, RowTrainer):
        # TRL's own advantages: one number per row.
        inputs["advantages"] = inputs["advantages"].sum(1).sign()
    return inputs


def _difference(plain: Side, ours: Side, batch: list[Weighed]) -> float:
    """Return how far the two gradients are apart, as a share of TRL's; the weights are still the same."""
    found = []
    for side in (plain, ours):
        side.trainer._compute_loss(side.model, _inputs(side, batch)).backward()
        parts = [part.grad.float().flatten() for part in side.model.parameters() if part.grad is not None]
        found.append(torch.cat(parts))
        side.trainer.optimizer.zero_grad()
    return float(((found[0] - found[1]).norm() / found[0].norm()).item())


def _settle() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def _padded(batch: list[Weighed]) -> int:
    """Return the tokens that TRL sends through the model: prompts and completions padded each to their longest."""
    prompts = max(len(row.prompt_ids) for row, _ in batch)
    return len(batch) * (prompts + max(len(row.completion_ids) for row, _ in batch))


def _packed(batch: list[Weighed]) -> int:
    given = {name: value.numpy() for name, value in collate(batch, 0).items()}
    ids = np.concatenate([given["prompt_ids"], given["completion_ids"]], axis=1)
    mask = np.concatenate([given["prompt_mask"], given["completion_mask"]], axis=1).astype(np.bool_)
    packed = pack(ids, mask, given["tool_mask"].astype(np.bool_))
    return len(packed.trie.tokens)


def _plain(out: str, model: Any, tokenizer: Any) -> Side:
    own = copy.deepcopy(model)
    return _ready(
        GRPOTrainer(
            model=own,
            args=row_config(out, batch=2, learning_rate=1e-6),
            processing_class=tokenizer,
            reward_funcs=_unused,
            train_dataset=Dataset.from_dict({"prompt": ["", ""]}),
        ),
        own,
    )


def _ours(out: str, model: Any, tokenizer: Any, batches: Sequence[list[Weighed]]) -> Side:
    own = copy.deepcopy(model)
    rows = [row for batch in batches for row in batch]
    args = row_config(out, batch=2, learning_rate=1e-6)
    return _ready(PackedRowTrainer(rows=rows, args=args, model=own, processing_class=tokenizer), own)


def _ready(trainer: Any, model: Any) -> Side:
    trainer.create_optimizer()
    trainer.current_gradient_accumulation_steps = 1
    model.train()
    return Side(trainer, model)


def _load(folder: str | None, seed: int) -> tuple[Any, Any]:
    """Return model and tokenizer; without a folder, three million random weights.

    The vocabulary is so small in order that the output layer takes the share of the time that it takes in
    SmolLM2-135M.
    """
    if folder is not None:
        loaded = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
        return loaded, AutoTokenizer.from_pretrained(folder)
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=2048,
        hidden_size=256,
        intermediate_size=704,
        num_hidden_layers=3,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=4096,
        pad_token_id=0,
        eos_token_id=1,
        bos_token_id=None,
    )
    words = Tokenizer(WordLevel({"<pad>": 0, "<end>": 1, "<unk>": 2}, unk_token="<unk>"))
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=words, pad_token="<pad>", eos_token="<end>", unk_token="<unk>")
    return LlamaForCausalLM(config), tokenizer


def _unused(prompts: Sequence[Any], completions: Sequence[Any], **columns: Any) -> list[float]:
    raise AssertionError("nothing is generated, so nothing is rewarded")
