"""BM25 beside the vectors: SQLite's FTS5 in a file of the index folder, rebuilt from the store like the rest."""

from __future__ import annotations

import contextlib
import logging
import re
import sqlite3
from collections.abc import Sequence
from pathlib import Path

from ..errors import StoreError, boundary
from .chroma import Hit
from .reading import Reading

log = logging.getLogger("lamarck.memory")

PAGE = 5000
WORD = re.compile(r"\w+", re.UNICODE)
DAMAGE = ("malformed", "not a database", "no such table", "no such column", "corrupt", "disk image")
"""What says that the file itself is broken; a full disk or a busy file says something else."""
MOST_WORDS = 64
"""Words of a query that are looked up; a whole page as query would touch every text."""


class LexicalIndex:
    """Ranks the texts that items apply to by BM25.

    Several processes may use one file: SQLite orders their writes, and adding an item again changes nothing.

    Args:
        path: the file, made if missing.
        reading: the memory's tables.
    """

    def __init__(self, path: Path, reading: Reading) -> None:
        self._path = path
        self._reading = reading
        self._connection = self._open()

    def search(self, query: str, k: int) -> list[Hit]:
        """Return the k best texts with scores in (0, 1], the best one's being 1.

        Raises:
            StoreError: the file cannot be used.
        """
        words = list(dict.fromkeys(word.lower() for word in WORD.findall(query)))[:MOST_WORDS]
        if not words:
            return []
        match = " OR ".join(f'"{word}"' for word in words)
        try:
            return self._search(match, k)
        except sqlite3.DatabaseError as error:
            if not any(words in str(error) for words in DAMAGE):
                raise StoreError(f"lexical index {self._path}: {error}.", kind="index") from error
            log.warning("lexical index %s is damaged (%s); building it anew from the store", self._path, error)
        self.drop()
        try:
            return self._search(match, k)
        except sqlite3.DatabaseError as error:
            raise StoreError(f"lexical index {self._path}: {error}.", kind="index") from error

    def _search(self, match: str, k: int) -> list[Hit]:
        self.catch_up()
        # FTS5's rank is bm25() with its sign turned, so that better is smaller.
        query = "SELECT id, rank FROM texts WHERE texts MATCH ? ORDER BY rank LIMIT ?"
        rows = self._connection.execute(query, (match, k)).fetchall()
        best = -rows[0][1] if rows else 0.0
        return [Hit(ident, -rank / best) for ident, rank in rows] if best > 0 else []

    def catch_up(self) -> None:
        """Take in the items that were added since."""
        newest = self._reading.newest()
        seen = self._connection.execute("SELECT upto FROM mark").fetchone()[0]
        while seen < newest and (rows := self._reading.fresh(seen, "", PAGE)):
            self._extend([(row.seq, row.text_id, row.text) for row in rows])
            seen = rows[-1].seq

    def clear(self) -> None:
        """Empty it, also for the others that have it open; `catch_up` fills it again.

        Raises:
            StoreError: the file cannot be written.
        """
        with boundary(StoreError, f"lexical index {self._path}", sqlite3.Error, kind="index"):
            self._connection.executescript(
                "BEGIN IMMEDIATE; DELETE FROM texts; DELETE FROM known; UPDATE mark SET upto = 0; COMMIT"
            )

    def drop(self) -> None:
        """Replace a damaged file; `catch_up` fills the new one."""
        self.close()
        for suffix in ("", "-wal", "-shm"):
            Path(f"{self._path}{suffix}").unlink(missing_ok=True)
        self._connection = self._open()

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def _extend(self, rows: Sequence[tuple[int, str, str]]) -> None:
        cursor = self._connection.cursor()
        cursor.execute("BEGIN IMMEDIATE")
        try:
            seen = cursor.execute("SELECT upto FROM mark").fetchone()[0]
            # Another process may have been faster with some of them.
            for number, ident, text in (row for row in rows if row[0] > seen):
                if cursor.execute("INSERT OR IGNORE INTO known VALUES (?)", (ident,)).rowcount:
                    cursor.execute("INSERT INTO texts (rowid, id, text) VALUES (?, ?, ?)", (number, ident, text))
            cursor.execute("UPDATE mark SET upto = max(upto, ?)", (rows[-1][0],))
            cursor.execute("COMMIT")
        except BaseException:
            with contextlib.suppress(sqlite3.Error):
                cursor.execute("ROLLBACK")
            raise

    def _open(self) -> sqlite3.Connection:
        try:
            return self._connected()
        except sqlite3.DatabaseError as error:
            if not any(words in str(error) for words in DAMAGE):
                raise StoreError(f"lexical index {self._path}: {error}.", kind="index") from error
            for suffix in ("", "-wal", "-shm"):
                Path(f"{self._path}{suffix}").unlink(missing_ok=True)
        try:
            return self._connected()
        except sqlite3.Error as error:
            raise StoreError(f"lexical index {self._path}: {error}.", kind="index") from error

    def _connected(self) -> sqlite3.Connection:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        connection = sqlite3.connect(self._path, timeout=20.0, isolation_level=None, check_same_thread=False)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute("CREATE VIRTUAL TABLE IF NOT EXISTS texts USING fts5(id UNINDEXED, text, tokenize='porter')")
        connection.execute("CREATE TABLE IF NOT EXISTS known (id TEXT PRIMARY KEY) WITHOUT ROWID")
        connection.execute("CREATE TABLE IF NOT EXISTS mark (upto INTEGER NOT NULL)")
        connection.execute("INSERT INTO mark SELECT 0 WHERE NOT EXISTS (SELECT 1 FROM mark)")
        return connection
