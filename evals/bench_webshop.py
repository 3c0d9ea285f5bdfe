"""The shop measured: opening, steps, searches beside a plain tantivy query in the same run, and memory."""

from __future__ import annotations

import gc
import importlib.util
import random
import statistics
import time
import tracemalloc
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from ..errors import ConfigError
from .webshop.environment import search_words
from .webshop.search import Index
from .webshop.session import Session
from .webshop.shop import FOUND
from .webshop.taskset import WebShopTaskset

QUERIES = 200
EPISODES = 10_000
WATCHED = 200
"""Goals played in turn while memory is watched; all are played once before, so that what is remembered of them is."""
SESSIONS = 1000
"""Sessions kept at once to weigh one."""

Progress = Callable[[str, int, int], None]


def bench_webshop(
    *,
    data: str | None = None,
    products: int | None = 1000,
    queries: int = QUERIES,
    episodes: int = EPISODES,
    seconds: float = 1.0,
    tantivy: bool = True,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Measure a shop; without data, a generated one.

    A step is a click: an item opened, its pages read, options chosen, the purchase. Searches are the words of goals.
    Tantivy indexes the same texts with its English stemmer and is asked the same words; it ranks differently.

    Args:
        data: folder of WebShop's files.
        products: how many; with data, at most that many.
        queries: searches timed.
        episodes: episodes over which memory is watched.
        seconds: how long steps are measured, at least.
        tantivy: with tantivy beside it.
        progress: called with a label, how many, of how many.

    Raises:
        ConfigError: tantivy is wanted and not installed, or the data cannot be read.
    """
    say = progress or (lambda label, done, total: None)
    if tantivy:
        _require_tantivy()
    say("opening", 0, 3)
    clock = time.perf_counter()
    taskset = WebShopTaskset(data, products=products)
    taskset.shop.find("a", random.Random(0))  # The first search builds the index.
    goals = taskset.goals
    opened = time.perf_counter() - clock
    documents = [(product.asin, product.document) for product in taskset.shop.products]
    words = [search_words(goals[number * len(goals) // queries % len(goals)]) for number in range(queries)]
    say("searching", 1, 3)
    figures: dict[str, Any] = {"products": len(documents), "goals": len(goals), "open_s": round(opened, 3)}
    figures |= _searches(documents, words, tantivy)
    say("stepping", 2, 3)
    figures |= _steps(taskset, seconds)
    figures |= _memory(taskset, words, episodes, say)
    return figures


def _searches(documents: Sequence[tuple[str, str]], words: Sequence[str], tantivy: bool) -> dict[str, Any]:
    clock = time.perf_counter()
    index = Index.build(documents)
    build = time.perf_counter() - clock
    ours = _timed(index.search, words)
    figures: dict[str, Any] = {
        "index_s": round(build, 3),
        "index_mb": round(index.size_bytes / 1e6, 1),
        "search_ms_p50": round(_share(ours, 0.5), 3),
        "search_ms_p95": round(_share(ours, 0.95), 3),
    }
    if tantivy:
        clock = time.perf_counter()
        search = _tantivy(documents)
        theirs_build = time.perf_counter() - clock
        theirs = _timed(search, words)
        figures |= {
            "tantivy_index_s": round(theirs_build, 3),
            "tantivy_ms_p50": round(_share(theirs, 0.5), 3),
            "tantivy_ms_p95": round(_share(theirs, 0.95), 3),
            "index_ratio": round(build / theirs_build, 2),
            "search_ratio": round(statistics.median(ours) / statistics.median(theirs), 2),
        }
    return figures


def _timed(search: Callable[[str], object], words: Sequence[str]) -> list[float]:
    """Return the milliseconds of each search, after a few that do not count."""
    for one in words[:10]:
        search(one)
    found = []
    for one in words:
        clock = time.perf_counter()
        search(one)
        found.append((time.perf_counter() - clock) * 1e3)
    return sorted(found)


def _share(ordered: Sequence[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def _steps(taskset: WebShopTaskset, least_s: float) -> dict[str, Any]:
    """Measure resets and clicks; the searches in between are not counted."""
    environment, goals = taskset.environment(), taskset.goals
    starting = stepping = 0.0
    starts = steps = 0
    while starting + stepping < least_s:
        goal = goals[starts % len(goals)]
        task = taskset.task(starts % len(goals))
        clock = time.perf_counter()
        environment.reset(task=task)
        starting += time.perf_counter() - clock
        starts += 1
        environment.step(f"search[<q> {goal.product.query}]")
        clicks = list(_clicks(environment.session, goal.values))
        clock = time.perf_counter()
        for action in clicks:
            environment.step(action)
        stepping += time.perf_counter() - clock
        steps += len(clicks)
    return {"starts_per_s": round(starts / starting), "steps_per_s": round(steps / stepping)}


def _clicks(session: Session, values: Sequence[str]) -> Iterator[str]:
    yield "click[next >]"
    yield "click[< prev]"
    yield f"click[{session.state.hits[0].asin.lower()}]"
    for page in ("description", "features"):
        yield f"click[{page}]"
        yield "click[< prev]"
    yield from (f"click[{value}]" for value in values)
    yield "click[buy now]"


def _memory(taskset: WebShopTaskset, words: Sequence[str], episodes: int, say: Progress) -> dict[str, Any]:
    """Return what a session weighs, and what `episodes` episodes leave behind in Python's own memory."""
    environment = taskset.environment()
    goals = taskset.goals[: min(WATCHED, episodes)]

    def play(number: int) -> None:
        goal = goals[number % len(goals)]
        environment.reset(task=taskset.task(number % len(goals)))
        environment.step(f"search[{words[number % len(words)]}]")
        for action in _clicks(environment.session, goal.values):
            environment.step(action)

    tracemalloc.start()
    try:
        for number in range(len(goals)):
            play(number)
        before = _allocated()
        kept = [Session(taskset.shop, goals[number % len(goals)]) for number in range(min(SESSIONS, 10 * episodes))]
        for number, session in enumerate(kept):
            session.act(f"search[{words[number % len(words)]}]")
        weight = (_allocated() - before) / len(kept)
        kept.clear()
        del session
        before, resident = _allocated(), _resident()
        for number in range(episodes):
            play(number)
            if number % 100 == 0:
                say("watching memory", number, episodes)
        grown = _allocated() - before
        resident = _resident() - resident
    finally:
        tracemalloc.stop()
    return {
        "session_kb": round(weight / 1e3, 1),
        "episodes": episodes,
        "growth_kb": round(grown / 1e3, 1),
        "growth_resident_kb": round(resident / 1e3, 1),
    }


def _allocated() -> int:
    gc.collect()
    return tracemalloc.get_traced_memory()[0]


def _resident() -> int:
    """Return the resident memory in bytes, or 0 where the system does not say."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * 4096
    except (OSError, IndexError, ValueError):
        return 0


def _require_tantivy() -> None:
    if importlib.util.find_spec("tantivy") is None:
        raise ConfigError(
            "tantivy, to compare with, is not installed.",
            hint='Install the extra: pip install "lamarck-agents[bench]", or pass --no-tantivy.',
        )


def _tantivy(documents: Sequence[tuple[str, str]]) -> Callable[[str], object]:
    """Return a search in a tantivy index of the documents, in memory, with its English stemmer."""
    import tantivy

    schema = tantivy.SchemaBuilder()
    schema.add_text_field("id", stored=True, tokenizer_name="raw")
    schema.add_text_field("text", stored=False, tokenizer_name="en_stem")
    index = tantivy.Index(schema.build())
    writer = index.writer()
    for identity, text in documents:
        writer.add_document(tantivy.Document(id=[identity], text=[text]))
    writer.commit()
    writer.wait_merging_threads()
    index.reload()
    searcher = index.searcher()

    def search(words: str) -> list[Any]:
        plain = "".join(sign if sign.isalnum() else " " for sign in words)
        hits = searcher.search(index.parse_query(plain, ["text"]), FOUND).hits
        return [searcher.doc(address)["id"][0] for _, address in hits]

    return search
