"""The index of a memory: Chroma for what is old, a small matrix for what is new, one answer from both.

Fresh items are found in the store, whoever wrote them, and searched in a matrix until there are enough of them to be
worth a write to Chroma. So an item can be recalled at once in every process, and Chroma is written in bulk.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from ..errors import LamarckError, StoreError
from .chroma import Backend, Broken, Hit, Mark, Page, mismatch
from .embedding import Embedder
from .ledger import Ledger, text_id
from .reading import Fresh, Reading

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from .embedding import Matrix

T = TypeVar("T")
log = logging.getLogger("lamarck.memory")

FLUSH = 1000
"""Fresh items after which they are written to Chroma."""
PAGE = 5000

Progress = Callable[[int, int], None]
"""Told how many items are done, and of how many."""


class Index:
    """Searches the texts of all items of a memory.

    Args:
        backend: where the bulk of the vectors is.
        embedder: who makes vectors of texts that have none.
        reading: the memory's tables.
        ledger: where new vectors are stored.
        flush: fresh items after which they are written to the backend.
        fresh: do not look at what the backend holds; it will be built anew.

    Raises:
        StoreError: the index was made with another embedder.
    """

    def __init__(
        self,
        backend: Backend,
        embedder: Embedder,
        reading: Reading,
        ledger: Ledger,
        *,
        flush: int = FLUSH,
        fresh: bool = False,
    ) -> None:
        self.backend = backend
        """Where the bulk of the vectors is."""
        self._embedder = embedder
        self._reading = reading
        self._ledger = ledger
        self._flush = flush
        self._ids: list[str] = []
        self._tail: NDArray[np.float32] | None = None
        self._base = Mark(embedder.name, 0, 0)
        """What this process takes for granted in the backend; the tail begins behind it."""
        self._seen = 0
        if not fresh:
            self._check(self._mark())

    @property
    def place(self) -> str:
        """Where the vectors are."""
        return self.backend.place

    def holds(self) -> dict[str, int]:
        """Return how many texts are in the backend, and how many are yet to be written to it."""
        mark = self._mark()
        return {"texts": mark.size if mark is not None else 0, "fresh": len(self._ids)}

    def search(self, vectors: Matrix, k: int, newest: int | None = None) -> list[Hit]:
        """Return the k texts nearest to any of the vectors, best first.

        Args:
            vectors: unit vectors, (n, dimension).
            k: how many texts.
            newest: number of the item that came last, where the caller has just read it.

        Raises:
            StoreError: a server does not answer.
        """
        if self._base.upto and vectors.shape[1] != self._base.dimension:
            raise mismatch(f"index {self.place}", self._base.dimension, vectors.shape[1], self._embedder.name)
        self.catch_up(newest)
        best: dict[str, float] = {}
        for hits in self._try(lambda: self.backend.search(vectors, k, self._base)):
            for ident, similarity in hits:
                if similarity > best.get(ident, -2.0):
                    best[ident] = similarity
        if self._tail is not None:
            import numpy as np

            found = (self._tail @ vectors.T).max(axis=1)
            for row in np.argpartition(-found, min(k, len(found)) - 1)[:k]:
                best[self._ids[row]] = max(best.get(self._ids[row], -2.0), float(found[row]))
        ranked = sorted(best.items(), key=lambda pair: (-pair[1], pair[0]))
        return [Hit(ident, similarity) for ident, similarity in ranked[:k]]

    def catch_up(self, newest: int | None = None) -> None:
        """Take in the items that were added since, by whichever process."""
        if (newest if newest is not None else self._reading.newest()) <= self._seen:
            return
        while rows := self._reading.fresh(self._seen, self._embedder.name, PAGE):
            self._remember(rows)
            if len(self._ids) >= self._flush:
                self.flush()

    def flush(self) -> None:
        """Write fresh items to the backend."""
        if self._tail is None:
            return
        page = Page(self._ids, self._tail, self._seen)
        base = self._base._replace(dimension=self._tail.shape[1])
        self._try(lambda: self.backend.extend(page, base))
        # A rebuild on the way has emptied the tail already.
        if self._ids is page.ids:
            self._ids, self._tail = [], None
            self._base = base._replace(upto=self._seen)

    def rebuild(self, progress: Progress | None = None) -> int:
        """Build the index anew from the store; return how many items are in it.

        The old one is used until the new one is whole.

        Raises:
            StoreError: it cannot be written, or a server does not answer.
        """
        total, done = self._reading.size(), 0

        def pages(after: int) -> Page | None:
            nonlocal done
            rows = self._reading.fresh(after, self._embedder.name, PAGE)
            if not rows:
                return None
            texts = list({row.text_id: row for row in rows}.values())
            done += len(rows)
            if progress is not None:
                progress(done, max(total, done))
            return Page([row.text_id for row in texts], self._matrix(texts), rows[-1].seq)

        since = Mark(self._embedder.name, self._embedder.dimension, 0)
        try:
            self.backend.rebuild(pages, since)
            mark = self.backend.mark()
        except Broken as error:
            raise StoreError(f"cannot build index {self.place}: {error}.", kind="index") from error
        self._ids, self._tail = [], None
        self._base = mark if mark is not None else since
        self._seen = self._base.upto
        return done

    def close(self) -> None:
        """Write what is fresh and let go of the backend; what cannot be written now is found in the store later."""
        try:
            self.catch_up()
            self.flush()
        except LamarckError as error:
            log.warning("index %s lacks what is new, and takes it in the next time: %s", self.place, error)
        finally:
            self.backend.close()

    def _remember(self, rows: list[Fresh]) -> None:
        import numpy as np

        seen = rows[-1].seq
        held = set(self._ids)
        rows = [row for row in {row.text_id: row for row in rows}.values() if row.text_id not in held]
        self._seen = seen
        if not rows:
            return
        fresh = self._matrix(rows)
        self._tail = fresh if self._tail is None else np.concatenate([self._tail, fresh])
        self._ids = self._ids + [row.text_id for row in rows]

    def _matrix(self, rows: list[Fresh]) -> NDArray[np.float32]:
        """Return the vectors of rows, made and stored first where there are none yet."""
        import numpy as np

        missing = {row.text: None for row in rows if row.vector is None}
        made: dict[str, bytes] = {}
        if missing:
            texts = list(missing)
            made = {text: stored(row) for text, row in zip(texts, self._embedder.embed(texts), strict=True)}
            self._ledger.put_vectors({text_id(text): vector for text, vector in made.items()}, self._embedder.name)
        raw = b"".join(row.vector if row.vector is not None else made[row.text] for row in rows)
        fresh = np.frombuffer(raw, dtype="<f4").reshape(len(rows), -1).astype(np.float32, copy=False)
        if fresh.shape[1] != self._embedder.dimension:
            raise mismatch("the store", fresh.shape[1], self._embedder.dimension, self._embedder.name)
        return fresh

    def _mark(self) -> Mark | None:
        try:
            return self.backend.mark()
        except Broken:
            return None

    def _check(self, mark: Mark | None) -> None:
        if mark is None:
            if self._reading.newest():
                log.info("building index %s from the store", self.place)
            return
        # A remote model is asked for its dimension only when it has another name, or when there is something to embed.
        if mark.embedder != self._embedder.name:
            ours = self._embedder
            raise mismatch(f"index {self.place}", mark.dimension, ours.dimension, ours.name, mark.embedder)
        self._seen = mark.upto
        self._base = mark

    def _try(self, call: Callable[[], T]) -> T:
        """Use the backend; where it is broken, say so, build it anew and try once more."""
        try:
            return call()
        except Broken as error:
            log.warning("index %s is damaged (%s); building it anew from the store", self.place, error)
            count = self.rebuild()
            log.warning("index %s is built anew: %d items", self.place, count)
        try:
            return call()
        except Broken as error:
            raise StoreError(f"index {self.place} cannot be used: {error}.", kind="index") from error


def stored(vector: NDArray[np.float32]) -> bytes:
    """Return a vector as the store keeps it."""
    return vector.astype("<f4").tobytes()
