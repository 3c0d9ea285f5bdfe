"""Scoring many continuations of one prompt in one forward pass, with the prompt's cache kept between calls.

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
        prefix = self._prefix(session)
        if tokens and prefix.tokens == list(tokens):
            return self._keep(session, prefix), len(tokens)
        logits, same = self._forward(prefix, tokens, build_trie([]), [])
        prefix.logits = logits[-1]
        return self._keep(session, prefix), same

    def score(
        self, tokens: Sequence[int], options: Sequence[Sequence[int]], session: str | None = None
    ) -> tuple[list[Scored], int]:
        """Return log-probabilities and entropies of each continuation of a prompt, and how many of the prompt's tokens
        were in the session's cache.

        Args:
            tokens: the prompt.
            options: token ids of each continuation, none of them empty.
            session: episode whose cache is taken and kept.
        """
        import torch

        trie = build_trie(options)
        inner = sorted({trie.parents[node] for node in range(1, len(trie.parents))} - {0})
        rows = {node: row for row, node in enumerate([0, *inner])}
        prefix = self._prefix(session)
        logits, same = self._forward(prefix, tokens, trie, inner)
        prefix.logits = logits[0]
        self._keep(session, prefix)
        with torch.inference_mode():
            logprobs = torch.log_softmax(logits, dim=-1)
            entropies = (-(logprobs.exp() * logprobs).sum(-1)).tolist()
            source = torch.tensor([rows[parent] for parent in trie.parents[1:]])
            picked = [0.0, *logprobs[source, torch.tensor(trie.tokens)].tolist()]
        scored = [
            Scored(
                tuple(picked[node] for node in path),
                tuple(entropies[rows[trie.parents[node]]] for node in path),
            )
            for path in trie.paths
        ]
        return scored, same

    def forget(self, session: str) -> None:
        """Drop a session's cache."""
        self._prefixes.pop(session, None)

    def _prefix(self, session: str | None) -> Prefix:
        from transformers import DynamicCache

        # Taken out until it is kept again: a pass that fails leaves a cache that nothing can be said of.
        found = self._prefixes.pop(session, None) if session is not None else None
        return found if found is not None else Prefix(cache=DynamicCache(config=self.model.config))

    def _forward(self, prefix: Prefix, tokens: Sequence[int], trie: Trie, inner: Sequence[int]) -> tuple[Tensor, int]:
        """Bring what is new of a prompt, and the nodes of a trie that have children, through the model in one row.

        A pass costs the reading of all weights before it costs anything for a token, so one is better than two.

        Returns:
            Logits after the prompt and after each inner node, (1 + inner, vocabulary), float32; and how many tokens of
            the prompt were in the cache.
        """
        import torch

        # The last token is always read anew: its logits are needed, and the cache does not hold them.
        same = min(_common(prefix.tokens, tokens), len(tokens) - 1)
        _crop(prefix.cache, len(prefix.tokens), same)
        end, count = len(tokens), len(inner)
        row = [*tokens[same:], *(trie.tokens[node - 1] for node in inner)]
        positions = [*range(same, end), *(end + trie.depths[node] - 1 for node in inner)]
        mask = None
        if inner:
            seen = torch.ones((len(row), end + count), dtype=torch.bool).tril(same)
            seen[end - same :, end:] = False
            column = {node: end + number for number, node in enumerate(inner)}
            for number, node in enumerate(inner, end - same):
                while node:
                    seen[number, column[node]] = True
                    node = trie.parents[node]
            mask = seen[None, None].to(self.model.device)
        with torch.inference_mode():
            out = self.model(
                input_ids=torch.tensor([row], device=self.model.device),
                position_ids=torch.tensor([positions], device=self.model.device),
                attention_mask=mask,
                past_key_values=prefix.cache,
                use_cache=True,
                logits_to_keep=1 + count,
            )
        _crop(prefix.cache, end + count, end)
        self.tokens_read += len(row)
        prefix.tokens = list(tokens)
        return out.logits[0].float(), same

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
