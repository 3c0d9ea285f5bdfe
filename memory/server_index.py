"""A Chroma server as index."""

from __future__ import annotations

import contextlib
import json
import logging
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from ..errors import StoreError
from .chroma import BATCH, Hit, Mark, hits_of
from .embedding import need

if TYPE_CHECKING:
    from .embedding import Matrix

T = TypeVar("T")


class ServerIndex:
    """A Chroma server; it keeps its own order between clients.

    Args:
        url: `http://host:port`.
        name: id of the memory; each has its own collection on the server.
        patience_s: how long to wait for a server that does not answer, in seconds.
    """

    def __init__(self, url: str, name: str, *, patience_s: float = 30.0) -> None:
        need("chromadb")
        self.place = url
        self._name = f"lamarck-{name[:24]}"
        self._patience_s = patience_s
        self._client: Any = None
        self._collection: Any = None

    def mark(self) -> Mark | None:
        """Return what the collection says of itself."""
        metadata = self._ask(lambda: self._open().metadata) or {}
        return Mark(**json.loads(metadata["lamarck"])) if "lamarck" in metadata else None

    def search(self, vectors: Matrix, k: int) -> list[list[Hit]]:
        """Return the k nearest of each vector."""
        found = self._ask(lambda: self._open().query(query_embeddings=vectors, n_results=k, include=["distances"]))
        return hits_of(found)

    def extend(self, ids: Sequence[str], vectors: Matrix, mark: Mark) -> None:
        """Add vectors, then say so in the collection's metadata."""
        size = min(BATCH, int(self._ask(lambda: self._open() and self._client.get_max_batch_size())))
        for start in range(0, len(ids), size):
            part = slice(start, start + size)
            self._ask(lambda part=part: self._open().upsert(ids=list(ids[part]), embeddings=vectors[part]))  # type: ignore[misc]
        count = self._ask(lambda: self._open().count())
        text = json.dumps(mark._replace(size=count)._asdict())
        self._ask(lambda: self._open().modify(metadata={"lamarck": text}))

    def drop(self) -> None:
        """Remove the collection."""
        self._ask(lambda: self._open() and self._client.delete_collection(self._name))
        self._collection = None

    def close(self) -> None:
        """Close the client."""
        if self._client is not None:
            with contextlib.suppress(Exception):
                self._client.close()
        self._client = self._collection = None

    def _open(self) -> Any:
        if self._collection is None:
            import chromadb
            from chromadb.config import Settings

            secure = self.place.startswith("https://")
            host, _, port = self.place.split("://", 1)[1].rstrip("/").partition(":")
            self._client = chromadb.HttpClient(
                host=host,
                port=int(port or (443 if secure else 8000)),
                ssl=secure,
                settings=Settings(anonymized_telemetry=False),
            )
            hnsw = {"space": "cosine"}
            self._collection = self._client.get_or_create_collection(
                self._name, configuration={"hnsw": hnsw}, embedding_function=None
            )
        return self._collection

    def _ask(self, call: Callable[[], T]) -> T:
        """Call the server, waiting for one that is away.

        Raises:
            StoreError: kind `index_away` after the patience is used up.
        """
        deadline = time.monotonic() + self._patience_s
        pause = 0.1
        while True:
            try:
                return call()
            except Exception as error:
                self._client = self._collection = None
                if time.monotonic() + pause > deadline:
                    text = str(error).strip().splitlines() or [type(error).__name__]
                    raise StoreError(
                        f"the Chroma server {self.place} does not answer ({text[0][:120]}).",
                        hint="Start it again and go on with --resume; the memory itself is in the store, safe.",
                        kind="index_away",
                    ) from error
                logging.getLogger("lamarck.memory").warning("waiting for Chroma server %s", self.place)
                time.sleep(pause)
                pause = min(2 * pause, 2.0)
