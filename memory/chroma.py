"""Chroma, in its two forms: a folder that several processes share, and a server."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import random
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeVar

from ..errors import StoreError, boundary
from ..locks import FileLock
from .embedding import need

if TYPE_CHECKING:
    from .embedding import Matrix

T = TypeVar("T")
BATCH = 5000
SYNC = 10_000
"""Vectors after which Chroma writes its graph to disk; until then it keeps them in a log of its own."""


class Hit(NamedTuple):
    """An item and the cosine of its vector with the query's."""

    id: str
    similarity: float


class Mark(NamedTuple):
    """What an index holds."""

    embedder: str
    dimension: int
    upto: int
    """All items up to this number are in it."""
    size: int
    generation: str = ""
    """Changes with every write, so that other processes see that theirs is old."""


class Broken(Exception):
    """The index cannot be used and must be built anew."""


class Backend(Protocol):
    """Where vectors are searched."""

    place: str

    def mark(self) -> Mark | None:
        """Return what it holds; None where there is nothing."""
        ...

    def search(self, vectors: Matrix, k: int) -> list[list[Hit]]:
        """Return the k nearest of each vector.

        Raises:
            Broken: it is damaged.
            StoreError: it cannot be reached.
        """
        ...

    def extend(self, ids: Sequence[str], vectors: Matrix, mark: Mark) -> None:
        """Add vectors; doing it again changes nothing.

        Raises:
            Broken: it is damaged.
            StoreError: it cannot be reached.
        """
        ...

    def drop(self) -> None:
        """Remove everything."""
        ...

    def close(self) -> None:
        """Let go of it."""
        ...


class FolderIndex:
    """Chroma's embedded client on a folder.

    Chroma keeps its graph in each process's memory and does not see that another process has written; two such
    processes lose each other's vectors. So a lock and a generation number stand around it: who finds another
    generation opens the folder anew before using it.

    Args:
        folder: made if missing.
    """

    def __init__(self, folder: Path) -> None:
        need("chromadb")
        self.place = str(folder)
        self._folder = folder
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
            with _chroma():
                found = collection.query(query_embeddings=vectors, n_results=min(k, mark.size), include=["distances"])
        return _hits(found)

    def extend(self, ids: Sequence[str], vectors: Matrix, mark: Mark) -> None:
        """Add vectors under the exclusive lock, then say so in the mark."""
        with self._held(shared=False):
            before = self.mark()
            collection = self._current(before)
            with _chroma():
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
        with _chroma():
            import chromadb
            from chromadb.config import Settings

            # Chroma shares one system between clients of one path within a process; two of ours must stay as apart
            # as two processes are, or closing one would not refresh it. Hence a spelling of the path of its own.
            alias = str(home) + "".join(random.choice(("/.", "//.")) for _ in range(16))
            self._client = chromadb.PersistentClient(path=alias, settings=Settings(anonymized_telemetry=False))
            hnsw = {"space": "cosine", "sync_threshold": SYNC, "batch_size": 100}
            self._collection = self._client.get_or_create_collection(
                "lamarck", configuration={"hnsw": hnsw}, embedding_function=None
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
        return _hits(found)

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


def _hits(found: Any) -> list[list[Hit]]:
    return [
        [Hit(ident, 1.0 - distance) for ident, distance in zip(ids, distances, strict=True)]
        for ids, distances in zip(found["ids"], found["distances"], strict=True)
    ]


@contextlib.contextmanager
def _chroma() -> Iterator[None]:
    """Name what Chroma raises when its folder is damaged; its Rust core panics beside `Exception`."""
    try:
        yield
    except Broken:
        raise
    except BaseException as error:
        if isinstance(error, Exception) or type(error).__name__ == "PanicException":
            text = str(error).strip().splitlines() or [type(error).__name__]
            raise Broken(text[0]) from error
        raise
