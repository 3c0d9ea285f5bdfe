"""LangGraph's SQLite checkpointer, set up for episodes."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiosqlite
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import ChannelVersions, Checkpoint, CheckpointMetadata
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver

from ..errors import StoreError, boundary

KEEP = 64
"""Checkpoints written for a thread before the older ones are thrown away."""


class EpisodeSaver(AsyncSqliteSaver):
    """Keeps the latest checkpoints of each thread only, and no task-level writes.

    Every super-step of the episode graph runs a single node, so what LangGraph would log between two
    checkpoints says nothing that the next one does not say; and an episode of thousands of steps shall not
    leave thousands of copies of its state behind.
    """

    def __init__(self, connection: aiosqlite.Connection) -> None:
        super().__init__(connection)
        self._puts: dict[str, int] = {}

    async def aput(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        """Write one checkpoint; every `KEEP` of them, drop the thread's older ones."""
        saved = await super().aput(config, checkpoint, metadata, new_versions)
        thread = str(config["configurable"]["thread_id"])
        self._puts[thread] = self._puts.get(thread, 0) + 1
        if self._puts[thread] % KEEP == 0:
            async with self.lock:
                await self.conn.execute(
                    "DELETE FROM checkpoints WHERE thread_id = ? AND checkpoint_id < ?", (thread, checkpoint["id"])
                )
                await self.conn.commit()
        return saved

    async def aput_writes(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = ""
    ) -> None:
        """Do nothing; see the class."""

    async def adelete_thread(self, thread_id: str) -> None:
        """Forget a thread that has come to its end."""
        self._puts.pop(thread_id, None)
        await super().adelete_thread(thread_id)


@asynccontextmanager
async def open_checkpoints(path: Path) -> AsyncIterator[EpisodeSaver]:
    """Open (or make) the checkpoint file of a run.

    Raises:
        StoreError: the file cannot be opened or is no database.
    """
    with boundary(StoreError, f"checkpoints {path}", sqlite3.Error, OSError):
        connection = await aiosqlite.connect(path)
    try:
        with boundary(StoreError, f"checkpoints {path}", sqlite3.Error):
            # A crash of the process loses nothing under NORMAL; only a crash of the machine may lose the last
            # checkpoints, and then the steps in the store say where the episode was.
            await connection.execute("PRAGMA journal_mode = WAL")
            await connection.execute("PRAGMA synchronous = NORMAL")
            saver = EpisodeSaver(connection)
            await saver.setup()
        yield saver
    finally:
        await connection.close()
