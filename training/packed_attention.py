"""Attention over rows that are laid out as a tree: each chunk of nodes against the nodes above it.

One sequence with a dense mask would do too, but its attention costs the square of all rows together. The rectangles
of `packing.chunks` leave out what the mask would throw away. The function is registered with transformers under a
name of its own and stands in for `sdpa`; calls without a plan are passed on to that.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import repeat_kv, sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from ..errors import TrainingError
from .packing import Packed, Trie, chunks, pack

NAME = "lamarck_packed"
STANDS_IN_FOR = ("sdpa", "eager", NAME)
CHANGES_ATTENTION = ("softcap", "sliding_window", "position_bias", "s_aux", "cache")
"""Arguments by which models ask for attention that is not the plain one; none of them is known here."""


@dataclass(frozen=True)
class Part:
    """One chunk on the device."""

    start: int
    stop: int
    columns: tuple[tuple[int, int], ...]
    seen: Tensor | None


@dataclass(frozen=True)
class Plan:
    """How the attention of one packed batch is computed; the same for all layers."""

    parts: tuple[Part, ...]

    @classmethod
    def of(cls, trie: Trie, device: torch.device | str) -> Plan:
        """Return the plan of a tree. A GPU has large chunks, since there a call costs more than masked cells."""
        # Measured on two CPU cores; see `lamarck bench train`.
        sizes = {"size": 512, "slack": 16_384} if torch.device(device).type == "cpu" else {"size": 2048, "slack": 2**22}
        return cls(
            tuple(
                Part(c.start, c.stop, c.columns, None if c.seen is None else torch.from_numpy(c.seen).to(device))
                for c in chunks(trie, **sizes)
            )
        )


def attention(
    module: torch.nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    dropout: float = 0.0,
    scaling: float | None = None,
    packed_plan: Plan | None = None,
    **keywords: Any,
) -> tuple[Tensor, None]:
    """Attend as the plan says; the signature is that of transformers' attention functions.

    Args:
        module: the layer's attention.
        query: (1, heads, M, size of a head); `key` and `value` may have fewer heads.
        key: see `query`.
        value: see `query`.
        attention_mask: not looked at where there is a plan.
        dropout: share of weights that are dropped.
        scaling: what the products are multiplied by.
        packed_plan: none for a batch that is not packed.
        keywords: whatever else the model passes on.

    Raises:
        TrainingError: the model asks for attention of another kind.
    """
    if packed_plan is None:
        found: tuple[Tensor, None] = sdpa_attention_forward(
            module, query, key, value, attention_mask, dropout=dropout, scaling=scaling, **keywords
        )
        return found
    asked = [name for name in CHANGES_ATTENTION if keywords.get(name) is not None]
    if asked:
        raise TrainingError(f"its attention has {', '.join(asked)}")
    groups = getattr(module, "num_key_value_groups", 1)
    key, value = repeat_kv(key, groups), repeat_kv(value, groups)
    out = [
        scaled_dot_product_attention(
            query[:, :, part.start : part.stop],
            _take(key, part.columns),
            _take(value, part.columns),
            attn_mask=part.seen,
            dropout_p=dropout,
            scale=scaling,
            is_causal=part.seen is None and part.stop - part.start > 1,
        )
        for part in packed_plan.parts
    ]
    return torch.cat(out, dim=2).transpose(1, 2).contiguous(), None


def _take(states: Tensor, runs: Sequence[tuple[int, int]]) -> Tensor:
    parts = [states[:, :, first:last] for first, last in runs]
    return parts[0] if len(parts) == 1 else torch.cat(parts, dim=2)


def forward(model: Any, packed: Packed, device: torch.device | str) -> Tensor:
    """Return the logits after each of the nodes that are needed, in one pass: (K, vocabulary)."""
    trie = packed.trie
    tokens, positions = (torch.from_numpy(part).to(device)[None] for part in (trie.tokens, trie.positions))
    out = model(
        input_ids=tokens,
        position_ids=positions,
        # Four dimensions mean that the mask is made; the plan takes its place.
        attention_mask=torch.ones((1, 1, 1, 1), dtype=torch.bool, device=device),
        use_cache=False,
        logits_to_keep=torch.from_numpy(packed.sources).to(device),
        packed_plan=Plan.of(trie, device),
    )
    logits: Tensor = out.logits[0]
    return logits


def install(model: Any) -> str | None:
    """Let a model's attention follow plans; return None, or why that cannot be, with the model as it was.

    A tree of a few tokens is computed both ways: each row alone, and packed. What differs more than a fraction of
    what one other token would change (recurrent layers, windows, position tables that are not asked) is not packed.
    """
    bare = model.get_base_model() if hasattr(model, "get_base_model") else model
    config = bare.config.get_text_config()
    before = config._attn_implementation
    if before not in STANDS_IN_FOR:
        return f"its attention is {before}, which is left alone"
    others = sorted({kind for kind in getattr(config, "layer_types", None) or () if kind != "full_attention"})
    if others:
        return f"it has layers with {', '.join(others)}"
    AttentionInterface.register(NAME, attention)
    AttentionMaskInterface.register(NAME, sdpa_mask)
    training = model.training
    model.eval()
    try:
        with torch.no_grad():
            alone = _alone(model, EXAMPLE)
            changed = _alone(model, [(row[0] + 1, *row[1:]) for row in EXAMPLE])
            bare.set_attn_implementation(NAME)
            example = _example()
            packed = forward(model, example, bare.device)[torch.from_numpy(example.source)]
    except (TrainingError, TypeError, ValueError, RuntimeError, AttributeError, NotImplementedError) as error:
        bare.set_attn_implementation(before)
        return str(error).splitlines()[0] if str(error) else type(error).__name__
    finally:
        model.train(training)
    if packed.shape == alone.shape and (packed - alone).abs().max() <= 0.1 * (changed - alone).abs().max():
        return None
    bare.set_attn_implementation(before)
    return "rows computed together differ from rows computed alone"


EXAMPLE = ((3, 5, 7, 4, 6, 8, 9), (3, 5, 7, 4, 6, 2, 8, 5), (3, 5, 7, 9, 4, 4, 2, 6, 3))


def _example() -> Packed:
    width = max(map(len, EXAMPLE))
    ids = np.array([[*row, *[0] * (width - len(row))] for row in EXAMPLE], np.int64)
    mask = np.array([[n < len(row) for n in range(width)] for row in EXAMPLE])
    last = np.array([[n == len(row) - 1 for n in range(width)] for row in EXAMPLE])
    return pack(ids, mask, last)


def _alone(model: Any, rows: Sequence[Sequence[int]]) -> Tensor:
    """Return the logits before the last token of each row: (rows, vocabulary)."""
    device = next(model.parameters()).device
    return torch.cat([model(input_ids=torch.tensor([list(row[:-1])], device=device)).logits[:, -1] for row in rows])
