"""A Chroma server as index."""

from __future__ import annotations

import contextlib
import json
import logging
import socket
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

from ..errors import ConfigError, StoreError
from .chroma import BATCH, Hit, Mark, hits_of
from .embedding import Embedder, need
from .embedding_function import embedding_function

if TYPE_CHECKING:
    from .embedding import Matrix

T = TypeVar("T")
TIMEOUT_S = 5.0


class ServerIndex:
    """A Chroma server; it keeps its own order between clients.

    Args:
        url: `http://host:port`.
        name: id of the memory; each has its own collection on the server.
        embedder: what Chroma is told the vectors come from.
        patience_s: how long to wait for a server that does not answer, in seconds.

    Raises:
        ConfigError: that is no URL.
    """

    def __init__(self, url: str, name: str, embedder: Embedder, *, patience_s: float = 30.0) -> None:
        need("chromadb")
        self.place = url
        self._embedder = embedder
        self._name = f"lamarck-{name[:24]}"
        self._patience_s = patience_s
        try:
            parts = urlsplit(url)
            self._host = parts.hostname or ""
            self._port = parts.port or (443 if parts.scheme == "https" else 8000)
        except ValueError as error:
            raise ConfigError(f"memory.index {url!r} is no URL: {error}.") from error
        if parts.scheme not in ("http", "https") or not self._host:
            raise ConfigError(f"memory.index {url!r} is no URL like http://host:8000.")
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
            # Chroma 1.5 closes its client, but not the connections below it and below its admin client.
            sides = (self._client, getattr(self._client, "_admin_client", None))
            sessions = [getattr(getattr(side, "_server", None), "_session", None) for side in sides]
            with contextlib.suppress(Exception):
                self._client.close()
            for session in sessions:
                if session is not None:
                    session.close()
        self._client = self._collection = None

    def _open(self) -> Any:
        if self._collection is None:
            import chromadb
            from chromadb.config import Settings

            if self._client is None:
                # Chroma's client asks the server while it is made, and leaves its socket open when that fails.
                with socket.create_connection((self._host, self._port), timeout=TIMEOUT_S):
                    pass
                self._client = chromadb.HttpClient(
                    host=self._host,
                    port=self._port,
                    ssl=self.place.startswith("https://"),
                    settings=Settings(anonymized_telemetry=False),
                )
            hnsw = {"space": "cosine"}
            self._collection = self._client.get_or_create_collection(
                self._name, configuration={"hnsw": hnsw}, embedding_function=embedding_function(self._embedder)
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
                self._collection = None  # a server that comes back empty gives it another id
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
