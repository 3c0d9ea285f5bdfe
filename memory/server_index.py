"""A Chroma server as index."""

from __future__ import annotations

import contextlib
import functools
import json
import logging
import socket
import time
import uuid
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

from ..errors import ConfigError, StoreError
from .chroma import BATCH, Broken, Hit, Mark, Page, Pages, hits_of, trusted
from .embedding import Embedder, need
from .embedding_function import embedding_function
from .exact import EXACT, Exact

if TYPE_CHECKING:
    from .embedding import Matrix

T = TypeVar("T")
log = logging.getLogger("lamarck.memory")
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
        self._exact = Exact()

    def mark(self) -> Mark | None:
        """Return what the collection says of itself."""
        return self._ask(lambda: _mark_of(self._open()))

    def search(self, vectors: Matrix, k: int, since: Mark) -> list[list[Hit]]:
        """Return the k nearest of each vector."""

        def ask() -> list[list[Hit]]:
            collection = self._open()
            # Its metadata are as old as this object; a collection that was replaced since is not found under its id,
            # and then opened anew.
            mark = _mark_of(collection)
            trusted(mark, since, self.place)
            # All vectors come as JSON, hence fewer of them; counting shows that the server is there and holds them.
            if mark is not None and mark.size <= EXACT // 4 and collection.count() >= mark.size:
                return self._exact.search(collection, (collection.id, mark.generation, mark.upto), vectors, k)
            return hits_of(collection.query(query_embeddings=vectors, n_results=k, include=["distances"]))

        return self._ask(ask)

    def extend(self, page: Page, since: Mark) -> None:
        """Add texts, then say so in the collection's metadata."""
        self._collection = None  # with the metadata that others have written
        before = self.mark()
        trusted(before, since, self.place)
        now = before if before is not None else since._replace(upto=0)
        self._put(self._open, page)
        self._publish(self._open, now._replace(upto=max(page.upto, now.upto)))

    def rebuild(self, pages: Pages, since: Mark) -> None:
        """Build a second collection, and give it the name of the first one at the end."""
        name = f"{self._name}-{uuid.uuid4().hex[:8]}"
        made: list[Any] = []

        def building() -> Any:
            self._connect()
            if not made:
                made.append(self._collect(name))
            return made[0]

        upto = 0
        while page := pages(upto):
            self._put(building, page)
            upto = page.upto
        self._publish(building, since._replace(upto=upto))

        def swap() -> None:
            self._connect()
            if self._name in {collection.name for collection in self._client.list_collections()}:
                self._client.delete_collection(self._name)
            building().modify(name=self._name)

        self._ask(swap)
        self._collection = None

    def _put(self, collection: Callable[[], Any], page: Page) -> None:
        size = min(BATCH, int(self._ask(lambda: collection() and self._client.get_max_batch_size())))
        for start in range(0, len(page.ids), size):
            part = slice(start, start + size)
            self._ask(functools.partial(_upsert, collection, list(page.ids[part]), page.vectors[part]))

    def _publish(self, collection: Callable[[], Any], mark: Mark) -> None:
        size = self._ask(lambda: int(collection().count()))
        text = json.dumps(mark._replace(size=size)._asdict())
        self._ask(lambda: collection().modify(metadata={"lamarck": text}))

    def close(self) -> None:
        """Close the client."""
        if self._client is not None:
            sessions = self._sessions()
            with contextlib.suppress(Exception):
                self._client.close()
            for session in sessions:
                session.close()
        self._client = self._collection = None

    def _open(self) -> Any:
        self._connect()
        if self._collection is None:
            self._collection = self._collect(self._name)
        return self._collection

    def _connect(self) -> None:
        if self._client is not None:
            return
        import chromadb
        import httpx
        from chromadb.config import Settings

        # Chroma's client asks the server while it is made, and leaves its socket open when that fails.
        with socket.create_connection((self._host, self._port), timeout=TIMEOUT_S):
            pass
        self._client = chromadb.HttpClient(
            host=self._host,
            port=self._port,
            ssl=self.place.startswith("https://"),
            settings=Settings(anonymized_telemetry=False),
        )
        for session in self._sessions():
            session.timeout = httpx.Timeout(TIMEOUT_S)  # Chroma sets none, and would wait for ever

    def _sessions(self) -> list[Any]:
        """Return the connections of Chroma's client and of its admin client, which Chroma 1.5 does not close."""
        sides = (self._client, getattr(self._client, "_admin_client", None))
        found = [getattr(getattr(side, "_server", None), "_session", None) for side in sides]
        return [session for session in found if session is not None]

    def _collect(self, name: str) -> Any:
        return self._client.get_or_create_collection(
            name, configuration={"hnsw": {"space": "cosine"}}, embedding_function=embedding_function(self._embedder)
        )

    def _ask(self, call: Callable[[], T]) -> T:
        """Call the server, waiting for one that is away.

        Raises:
            Broken: the index lacks what it should hold.
            StoreError: kind `index_away` after the patience is used up, `index` when the server refuses.
        """
        deadline = time.monotonic() + self._patience_s
        pause = 0.1
        while True:
            try:
                return call()
            except (Broken, StoreError):
                raise
            except Exception as error:
                self._collection = None  # a server that comes back empty gives it another id
                text = (str(error).strip().splitlines() or [type(error).__name__])[0][:120]
                if _refused(error):
                    raise StoreError(f"the Chroma server {self.place} refuses: {text}.", kind="index") from error
                if time.monotonic() + pause > deadline:
                    raise StoreError(
                        f"the Chroma server {self.place} does not answer ({text}).",
                        hint="Start it again and go on with --resume; the memory itself is in the store, safe.",
                        kind="index_away",
                    ) from error
                log.warning("waiting for Chroma server %s", self.place)
                time.sleep(pause)
                pause = min(2 * pause, 2.0)


def _mark_of(collection: Any) -> Mark | None:
    metadata = collection.metadata or {}
    try:
        return Mark(**json.loads(metadata["lamarck"])) if "lamarck" in metadata else None
    except (ValueError, TypeError) as error:
        raise Broken(f"its metadata is damaged ({error})") from error


def _upsert(collection: Callable[[], Any], ids: list[str], vectors: Matrix) -> None:
    collection().upsert(ids=ids, embeddings=vectors)


def _refused(error: Exception) -> bool:
    """Say whether asking again cannot help: the server answered that the request is wrong or not allowed."""
    from chromadb.errors import ChromaError, NotFoundError

    # A collection that was replaced is not found under its old id; that is worth another try.
    return isinstance(error, ChromaError) and not isinstance(error, NotFoundError) and 400 <= error.code() < 500
