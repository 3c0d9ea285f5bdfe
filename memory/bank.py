"""Memory: the one door to everything remembered."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple

from ..config_memory import MemoryConfig
from ..core import Item, ItemStatus, Trajectory
from ..errors import ConfigError, StoreError
from ..store import Store
from ..wheels import Notify
from .credit import Credited, credit
from .embedding import Embedder, build_embedder
from .folder_index import FolderIndex
from .forget import Retired, forget
from .index import Index, Progress, stored
from .items import begins
from .ledger import Ledger, Snapshot, text_id
from .lexical import LexicalIndex
from .lineage import Lineage
from .merge import Same, alike, candidates, take_in
from .reading import Head, Reading, statistics
from .recall import Recaller, Recollection
from .server_index import ServerIndex

if TYPE_CHECKING:
    from .embedding import Matrix


class Remembered(NamedTuple):
    """What became of items that were to be remembered."""

    new: tuple[str, ...]
    merged: tuple[str, ...]
    """Ids of the old items that took in an equal one."""


class Memory:
    """Items with what they are worth; several processes may share one. Open one with `Memory.open`.

    All methods may be called from any thread; they block, so a coroutine calls them in a thread.
    """

    def __init__(
        self,
        store: Store,
        config: MemoryConfig,
        embedder: Embedder,
        *,
        folder: Path | None = None,
        same: Same = alike,
        clock: Callable[[], float] = time.time,
        fresh_index: bool = False,
    ) -> None:
        if folder is None and config.index is None:
            raise ConfigError("a memory needs a folder or the URL of a Chroma server for its index.")
        self.config = config
        self.store = store
        self.embedder = embedder
        self.reading = Reading(store, config.credit.alpha)
        self.ledger = Ledger(store, clock)
        self.same = same
        """Decides whether two similar items say the same."""
        self._clock = clock
        self._lock = threading.RLock()
        head = self.head
        backend = (
            ServerIndex(config.index, head.name, embedder, patience_s=config.patience_s)
            if config.index is not None
            else FolderIndex(_folder(folder) / "index", embedder)
        )
        lexical = None
        try:
            self.index = Index(backend, embedder, self.reading, self.ledger, fresh=fresh_index)
            if config.recall.lexical > 0:
                lexical = LexicalIndex(_folder(folder) / "index" / f"lexical-{head.name[:8]}.db", self.reading)
        except BaseException:
            backend.close()
            raise
        self._lexical = lexical
        self._recaller = Recaller(self.reading, self.index, embedder, config.recall, config.credit, lexical)
        self._recaller.similarity = self.reading.running("similarity", head.lineage)
        self._closed = False

    @classmethod
    def open(
        cls,
        config: MemoryConfig,
        folder: str | Path | None = None,
        *,
        create: bool = True,
        embedder: Embedder | None = None,
        notify: Notify | None = None,
        same: Same = alike,
        fresh_index: bool = False,
    ) -> Memory:
        """Open the memory that the configuration names, or the one in `folder`.

        Args:
            config: where it is and how it works.
            folder: where it is if `config.path` does not say.
            create: make it where there is none.
            embedder: instead of the one that `config.embedding` names.
            notify: told when something has to be fetched.
            same: decides whether two similar items say the same.
            fresh_index: do not look at the index that is there; `reindex` is going to replace it.

        Raises:
            ConfigError: it has no place, or the extra `memory` is not installed.
            StoreError: there is none, it cannot be opened, or its index is of another embedder.
        """
        place = config.path if config.path is not None else folder
        if place is None and (config.store is None or config.index is None):
            raise ConfigError("a memory needs a folder.", hint="Set memory.path, or memory.store and memory.index.")
        home = Path(place) if place is not None else None
        url = config.store if config.store is not None else str(_folder(home) / "store.db")
        if home is not None and config.store is None and not create and not Path(url).is_file():
            raise StoreError(f"there is no memory in {home}.", kind="missing")
        made = embedder if embedder is not None else build_embedder(config.embedding, notify=notify)
        store = Store.open(url, create=create)
        try:
            return cls(store, config, made, folder=home, same=same, fresh_index=fresh_index)
        except BaseException:
            store.close()
            raise

    def __enter__(self) -> Memory:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Write what is fresh to the index and let go of everything."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            try:
                self.index.close()
            finally:
                if self._lexical is not None:
                    self._lexical.close()
                self.store.close()

    @property
    def head(self) -> Head:
        """Where the memory stands; another process may have added to it, or gone back to a snapshot."""
        head = self.reading.head()
        assert head is not None  # the ledger has made it
        return head

    @property
    def lineage(self) -> Lineage:
        """What is visible now."""
        return self.head.lineage

    # Use.

    def recall(
        self,
        queries: Sequence[str],
        *,
        learning: bool = False,
        seed: str = "",
        barred: Sequence[str] = (),
        lot: bool = True,
    ) -> Recollection:
        """Return what should stand in the prompt now; see `Recaller.recall`."""
        with self._lock:
            return self._recaller.recall(queries, self.head, learning=learning, seed=seed, barred=barred, lot=lot)

    def recall_near(self, vectors: Matrix) -> Recollection:
        """Return what should be recalled for vectors that are there already, as a frozen memory does."""
        with self._lock:
            return self._recaller.choose(vectors, (), self.head)

    def similar(self, one: str, other: str) -> float:
        """Return the cosine of two texts."""
        with self._lock:
            vectors = self._recaller.vectors([one, other])
        return float(vectors[0] @ vectors[1])

    def learn(self, trajectory: Trajectory) -> Credited | None:
        """Credit the items that stood in an episode's prompts; None where it gives no credit or gave it before.

        An episode that died of infrastructure, or that nobody judged, gives none.
        """
        with self._lock:
            unsaved = self._recaller.unsaved
            done = credit(self.ledger, trajectory, self.config.credit, unsaved)
            if done is not None:
                self._recaller.similarity = self._recaller.similarity.merge(unsaved)
                self._recaller.unsaved = type(unsaved)()
            return done

    def learned(self, trajectory_ids: Iterable[str]) -> set[str]:
        """Return those trajectories that were learned from already."""
        return self.reading.learned(trajectory_ids, self.lineage)

    def remember(self, items: Sequence[Item], *, merge: bool = True) -> Remembered:
        """Add items; one that says the same as an old one is merged into it instead.

        Args:
            items: their ids are made from their content; values and counts are where they begin.
            merge: look for old items that say the same; off, an item that is there already stays as it is.
        """
        if not merge:
            with self._lock:
                added = self._add(items)
            return Remembered(tuple(item.id for item in items if item.id in added), ())
        new: list[str] = []
        into: list[str] = []
        for item in items:
            least = self.config.distil.merge
            with self._lock:
                vectors = self._recaller.vectors([item.applies])
                near = candidates(item, vectors, self.reading, self.index, self.lineage, least=least)
            # Outside the lock: the check may ask a model, and others want to recall meanwhile.
            old = next((old for old in near if old.id == item.id or self.same(old, item)), None)
            with self._lock:
                if old is None:
                    new += self._add([item])
                elif take_in(self.ledger, old, item, self.config.credit.alpha):
                    into.append(old.id)
        return Remembered(tuple(new), tuple(into))

    def _add(self, items: Sequence[Item]) -> set[str]:
        credit = self.config.credit
        different = list(dict.fromkeys(item.applies for item in items))
        rows = zip(different, self._recaller.vectors(different), strict=True) if different else ()
        states = [(item, begins(item, credit.alpha, credit.q0)) for item in items]
        return self.ledger.add(states, {text_id(text): stored(row) for text, row in rows}, self.embedder.name)

    # Care.

    def forget(self, *, dry: bool = False) -> list[Retired]:
        """Retire what has proved useless, old or too many; return what and why. `dry` only says so."""
        with self._lock:
            return forget(self.reading, self.ledger, self.config.forget, self.lineage, self._clock(), dry=dry)

    def retire(self, ids: Sequence[str], reason: str = "by hand") -> int:
        """Take items out of recall; they stay in the store."""
        return self.ledger.set_status(ids, "retired", reason)

    def revive(self, ids: Sequence[str], reason: str = "by hand", status: ItemStatus = "candidate") -> int:
        """Bring retired items back."""
        return self.ledger.set_status(ids, status, reason)

    def snapshot(self, note: str = "") -> Snapshot:
        """Give the present state a number."""
        return self.ledger.snapshot(note)

    def restore(self, number: int) -> None:
        """Go back to a snapshot.

        Raises:
            StoreError: there is none of that number.
        """
        with self._lock:
            self.ledger.restore(number)
            self._recaller.similarity = self.reading.running("similarity", self.lineage)
            self._recaller.unsaved = type(self._recaller.unsaved)()

    def reindex(self, progress: Progress | None = None) -> int:
        """Build the indexes anew from the store; return how many items they hold."""
        with self._lock:
            if self._lexical is not None:
                self._lexical.clear()
                self._lexical.catch_up()
            return self.index.rebuild(progress)

    @classmethod
    def rebuild(cls, config: MemoryConfig, folder: str | Path | None = None, progress: Progress | None = None) -> int:
        """Build the indexes of a memory anew, also with another embedder or where they are too damaged to open.

        Raises:
            ConfigError, StoreError: as `open`.
        """
        with cls.open(config, folder, create=False, fresh_index=True) as memory:
            return memory.reindex(progress)

    # Reading.

    def stats(self) -> dict[str, Any]:
        """Return how much is remembered, and how it is doing."""
        self.index.catch_up()
        figures = statistics(self.reading, self.lineage)
        figures["index"] = {"place": self.index.place, **self.index.holds()}
        figures["embedding"] = {"name": self.embedder.name, "dimension": self.embedder.dimension}
        figures["snapshots"] = len(self.ledger.snapshots())
        return figures

    def item(self, which: str) -> Item:
        """Return an item with all its provenance, by its id or the beginning of it.

        Raises:
            StoreError: there is none, or there are several.
        """
        lineage = self.lineage
        found = self.reading.ids_like(which.lower(), lineage) if which else []
        if len(found) != 1:
            many = f"{which!r} fits several items; give more of the id."
            raise StoreError(many if found else f"the memory has no item {which!r}.", kind="missing")
        return self.reading.items(found, lineage, whole=True)[found[0]]


def _folder(path: Path | None) -> Path:
    if path is None:
        raise ConfigError("this memory needs a folder.", hint="Set memory.path.")
    return path
