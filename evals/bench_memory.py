"""How fast recall is beside a plain Chroma query on the same vectors, and what writing and rebuilding cost."""

from __future__ import annotations

import random
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..config_memory import CreditConfig, MemoryConfig, RecallConfig
from ..core import Item, Step, Task, Trajectory
from ..memory.bank import Memory
from ..memory.folder_index import FolderIndex
from ..memory.items import make_item

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Matrix = NDArray[np.float32]

DIMENSION = 384
NEAR = 0.8
"""How much of a vector is its cluster's; neighbours then have cosines of about 0.64, like those of real texts."""
PER_CLUSTER = 50
BATCH = 5000
EVENTS = 25
"""Value events for each candidate of a quarter of the queries, which are then asked again."""

Progress = Callable[[str, int, int], None]


class ClusterEmbedder:
    """Vectors by number: the n-th text lies in cluster n // 50. No model, so that a million texts take seconds."""

    name = "clusters"
    dimension = DIMENSION

    def __init__(self) -> None:
        self.seconds = 0.0
        """Time spent here; it is no part of what a write costs."""

    def embed(self, texts: Sequence[str]) -> Matrix:
        """Return unit vectors: (len(texts), 384), float32."""
        import numpy as np

        started = time.perf_counter()
        numbers = [int(text.rsplit(" ", 1)[1]) for text in texts]
        rows = np.stack([vector(number // PER_CLUSTER, number) for number in numbers])
        self.seconds += time.perf_counter() - started
        return rows


def vector(cluster: int, seed: int) -> NDArray[np.float32]:
    """Return a unit vector of a cluster: (384,), float32."""
    import numpy as np

    center = np.random.Generator(np.random.SFC64(cluster + 10**9)).standard_normal(DIMENSION)
    own = np.random.Generator(np.random.SFC64(seed)).standard_normal(DIMENSION)
    both = NEAR * center / np.linalg.norm(center) + (1 - NEAR**2) ** 0.5 * own / np.linalg.norm(own)
    unit: Matrix = (both / np.linalg.norm(both)).astype(np.float32)
    return unit


def bench_memory(
    items: int = 1000, *, queries: int = 400, folder: str | Path | None = None, progress: Progress | None = None
) -> dict[str, Any]:
    """Measure a memory of `items` items.

    Args:
        items: how many.
        queries: recalls per measurement; recall and the plain query take turns on each. All are asked twice, and
            the second pass counts; the first one's figures are called cold.
        folder: where to build it; a temporary folder if not given.
        progress: told what is being done, how far, and of how much.
    """
    say = progress or (lambda what, done, total: None)
    config = MemoryConfig(recall=RecallConfig(threshold=0.3, explore="none"), credit=CreditConfig())
    embedder = ClusterEmbedder()
    with tempfile.TemporaryDirectory(dir=folder) as place, Memory.open(config, place, embedder=embedder) as m:
        figures: dict[str, Any] = {"items": items, "dimension": DIMENSION, "queries": queries}
        started = time.perf_counter()
        for done, batch in _batches(items):
            m.remember(batch, merge=False)
            say("writing", done, items)
        figures["write_items_per_s"] = round(items / (time.perf_counter() - started - embedder.seconds))
        started = time.perf_counter()
        m.reindex(lambda done, total: say("indexing", done, total))
        figures["rebuild_s"] = round(time.perf_counter() - started, 2)
        figures["rebuild_items_per_s"] = round(items / (time.perf_counter() - started))
        asked = _queries(items, queries)
        # The first pass reads pages that nobody has asked for since they were written, on both sides.
        cold = _compare(m, asked)
        figures["cold_recall_p95_ms"] = cold["recall_p95_ms"]
        figures["cold_recall_p95_ratio"] = cold["recall_p95_ratio"]
        figures |= _compare(m, asked)
        hot = asked[: max(1, queries // 4)]
        before = _compare(m, hot * 3)
        started = time.perf_counter()
        written = _credit(m, hot)
        figures["events"] = written
        figures["write_events_per_s"] = round(written / (time.perf_counter() - started))
        after = _compare(m, hot * 3)
        figures["recall_p95_ms_before_events"] = before["recall_p95_ms"]
        figures["recall_p95_ms_after_events"] = after["recall_p95_ms"]
        # Of ratios, since the machine may have become slower for both in between.
        figures["events_p95_ratio"] = round(after["recall_p95_ratio"] / before["recall_p95_ratio"], 3)
        figures["resident_mb"] = _resident_mb()
        figures["disk_mb"] = round(sum(f.stat().st_size for f in Path(place).rglob("*") if f.is_file()) / 1e6)
    return figures


def _batches(items: int) -> Iterator[tuple[int, list[Item]]]:
    for start in range(0, items, BATCH):
        numbers = range(start, min(items, start + BATCH))
        yield numbers.stop, [make_item("episode", f"task {n}", f"how to do task {n}") for n in numbers]


def _queries(items: int, count: int) -> list[Matrix]:
    """Return query vectors in the clusters of items drawn by lot (seed 0), none of them an item's own."""
    generator = random.Random(0)
    return [vector(generator.randrange(items) // PER_CLUSTER, 10**12 + n)[None, :] for n in range(count)]


def _compare(memory: Memory, queries: Sequence[Matrix]) -> dict[str, Any]:
    backend = memory.index.backend
    assert isinstance(backend, FolderIndex)
    collection = backend.collection()
    k = memory.config.recall.candidates
    ours, plain, bare, recalled = [], [], [], 0
    for number, query in enumerate([*queries[:20], *queries]):
        times = [0.0, 0.0, 0.0]
        # Taking turns in being first, so that neither gains from a cache the other has warmed.
        for which in ((0, 1, 2), (1, 2, 0), (2, 0, 1))[number % 3]:
            started = time.perf_counter()
            if which == 0:
                recalled += len(memory.recall_near(query).items)
            elif which == 1:
                collection.query(query_embeddings=query, n_results=k)
            else:
                collection.query(query_embeddings=query, n_results=k, include=["distances"])
            times[which] = (time.perf_counter() - started) * 1000
        if number >= 20:  # the first ones warm up
            ours.append(times[0])
            plain.append(times[1])
            bare.append(times[2])
    figures: dict[str, Any] = {}
    for name, laps in (("recall", ours), ("chroma", plain), ("chroma_distances_only", bare)):
        figures[f"{name}_p50_ms"] = round(percentile(laps, 50), 3)
        figures[f"{name}_p95_ms"] = round(percentile(laps, 95), 3)
    figures["recall_p50_ratio"] = round(percentile(ours, 50) / percentile(plain, 50), 3)
    figures["recall_p95_ratio"] = round(percentile(ours, 95) / percentile(plain, 95), 3)
    figures["recalled_per_query"] = round(recalled / (len(queries) + 20), 2)
    return figures


def _credit(memory: Memory, queries: Sequence[Matrix]) -> int:
    """Give everything that these queries find EVENTS value events; return how many were written."""
    generator = random.Random(1)
    written = 0
    for number, query in enumerate(queries):
        ids = tuple(candidate.id for candidate in memory.recall_near(query).candidates)
        for event in range(EVENTS):
            name = f"{number}-{event}"
            done = memory.learn(
                Trajectory(
                    id=name,
                    run_id="bench",
                    task=Task(id=name, goal="", environment="bench"),
                    steps=(Step(index=0, observation="", recalled=ids),),
                    stop="terminated",
                    success=generator.random() < 0.5,
                )
            )
            written += len(done.rewarded) if done is not None else 0
    return written


def percentile(values: Sequence[float], percent: float) -> float:
    """Return a percentile by linear interpolation."""
    import numpy as np

    return float(np.percentile(values, percent))


def _resident_mb() -> int:
    """Return the most memory this process has held, in megabytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / 1e6 if sys.platform == "darwin" else peak / 1e3)
