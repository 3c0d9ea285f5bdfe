"""Chroma's embedded client on a folder that several processes share."""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import StoreError, boundary
from ..locks import FileLock
from .chroma import BATCH, Broken, Hit, Mark, chroma_errors, hits_of
from .embedding import Embedder, need
from .embedding_function import embedding_function

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

    def search(self, vectors: Matrix, k: int) -> list[list[Hit]]:
        """Return the k nearest of each vector."""
        with self._held(shared=True):
            mark = self.mark()
            if mark is None or not mark.size:
                return [[] for _ in vectors]
            collection = self._current(mark)
            with chroma_errors():
                found = collection.query(query_embeddings=vectors, n_results=min(k, mark.size), include=["distances"])
        return hits_of(found)

    def extend(self, ids: Sequence[str], vectors: Matrix, mark: Mark) -> None:
        """Add vectors under the exclusive lock, then say so in the mark."""
        with self._held(shared=False):
            before = self.mark()
            collection = self._current(before)
            with chroma_errors():
                for start in range(0, len(ids), BATCH):
                    part = slice(start, start + BATCH)
                    collection.upsert(ids=list(ids[part]), embeddings=vectors[part])
                count = collection.count()
            upto = max(mark.upto, before.upto if before else 0)
            after = mark._replace(upto=upto, size=count, generation=f"{time.time_ns()}-{os.getpid()}")
            temporary = self._folder / f"mark.{os.getpid()}.tmp"
            temporary.write_text(json.dumps(after._asdict()), encoding="utf-8")
            temporary.replace(self._folder / "mark.json")
            self._opened = after.generation

    def collection(self) -> Any:
        """Return Chroma's own collection, for what this class has no word for."""
        with self._held(shared=True):
            return self._current(self.mark())

    def drop(self) -> None:
        """Remove the folder's content."""
        with self._held(shared=False):
            self._shut()
            for path in self._folder.iterdir():
                if path.name == "lock":
                    continue
                shutil.rmtree(path) if path.is_dir() else path.unlink()
            self._stamp = self._mark = None

    def close(self) -> None:
        """Close the client and the lock."""
        with self._thread:
            self._shut()
            self._lock.close()

    def _current(self, mark: Mark | None) -> Any:
        """Return the collection, opened anew where another process has written since."""
        generation = mark.generation if mark else ""
        if self._collection is not None and self._opened == generation:
            return self._collection
        self._shut()
        home = self._folder / "chroma"
        if mark is not None and not home.is_dir():
            raise Broken(f"{home} is gone")
        with chroma_errors():
            import chromadb
            from chromadb.config import Settings

            # Chroma shares one system between clients of one path within a process; two of ours must stay as apart
            # as two processes are, or closing one would not refresh it. Hence a spelling of the path of its own.
            alias = str(home) + "".join(random.choice(("/.", "//.")) for _ in range(16))
            self._client = chromadb.PersistentClient(path=alias, settings=Settings(anonymized_telemetry=False))
            hnsw = {"space": "cosine", "sync_threshold": SYNC, "batch_size": 100}
            self._collection = self._client.get_or_create_collection(
                "lamarck", configuration={"hnsw": hnsw}, embedding_function=embedding_function(self._embedder)
            )
            if mark is not None and self._collection.count() != mark.size:
                raise Broken(f"{home} holds {self._collection.count()} vectors instead of {mark.size}")
        self._opened = generation
        return self._collection

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
