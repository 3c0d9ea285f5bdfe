"""The shop's search engine: ranks as Lucene's BM25 does, to the bit, so that a first page here is a first page there.

Score of a document: sum over the query's different words of `w - w / (1 + f * n)`, where `f` is how often the word is
in the document, `w` is how often it is in the query times `ln(1 + (N - df + 0.5) / (df + 0.5))`, and
`1 / n = k1 * (1 - b + b * length / average length)`: Robertson and Walker's BM25 as Lucene 9's `BM25Similarity` writes
it, with Anserini's k1 and b. Each step is rounded to 32 bits and a length to the byte that Lucene stores; both decide
ties. Ties go by product id.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
import zipfile
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from ...errors import ConfigError
from ...wheels import cache_folder
from .postings import Postings, count, exact_lengths
from .tokens import Analyzer

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]
    Scores = NDArray[np.float64]

K1 = 0.9
B = 0.4
FORMAT = 1
"""Raised when an index on disk means something else than before, which includes what a word is."""
SMALL = 5_000
"""Fewer products than this are indexed in about a second, so nothing is written to disk for them."""


class Index:
    """A ranked index of texts. Read-only once built; any number of threads may search it.

    Use `Index.build(...)` or `Index.open(...)`.
    """

    def __init__(self, ids: Sequence[str], words: Sequence[str], postings: Postings, analyzer: Analyzer) -> None:
        import numpy as np

        self._ids = ids
        self._analyzer = analyzer
        self._numbers = {word: number for number, word in enumerate(words)}
        self._words = words
        self._postings = postings
        one = np.float32(1)
        k1, b = np.float32(K1), np.float32(B)
        average = np.float32(postings.total / max(1, len(ids)))
        table = np.array(exact_lengths(), dtype=np.float32)
        with np.errstate(divide="ignore", invalid="ignore"):  # Without a single word nothing is found anyhow.
            inverse = one / (k1 * ((one - b) + b * table / average))
        self._inverse: Floats = inverse[postings.lengths]

    @classmethod
    def build(cls, documents: Sequence[tuple[str, str]]) -> Index:
        """Index documents.

        Args:
            documents: id and text of each; the order does not matter.

        Raises:
            ConfigError: an id is there twice.
        """
        ordered = sorted(documents, key=lambda document: document[0])
        ids = [document[0] for document in ordered]
        if twice := next((one for one, other in pairwise(ids) if one == other), None):
            raise ConfigError(f"cannot index the products: two have the id {twice}.")
        analyzer = Analyzer()
        numbers: dict[str, int] = {}
        postings = count([text for _, text in ordered], analyzer, numbers)
        return cls(ids, list(numbers), postings, analyzer)

    @classmethod
    def open(cls, documents: Sequence[tuple[str, str]], folder: Path | None = None) -> Index:
        """Return the index of documents: from disk where these very documents were indexed before, else a new one.

        A file that is torn or of an older kind is written anew. A disk that cannot be written to is no error.

        Args:
            documents: as in `build`.
            folder: where indexes are kept; the user's cache folder if not given, and then none for a small shop.
        """
        if folder is None and len(documents) < SMALL:
            return cls.build(documents)
        path = (folder or cache_folder("webshop")) / f"{_digest(documents)}.npz"
        with suppress(OSError, ValueError, KeyError, zipfile.BadZipFile, EOFError):
            return cls.load(path)
        index = cls.build(documents)
        with suppress(OSError):
            index.save(path)
        return index

    def save(self, path: Path) -> None:
        """Write the index to a file, whole or not at all."""
        import numpy as np

        path.parent.mkdir(parents=True, exist_ok=True)
        content = vars(self._postings) | {
            "ids": np.frombuffer(json.dumps(self._ids).encode(), dtype=np.uint8),
            "words": np.frombuffer(json.dumps(self._words).encode(), dtype=np.uint8),
            "format": FORMAT,
        }
        handle, name = tempfile.mkstemp(dir=path.parent, suffix=".part")
        try:
            with os.fdopen(handle, "wb") as file:
                np.savez(file, **content)
                file.flush()
                os.fsync(file.fileno())
            Path(name).replace(path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise

    @classmethod
    def load(cls, path: Path) -> Index:
        """Read an index that was saved; the checksums of the archive are looked at.

        Raises:
            OSError: there is no such file.
            ValueError, KeyError, zipfile.BadZipFile, EOFError: it is none of ours, or torn.
        """
        import numpy as np

        # Opened here, since numpy leaves a file open that turns out to be no archive.
        with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            if int(file["format"]) != FORMAT:
                raise ValueError("an index of another format")
            ids = json.loads(file["ids"].tobytes())
            words = json.loads(file["words"].tobytes())
            fields = (file["starts"], file["documents"], file["counts"], file["lengths"])
            return cls(ids, words, Postings(*fields, int(file["total"])), Analyzer())

    def __len__(self) -> int:
        return len(self._ids)

    @property
    def size_bytes(self) -> int:
        """Bytes of the postings."""
        arrays = (self._postings.starts, self._postings.documents, self._postings.counts, self._inverse)
        return sum(int(one.nbytes) for one in arrays)

    def search(self, query: str, k: int = 50) -> list[str]:
        """Return the ids of at most `k` documents that share a word with the query, the best first."""
        return [found for found, _ in self.ranked(query, k)]

    def ranked(self, query: str, k: int = 50) -> list[tuple[str, float]]:
        """Return ids and scores, the best first."""
        import numpy as np

        scores = self._scores(query)
        if scores is None or k < 1:
            return []
        if k < len(scores):
            least = np.partition(scores, len(scores) - k)[-k]
            kept = np.flatnonzero(scores >= max(least, np.finfo(np.float32).tiny))
        else:
            kept = np.flatnonzero(scores)
        best = kept[np.argsort(-scores[kept], kind="stable")][:k]
        return [(self._ids[number], float(scores[number])) for number in best]

    def _scores(self, query: str) -> Floats | None:
        """Return the score of every document, (documents,), or None when no word of the query is in any."""
        import numpy as np

        starts, total = self._postings.starts, len(self._ids)
        sums: Scores | None = None
        for word, times in Counter(self._analyzer(query)).items():
            number = self._numbers.get(word)
            if number is None:
                continue
            row = slice(int(starts[number]), int(starts[number + 1]))
            having = row.stop - row.start
            rarity = np.float32(np.log(1 + (total - having + 0.5) / (having + 0.5)))
            weight = np.float32(times) * rarity
            documents = self._postings.documents[row]
            share = self._postings.counts[row] * self._inverse[documents]
            share += np.float32(1)
            if sums is None:
                sums = np.zeros(total)
            sums[documents] += weight - weight / share
        # Lucene adds in 64 bits and keeps 32.
        return None if sums is None else sums.astype(np.float32)


def _digest(documents: Sequence[tuple[str, str]]) -> str:
    found = hashlib.sha256(f"{FORMAT}".encode())
    for identity, text in documents:
        found.update(f"{len(identity)},{len(text)};{identity}{text}".encode(errors="surrogatepass"))
    return found.hexdigest()[:32]
