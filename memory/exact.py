"""A small collection searched one vector after the other.

A graph of neighbours loses some of them: of 23 to 40 texts, Chroma 1.5 could not find the newest in about one of three
openings of the folder, however many were asked for, while `get` still gave it. Up to a few thousand, a product with all
vectors is as fast as the graph, and misses nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .chroma import Hit

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from .embedding import Matrix

EXACT = 4000
"""Texts up to which all of them are looked at; 1.5 million multiplications at 384 dimensions, under a millisecond."""


class Exact:
    """Keeps the vectors of a collection in memory, for as long as it does not change."""

    def __init__(self) -> None:
        self._key: object = None
        self._ids: list[str] = []
        self._vectors: NDArray[np.float32] | None = None

    def search(self, collection: Any, key: object, vectors: Matrix, k: int) -> list[list[Hit]]:
        """Return the k nearest of each vector, best first.

        Args:
            collection: of Chroma's, with the cosine as its distance.
            key: changes when the collection does.
            vectors: unit vectors, (n, dimension).
            k: how many texts.
        """
        import numpy as np

        if key != self._key or self._vectors is None:
            found = collection.get(include=["embeddings"])
            self._ids, self._vectors = list(found["ids"]), np.asarray(found["embeddings"], dtype=np.float32)
            self._key = key
        if not self._ids:
            return [[] for _ in vectors]
        similar = vectors @ self._vectors.T
        best = np.argsort(-similar, axis=1, kind="stable")[:, :k]
        return [
            [Hit(self._ids[column], float(row[column])) for column in columns]
            for row, columns in zip(similar, best, strict=True)
        ]
