"""Recall in two phases: what is relevant, then what of it has proved its worth (MemRL, arXiv 2601.03192)."""

from __future__ import annotations

import random
from collections import OrderedDict
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from ..config_memory import CreditConfig, RecallConfig
from ..core import Item
from .chroma import Hit
from .embedding import Embedder
from .index import Index
from .lexical import LexicalIndex
from .reading import Head, Reading
from .state import State, worth
from .values import Running, mixed, thompson, upper_bound, z_scores

if TYPE_CHECKING:
    import numpy as np

    from .embedding import Matrix

SIMILARITY_FLOOR = 0.02
VALUE_FLOOR = 0.05
"""Smallest deviations of similarity and value that count as a difference; see `z_scores`."""
ENOUGH = 30
"""Similarities that must have been seen before their running mean replaces that of the present candidates."""
WIDEST = 1280
"""Most neighbours looked at where filters leave too few; what is farther away counts as not there."""
CHARS_PER_TOKEN = 4
KEPT_VECTORS = 2048


class Relevance(NamedTuple):
    """How well a text fits the queries."""

    similarity: float
    relevance: float
    """Similarity, or its mixture with BM25."""


class Candidate(NamedTuple):
    """An item that passed the first phase."""

    id: str
    similarity: float
    """Cosine with the nearest of the queries."""
    relevance: float
    """Similarity, or its mixture with BM25."""
    state: State
    score: float = 0.0
    """What the second phase made of it."""


class Recollection(NamedTuple):
    """What was recalled, and from what."""

    items: tuple[Item, ...] = ()
    withheld: tuple[Item, ...] = ()
    """Chosen, but left out by lot to measure what they add."""
    candidates: tuple[Candidate, ...] = ()
    """All that passed the first phase, best score first."""


