"""BM25 over a folder of text documents, by SQLite's FTS5. It runs nothing a model wrote, so it needs no sandbox."""

from __future__ import annotations

import asyncio
import logging
import os
import re
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path

from ..errors import ConfigError
from .tool import Tool, tool

log = logging.getLogger("lamarck.tools")

SUFFIXES = frozenset(
    {".txt", ".md", ".rst", ".py", ".json", ".jsonl", ".csv", ".tsv", ".html", ".xml", ".toml", ".yaml"}
)
PASSAGE = 1200
"""Characters of one passage, about; it ends at a paragraph."""
LARGEST = 20_000_000
"""Bytes of a file; larger ones are left out."""
MOST_WORDS = 32
WORD = re.compile(r"\w+", re.UNICODE)


class Documents:
    """The passages of a folder's text files, indexed in memory when they are first searched.

    Args:
        folder: searched with all folders below it; links that lead out of it are not followed.

    Raises:
        ConfigError: there is no such folder.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        if not self.folder.is_dir():
            raise ConfigError(f"there is no folder of documents {folder}.", hint="Set tools.documents.")
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None

    def search(self, query: str, k: int) -> list[tuple[str, str]]:
        """Return path and text of the k best passages."""
        words = list(dict.fromkeys(WORD.findall(query.lower())))[:MOST_WORDS]
        if not words:
            return []
        # Quoted, so that no word is an operator of the query language.
        quoted = " OR ".join(f'"{word}"' for word in words)
        with self._lock:
            rows = self._index().execute(
                "SELECT path, text FROM passages WHERE passages MATCH ? ORDER BY rank LIMIT ?", (quoted, k)
            )
            return [(str(path), str(text)) for path, text in rows]

    def close(self) -> None:
        """Let go of the index."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    def _index(self) -> sqlite3.Connection:
        if self._connection is None:
            made = sqlite3.connect(":memory:", check_same_thread=False)
            made.execute("CREATE VIRTUAL TABLE passages USING fts5(path UNINDEXED, text, tokenize='porter unicode61')")
            try:
                made.executemany("INSERT INTO passages VALUES (?, ?)", self._passages())
            except BaseException:
                made.close()
                raise
            self._connection = made
        return self._connection

    def _passages(self) -> Iterator[tuple[str, str]]:
        root = self.folder.resolve()
        for path in sorted(self.folder.rglob("*")):
            if path.suffix.lower() not in SUFFIXES or not path.is_file() or root not in path.resolve().parents:
                continue
            if path.stat().st_size > LARGEST:
                continue
            name = os.fsencode(path.relative_to(self.folder)).decode("utf-8", "replace")
            try:
                text = path.read_text(encoding="utf-8", errors="replace")
            except OSError as error:
                log.warning("%s is left out of the search: %s", path, error.strerror)
                continue
            for passage in passages(text):
                yield name, passage


def passages(text: str, size: int = PASSAGE) -> Iterator[str]:
    """Cut a text into passages of about `size` characters, at paragraphs where there are some."""
    held = ""
    for paragraph in re.split(r"\n\s*\n|(?<=\n)(?=#)", text):
        while len(paragraph) > 2 * size:
            end = paragraph.rfind(" ", 0, size) + 1 or size
            yield (held + paragraph[:end]).strip()
            held, paragraph = "", paragraph[end:]
        if held and len(held) + len(paragraph) > size:
            yield held.strip()
            held = ""
        held += paragraph.strip() + "\n\n"
    if held.strip():
        yield held.strip()


def search_tool(documents: Documents) -> Tool:
    """Return the tool that searches documents."""

    @tool(name="search")
    async def search(query: str, k: int = 3) -> str:
        """Search the documents and read the passages that fit best.

        Args:
            query: words to look for.
            k: how many passages, 1 to 10.
        """
        found = await asyncio.to_thread(documents.search, query, min(max(k, 1), 10))
        if not found:
            return "nothing found"
        return "\n\n".join(f"[{number}] {path}\n{text}" for number, (path, text) in enumerate(found, 1))

    return search
