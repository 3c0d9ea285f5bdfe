"""Scoring many continuations of one prompt in two forward passes, with the prompt's cache kept between calls.

The continuations are laid out as a trie in one row: every node attends to the prompt and to its own ancestors only,
and its position is the prompt's length plus its depth. Admissible actions share most of their beginnings, so the trie
is much smaller than the sum of its texts.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from torch import Tensor


class Scored(NamedTuple):
    """One continuation under the model."""

    logprobs: tuple[float, ...]
    """Natural log-probability of each of its tokens, at temperature 1."""
    entropies: tuple[float, ...]
    """Entropy in nats of the distribution each token was drawn from."""


@dataclass
class Prefix:
    """A prompt that has been read: its tokens, the keys and values, and what would come next."""

    tokens: list[int] = field(default_factory=list)
    cache: Any = None
    logits: Tensor | None = None
    """(vocabulary,) logits after the last token, float32."""


class Trie(NamedTuple):
    """Continuations as a tree; node 0 is the end of the prompt."""

    tokens: list[int]
    """Token of each node but the first."""
    parents: list[int]
    depths: list[int]
    paths: list[list[int]]
    """Nodes of each continuation in order, without node 0."""


class PackedScorer:
    """Reads prompts and scores continuations with one causal language model.

    Args:
        model: any transformers causal model that takes a four-dimensional attention mask and position ids.
        sessions: prompts whose cache is kept; the one used longest ago is dropped first.
    """

    def __init__(self, model: Any, *, sessions: int = 8) -> None:
        self.model = model
        self._sessions = sessions
        self._prefixes: OrderedDict[str, Prefix] = OrderedDict()
        self.tokens_read = 0
        """Tokens that went through the model, for accounting."""

    def read(self, tokens: Sequence[int], session: str | None = None) -> tuple[Prefix, int]:
        """Bring a prompt through the model; return it, and how many of its tokens were in the session's cache."""
        import torch
        from transformers import DynamicCache

        prefix = self._prefixes.get(session) if session is not None else None
        if prefix is None:
            prefix = Prefix(cache=DynamicCache(config=self.model.config))
        # The last token is always read anew: its logits are needed, and the cache does not hold them.
        same = min(_common(prefix.tokens, tokens), len(tokens) - 1)
        if prefix.tokens and same == len(tokens) - 1 and prefix.tokens == list(tokens):
            return self._keep(session, prefix), len(tokens)
        _crop(prefix.cache, len(prefix.tokens), same)
        fresh = torch.tensor([list(tokens[same:])], device=self.model.device)
        positions = torch.arange(same, len(tokens), device=self.model.device)[None]
        with torch.inference_mode():
            out = self.model(
                input_ids=fresh,
                position_ids=positions,
                past_key_values=prefix.cache,
                use_cache=True,
                logits_to_keep=1,
            )
        self.tokens_read += len(tokens) - same
        prefix.tokens = list(tokens)
        prefix.logits = out.logits[0, -1].float()
        return self._keep(session, prefix), same

    def score(self, prefix: Prefix, options: Sequence[Sequence[int]]) -> list[Scored]:
        """Return log-probabilities and entropies of each continuation of a prompt that was read.

        Args:
            prefix: from `read`.
            options: token ids of each continuation, none of them empty.
        """
        import torch

        trie = build_trie(options)
        assert prefix.logits is not None
        inner = sorted({trie.parents[node] for node in range(1, len(trie.parents))} - {0})
        rows = {node: row + 1 for row, node in enumerate(inner)}
        rows[0] = 0
        logits = prefix.logits[None]
        if inner:
            logits = torch.cat([logits, self._forward(prefix, trie, inner)])
        with torch.inference_mode():
            logprobs = torch.log_softmax(logits, dim=-1)
            entropies = (-(logprobs.exp() * logprobs).sum(-1)).tolist()
            nodes = range(1, len(trie.parents))
            source = torch.tensor([rows[trie.parents[node]] for node in nodes])
            target = torch.tensor(trie.tokens)
            picked = [0.0, *logprobs[source, target].tolist()]
        return [
            Scored(
                tuple(picked[node] for node in path),
                tuple(entropies[rows[trie.parents[node]]] for node in path),
            )
            for path in trie.paths
        ]

    def forget(self, session: str) -> None:
        """Drop a session's cache."""
        self._prefixes.pop(session, None)

    def _forward(self, prefix: Prefix, trie: Trie, inner: list[int]) -> Tensor:
        """Run the nodes that have children in one row; return their logits (nodes, vocabulary), float32."""
        import torch

        past, count = len(prefix.tokens), len(inner)
        mask = torch.zeros((count, past + count), dtype=torch.bool)
        mask[:, :past] = True
        column = {node: past + number for number, node in enumerate(inner)}
        for number, node in enumerate(inner):
            while node:
                mask[number, column[node]] = True
                node = trie.parents[node]
        tokens = torch.tensor([[trie.tokens[node - 1] for node in inner]], device=self.model.device)
        positions = torch.tensor([[past + trie.depths[node] - 1 for node in inner]], device=self.model.device)
        with torch.inference_mode():
            out = self.model(
                input_ids=tokens,
                position_ids=positions,
                attention_mask=mask[None, None].to(self.model.device),
                past_key_values=prefix.cache,
                use_cache=True,
            )
        _crop(prefix.cache, past + count, past)
        self.tokens_read += count
        return out.logits[0].float()  # type: ignore[no-any-return]

    def _keep(self, session: str | None, prefix: Prefix) -> Prefix:
        if session is not None:
            self._prefixes[session] = prefix
            self._prefixes.move_to_end(session)
            while len(self._prefixes) > self._sessions:
                self._prefixes.popitem(last=False)
        return prefix


def build_trie(options: Sequence[Sequence[int]]) -> Trie:
    """Lay continuations out as a tree in which equal beginnings are one path."""
    tokens: list[int] = []
    parents, depths = [-1], [0]
    children: dict[tuple[int, int], int] = {}
    paths: list[list[int]] = []
    for option in options:
        node, path = 0, []
        for token in option:
            child = children.get((node, token))
            if child is None:
                child = len(parents)
                children[node, token] = child
                tokens.append(token)
                parents.append(node)
                depths.append(depths[node] + 1)
            node = child
            path.append(node)
        paths.append(path)
    return Trie(tokens, parents, depths, paths)


def _common(a: Sequence[int], b: Sequence[int]) -> int:
    length = min(len(a), len(b))
    for n in range(length):
        if a[n] != b[n]:
            return n
    return length


def _crop(cache: Any, length: int, keep: int) -> None:
    if length > keep:
        cache.crop(keep - length)