class Recaller:
    """Answers what is worth remembering now.

    Args:
        reading: the memory's tables.
        index: finds neighbours.
        embedder: makes vectors of queries.
        recall: thresholds, sizes, weights.
        credit: how worth is measured.
        lexical: BM25, where `recall.lexical` is above 0.
    """

    def __init__(
        self,
        reading: Reading,
        index: Index,
        embedder: Embedder,
        recall: RecallConfig,
        credit: CreditConfig,
        lexical: LexicalIndex | None = None,
    ) -> None:
        self.config = recall
        self._credit = credit
        self._reading = reading
        self._index = index
        self._embedder = embedder
        self._lexical = lexical
        self._kept: OrderedDict[str, np.ndarray] = OrderedDict()
        self.similarity = Running()
        """Similarities of the nearest items over all recalls so far, as the store has them."""
        self.unsaved = Running()
        """Those that the store does not have yet."""

    def recall(
        self,
        queries: Sequence[str],
        head: Head,
        *,
        learning: bool = False,
        seed: str = "",
        barred: Sequence[str] = (),
        lot: bool = True,
    ) -> Recollection:
        """Return the items that should stand in the prompt now.

        Args:
            queries: what the items shall apply to; the nearest of them counts.
            head: where the memory stands.
            learning: whether to explore and to leave items out; a frozen memory does neither.
            seed: makes both repeatable.
            barred: ids that must not be recalled.
            lot: whether an item may be drawn to be left out.

        Raises:
            StoreError, ModelError: the index or the embedding model does not answer.
        """
        texts = [query for query in queries if query.strip()]
        if not texts:
            return Recollection()
        generator = random.Random(seed)
        return self.choose(self.vectors(texts), texts, head, generator if learning else None, barred=barred, lot=lot)

    def choose(
        self,
        vectors: Matrix,
        texts: Sequence[str],
        head: Head,
        generator: random.Random | None = None,
        *,
        barred: Sequence[str] = (),
        lot: bool = True,
    ) -> Recollection:
        """Do both phases for vectors that are there already; `generator` None means a frozen memory."""
        pool = self._candidates(vectors, texts, head, frozenset(barred), learning=generator is not None)
        if not pool:
            return Recollection()
        ranked = self._rank(pool, generator)
        chosen = ranked
        if generator is not None and self.config.explore == "epsilon" and generator.random() < self.config.epsilon:
            chosen = generator.sample(ranked, len(ranked))
        items = self._within_budget(chosen, head)
        held: tuple[Item, ...] = ()
        if generator is not None and lot and items and generator.random() < self._credit.leave_out:
            held = (items.pop(generator.randrange(len(items))),)
        return Recollection(tuple(items), held, tuple(ranked))

    def vectors(self, texts: Sequence[str]) -> Matrix:
        """Return the vectors of texts; those of the latest ones are kept."""
        import numpy as np

        missing = [text for text in dict.fromkeys(texts) if text not in self._kept]
        if missing:
            self._kept.update(zip(missing, self._embedder.embed(missing), strict=True))
        for text in texts:
            self._kept.move_to_end(text)
        found = np.stack([self._kept[text] for text in texts])
        while len(self._kept) > KEPT_VECTORS:
            self._kept.popitem(last=False)
        return found

    def _candidates(
        self, vectors: Matrix, texts: Sequence[str], head: Head, barred: frozenset[str], *, learning: bool
    ) -> list[Candidate]:
        """First phase: neighbours over the threshold that are visible, of the right kind and status."""
        wide = self.config.candidates
        first = True
        while True:
            hits = self._index.search(vectors, wide, head.newest)
            if first and learning:
                self.unsaved = self.unsaved.add([hit.similarity for hit in hits])
                first = False
            near = self._relevant(hits, vectors, texts, wide)
            pool = [
                Candidate(found.id, near[found.text_id].similarity, near[found.text_id].relevance, found.state)
                for found in self._reading.applying(list(near), head.lineage)
                if found.id not in barred and self._wanted(found.state)
            ]
            exhausted = len(hits) < wide or hits[-1].similarity < self.config.threshold or wide >= WIDEST
            if len(pool) >= self.config.candidates or exhausted:
                pool.sort(key=lambda c: (-c.relevance, -worth(c.state, self._credit), c.id))
                return pool[: self.config.candidates]
            wide *= 4

    def _relevant(self, hits: list[Hit], vectors: Matrix, texts: Sequence[str], wide: int) -> dict[str, Relevance]:
        """Return the texts over the threshold, by id."""
        share, least = self.config.lexical, self.config.threshold
        if share <= 0.0 or self._lexical is None:
            return {hit.text_id: Relevance(hit.similarity, hit.similarity) for hit in hits if hit.similarity >= least}
        import numpy as np

        words: dict[str, float] = {}
        for text in texts:
            for ident, score in self._lexical.search(text, wide):
                words[ident] = max(score, words.get(ident, 0.0))
        dense = {hit.text_id: hit.similarity for hit in hits}
        only = [ident for ident in words if ident not in dense]
        for ident, raw in self._reading.vectors(only, self._embedder.name).items() if only else ():
            dense[ident] = float((vectors @ np.frombuffer(raw, dtype="<f4")).max())
        both = {
            ident: Relevance(cosine, (1.0 - share) * cosine + share * words.get(ident, 0.0))
            for ident, cosine in dense.items()
        }
        return {ident: relevance for ident, relevance in both.items() if relevance.relevance >= least}

    def _wanted(self, state: State) -> bool:
        kinds = self.config.kinds
        return state.status in self.config.statuses and (not kinds or state.kind in kinds)

    def _rank(self, pool: list[Candidate], generator: random.Random | None) -> list[Candidate]:
        """Second phase: the mixture of z-scored relevance and z-scored value."""
        relevance = [candidate.relevance for candidate in pool]
        if self.config.rank == "similarity":
            scores = relevance
        else:
            # A frozen memory keeps to what was seen while it learned, or it would drift.
            seen = self.similarity.merge(self.unsaved) if generator is not None else self.similarity
            if seen.size < ENOUGH or self.config.lexical > 0.0:  # a mixture has another scale than cosines
                seen = Running().add(relevance)
            values = [self._value(candidate.state, generator) for candidate in pool]
            here = Running().add(values)
            scores = mixed(
                z_scores(relevance, seen.mean, seen.deviation, floor=SIMILARITY_FLOOR),
                z_scores(values, here.mean, here.deviation, floor=VALUE_FLOOR),
                self.config.weight,
            )
        scored = [candidate._replace(score=score) for candidate, score in zip(pool, scores, strict=True)]
        return sorted(scored, key=lambda c: (-c.score, -c.relevance, c.id))

    def _value(self, state: State, generator: random.Random | None) -> float:
        value = worth(state, self._credit)
        if generator is None or self.config.explore in ("none", "epsilon"):
            return value
        uncertain = state.uncertainty(self._credit.alpha)
        if self.config.explore == "ucb":
            return upper_bound(value, uncertain, self.config.ucb_width)
        return thompson(value, uncertain, generator)

    def _within_budget(self, ranked: list[Candidate], head: Head) -> list[Item]:
        """Return the first items that together fit into the prompt's share; one that is too long is passed over."""
        left = self.config.max_tokens * CHARS_PER_TOKEN
        taken: list[Item] = []
        for start in range(0, len(ranked), self.config.select):
            part = ranked[start : start + self.config.select]
            found = self._reading.items([candidate.id for candidate in part], head.lineage)
            for candidate in part:
                item = found.get(candidate.id)
                if item is None or any(item.content == other.content for other in taken):
                    continue
                if len(item.applies) + len(item.content) > left:
                    continue
                left -= len(item.applies) + len(item.content)
                taken.append(item)
                if len(taken) == self.config.select:
                    return taken
        return taken
