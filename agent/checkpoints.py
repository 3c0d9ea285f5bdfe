"""LangGraph's SQLite checkpointer, set up for episodes."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import ChannelVersions, Checkpoint, CheckpointMetadata, CheckpointTuple
from langgraph.checkpoint.sqlite import SqliteSaver

from ..errors import StoreError, boundary

KEEP = 64
"""Checkpoints written for a thread before the older ones are thrown away."""


class EpisodeSaver(SqliteSaver):
    """Writes checkpoints on the event loop, keeps each thread's latest ones, and no task-level writes.

    A local write takes some 50 microseconds; handing it to another thread and back takes several times that, in
    every step of every episode. Every super-step of the episode graph runs a single node, so what LangGraph would
    log between two checkpoints says nothing that the next one does not say.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
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
        with boundary(StoreError, "writing a checkpoint", sqlite3.Error):
            saved = self.put(config, checkpoint, metadata, new_versions)
            thread = str(config["configurable"]["thread_id"])
            self._puts[thread] = self._puts.get(thread, 0) + 1
            if self._puts[thread] % KEEP == 0:
                with self.cursor() as cursor:
                    cursor.execute(
                        "DELETE FROM checkpoints WHERE thread_id = ? AND checkpoint_id < ?",
                        (thread, checkpoint["id"]),
                    )
        return saved

    async def aput_writes(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = ""
    ) -> None:
        """Do nothing; see the class."""

    async def aget_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        """Return the latest checkpoint of a thread, or None."""
        with boundary(StoreError, "reading a checkpoint", sqlite3.Error):
            return self.get_tuple(config)

    async def adelete_thread(self, thread_id: str) -> None:
        """Forget a thread that has come to its end."""
        self._puts.pop(thread_id, None)
        with boundary(StoreError, "dropping checkpoints", sqlite3.Error):
            self.delete_thread(thread_id)


@contextmanager
def open_checkpoints(path: Path) -> Iterator[EpisodeSaver]:
    """Open (or make) the checkpoint file of a run.

    Raises:
        StoreError: the file cannot be opened or is no database.
    """
    with boundary(StoreError, f"checkpoints {path}", sqlite3.Error, OSError):
        connection = sqlite3.connect(path, check_same_thread=False)
    with closing(connection):
        with boundary(StoreError, f"checkpoints {path}", sqlite3.Error):
            # A crash of the process loses nothing under NORMAL; only a crash of the machine may lose the last
            # checkpoints, and then the steps in the store say where the episode was.
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = NORMAL")
            saver = EpisodeSaver(connection)
            saver.setup()
        yield saver
