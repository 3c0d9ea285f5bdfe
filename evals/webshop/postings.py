"""Which word is how often in which document: counted, and held in compressed rows."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .tokens import Analyzer

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Ints = NDArray[Any]

BLOCK = 20_000
"""Documents counted at a time while an index is built."""


def exact_lengths() -> list[int]:
    """Return the 256 lengths that Lucene can store: 0 to 40 as they are, then four significant bits (`SmallFloat`)."""
    return [byte if byte < 24 else 24 + _floating(byte - 24) for byte in range(256)]


def _floating(code: int) -> int:
    mantissa, exponent = code & 7, (code >> 3) - 1
    return mantissa if exponent < 0 else (mantissa | 8) << exponent


@dataclass(frozen=True)
class Postings:
    """Which word is in which document, in compressed rows: word `t` owns `starts[t]` to `starts[t + 1]`."""

    starts: Ints
    """(words + 1,) int64."""
    documents: Ints
    """(postings,) int32, ascending within a word."""
    counts: Ints
    """(postings,) unsigned: how often the word is in the document."""
    lengths: Ints
    """(documents,) uint8: number of words of each document, as Lucene rounds it; an index into `exact_lengths()`."""
    total: int
    """Words of all documents, not rounded."""


def count(texts: Sequence[str], analyzer: Analyzer, numbers: dict[str, int]) -> Postings:
    """Count the words of texts; `numbers` is filled with the words in the order in which they were met."""
    import numpy as np

    blocks: list[tuple[Ints, Ints, Ints]] = []
    lengths: list[Ints] = []
    for start in range(0, len(texts), BLOCK):
        stream = array("i")
        ends = array("q")
        for text in texts[start : start + BLOCK]:
            stream.extend([numbers.setdefault(word, len(numbers)) for word in analyzer(text)])
            ends.append(len(stream))
        length: Ints = np.diff(np.array(ends, dtype=np.int64), prepend=0)
        lengths.append(length)
        # One key per (word, document), so that sorting groups by word and keeps documents ascending.
        keys = np.array(stream, dtype=np.int64) * BLOCK + np.repeat(np.arange(len(length)), length)
        keys, counts = np.unique(keys, return_counts=True)
        blocks.append(((keys // BLOCK).astype(np.int32), (keys % BLOCK + start).astype(np.int32), counts))
    every = np.concatenate([*lengths, np.zeros(0, dtype=np.int64)])
    stored = np.searchsorted(np.array(exact_lengths()), every, side="right") - 1
    return _join(blocks, len(numbers), stored.astype(np.uint8), int(every.sum()))


def _join(blocks: list[tuple[Ints, Ints, Ints]], words: int, lengths: Ints, total: int) -> Postings:
    """Put the blocks' postings in one order, by word and then by document."""
    import numpy as np

    starts = np.zeros(words + 1, dtype=np.int64)
    for word, _, _ in blocks:
        starts[1:] += np.bincount(word, minlength=words)
    np.cumsum(starts, out=starts)
    most = max((int(counts.max(initial=0)) for _, _, counts in blocks), default=0)
    documents = np.empty(starts[-1], dtype=np.int32)
    counts = np.empty(starts[-1], dtype=np.min_scalar_type(most))
    free = starts[:-1].copy()
    while blocks:
        word, document, count = blocks.pop(0)
        having = np.bincount(word, minlength=words)
        # `word` is sorted: a posting's place within its word is its place less that of the word's first.
        place = free[word] + np.arange(len(word)) - (np.cumsum(having) - having)[word]
        documents[place], counts[place] = document, count
        free += having
    return Postings(starts, documents, counts, lengths, total)
