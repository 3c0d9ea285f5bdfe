"""Chroma's embedded client on a folder that several processes share."""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import StoreError, boundary
from ..locks import FileLock
from .chroma import BATCH, Broken, Hit, Mark, Page, Pages, chroma_errors, hits_of, trusted
from .embedding import Embedder, need
from .embedding_function import embedding_function
from .exact import EXACT, Exact

if TYPE_CHECKING:
    from .embedding import Matrix

SYNC = 10_000
"""Vectors after which Chroma writes its graph to disk; until then it keeps them in a log of its own."""


class FolderIndex:
    """Chroma's embedded client on a folder.

    Chroma keeps its graph in each process's memory and does not see that another process has written; two such
    processes lose each other's vectors. So a lock and a generation number stand around it: who finds another
    generation opens the folder anew before using it.

    Args:
        folder: made if missing.
        embedder: what Chroma is told the vectors come from.
    """

    def __init__(self, folder: Path, embedder: Embedder) -> None:
        need("chromadb")
        self.place = str(folder)
        self._folder = folder
        self._embedder = embedder
        with boundary(StoreError, f"cannot make index folder {folder}", OSError, kind="unwritable"):
            folder.mkdir(parents=True, exist_ok=True)
            self._lock = FileLock(folder / "lock")
        self._thread = threading.RLock()
        self._client: Any = None
        self._collection: Any = None
        self._opened = ""
        self._stamp: tuple[int, int] | None = None
        self._mark: Mark | None = None
        self._exact = Exact()

    def mark(self) -> Mark | None:
        """Return what the folder holds."""
        path = self._folder / "mark.json"
        try:
            seen = path.stat()
        except FileNotFoundError:
            return None
        stamp = (seen.st_mtime_ns, seen.st_ino)
        if stamp != self._stamp:
            try:
                self._mark = Mark(**json.loads(path.read_text(encoding="utf-8")))
            except (OSError, ValueError, TypeError) as error:
                raise Broken(f"{path}: {error}") from error
            self._stamp = stamp
        return self._mark

    def search(self, vectors: Matrix, k: int, since: Mark) -> list[list[Hit]]:
        """Return the k nearest of each vector."""
        with self._held(shared=True):
            mark = self.mark()
            trusted(mark, since, self.place)
            if mark is None or not mark.size:
                return [[] for _ in vectors]
            collection = self._current(mark)
            with chroma_errors(self.place):
                if mark.size <= EXACT:
                    return self._exact.search(collection, mark.generation, vectors, k)
                found = collection.query(query_embeddings=vectors, n_results=min(k, mark.size), include=["distances"])
        return hits_of(found)

    def extend(self, page: Page, since: Mark) -> None:
        """Add texts under the exclusive lock, then say so in the mark."""
        with self._held(shared=False):
            before = self.mark()
            trusted(before, since, self.place)
            now = before if before is not None else since._replace(upto=0, home="chroma")
            collection = self._current(now)
            self._put(collection, page)
            self._publish(now._replace(upto=max(page.upto, now.upto)), collection)

    def rebuild(self, pages: Pages, since: Mark) -> None:
        """Build a new folder beside the old one; only the last step keeps others waiting."""
        home = f"chroma-{uuid.uuid4().hex[:8]}"
        client, upto = self._connect(home), 0
        try:
            collection = self._collect(client)
            while page := pages(upto):
                self._put(collection, page)
                upto = page.upto
            with self._held(shared=False):
                while page := pages(upto):
                    self._put(collection, page)
                    upto = page.upto
                self._publish(since._replace(upto=upto, home=home), collection)
                self._shut()
                self._client, self._collection = client, collection
                for old in self._folder.glob("chroma*"):
                    if old.name != home:
                        shutil.rmtree(old, ignore_errors=True)
        except BaseException:
            if self._client is not client:
                client.close()
                shutil.rmtree(self._folder / home, ignore_errors=True)
            raise

    def collection(self) -> Any:
        """Return Chroma's own collection, for what this class has no word for."""
        with self._held(shared=True):
            return self._current(self.mark())

    def close(self) -> None:
        """Close the client and the lock."""
        with self._thread:
            self._shut()
            self._lock.close()

    def _current(self, mark: Mark | None) -> Any:
        """Return the collection, opened anew where another process has written since."""
        mark = mark if mark is not None else Mark("", 0, 0, home="chroma")
        if self._collection is not None and self._opened == mark.generation:
            return self._collection
        self._shut()
        home = self._folder / mark.home
        if mark.generation and not home.is_dir():
            raise Broken(f"{home} is gone")
        self._client = self._connect(mark.home)
        self._collection = self._collect(self._client)
        with chroma_errors(self.place):
            count = self._collection.count()
        if mark.generation and count != mark.size:
            raise Broken(f"{home} holds {count} vectors instead of {mark.size}")
        self._opened = mark.generation
        return self._collection

    def _connect(self, home: str) -> Any:
        with chroma_errors(self.place):
            import chromadb
            from chromadb.config import Settings

            # Chroma shares one system between clients of one path within a process; two of ours must stay as apart
            # as two processes are, or closing one would not refresh it. Hence a spelling of the path of its own.
            alias = str(self._folder / home) + "".join(random.choice(("/.", "//.")) for _ in range(16))
            return chromadb.PersistentClient(path=alias, settings=Settings(anonymized_telemetry=False))

    def _collect(self, client: Any) -> Any:
        with chroma_errors(self.place):
            hnsw = {"space": "cosine", "sync_threshold": SYNC, "batch_size": 100}
            return client.get_or_create_collection(
                "lamarck", configuration={"hnsw": hnsw}, embedding_function=embedding_function(self._embedder)
            )

    def _put(self, collection: Any, page: Page) -> None:
        with chroma_errors(self.place):
            for start in range(0, len(page.ids), BATCH):
                part = slice(start, start + BATCH)
                collection.upsert(ids=list(page.ids[part]), embeddings=page.vectors[part])

    def _publish(self, mark: Mark, collection: Any) -> None:
        """Say what the folder holds; others open it anew before they use it."""
        with chroma_errors(self.place):
            size = collection.count()
        after = mark._replace(size=size, generation=f"{time.time_ns()}-{os.getpid()}")
        temporary = self._folder / f"mark.{os.getpid()}.tmp"
        with boundary(StoreError, f"cannot write index {self.place}", OSError, kind="index"):
            temporary.write_text(json.dumps(after._asdict()), encoding="utf-8")
            temporary.replace(self._folder / "mark.json")
        self._opened = after.generation

    def _shut(self) -> None:
        if self._client is not None:
            with contextlib.suppress(Exception):
                self._client.close()
        self._client = self._collection = None

    @contextlib.contextmanager
    def _held(self, *, shared: bool) -> Iterator[None]:
        with self._thread:
            self._lock.acquire(shared=shared)
            try:
                yield
            finally:
                self._lock.release()
