"""Playing the tasks of a generation with what its parent passes on."""

from __future__ import annotations

import shutil
from pathlib import Path

from ...agent.evolution.generation import Figures, Generation
from ...config import RunConfig, TasksetConfig
from ...config_evolve import EvolveConfig
from ...evals.figures.played import Played
from ...evals.metrics import wilson
from ...memory.bank import Memory
from ...release_memory import FILE, copy_memory
from ...releases import Releases
from .alarms import signs
from .home import Home
from .playing import attempts, played

COLLECT, MEMORY = "collect", "memory"


class Collecting:
    """The phase `collect`.

    Args:
        home: of the evolution.
        config: its settings.
        releases: of the same home.
        quiet: show failures only.
    """

    def __init__(self, home: Home, config: EvolveConfig, releases: Releases, *, quiet: bool) -> None:
        self._home, self._config, self._releases, self._quiet = home, config, releases, quiet

    async def collect(self, now: Generation, tasks: TasksetConfig) -> Figures:
        """Play these tasks, or go on playing them.

        Raises:
            LamarckError: they cannot be played.
        """
        folder = self._home.generation(now.number)
        config = self.config_of(now, tasks)
        directory = await played(config, folder / COLLECT, f"generation {now.number}: playing", quiet=self._quiet)
        found = Played.read(directory)
        ended, solved = found.total.episodes, found.total.successes
        low, high = wilson(solved, ended)
        return {
            "attempts": ended,
            "solved": solved,
            "success": solved / ended if ended else None,
            "interval": [low, high],
            "lost": found.total.failed,
            "tokens": found.total.usage.tokens,
            "cost_usd": round(found.total.usage.cost_usd, 6),
            **signs(attempts(directory)),
        }

    def config_of(self, now: Generation, tasks: TasksetConfig) -> RunConfig:
        """Return how a generation plays: as its parent does, with a copy of the parent's memory to learn into."""
        run, learn = self._config.run, self._config.learn
        parent = self._releases.get(now.parent)
        there = self._releases.folder(parent.id)
        memory = self._memory(now) if learn.memory or parent.memory_snapshot is not None else None
        mode = "off" if memory is None else "explore" if learn.memory else "read"
        return run.model_copy(
            update={
                "taskset": tasks,
                "model": run.model.model_copy(
                    update={
                        "adapter": str(there / "adapter") if parent.adapter is not None else None,
                        "temperature": run.model.temperature if learn.temperature is None else learn.temperature,
                    }
                ),
                "memory": run.memory.model_copy(
                    update={"mode": mode, "path": str(memory) if memory is not None else None}
                ),
                "collect": run.collect.model_copy(update={"seed": run.collect.seed + now.number}),
            }
        )

    def _memory(self, now: Generation) -> Path:
        """Return the memory of a generation: a copy of its parent's, made once and whole; a new one without."""
        folder = self._home.generation(now.number) / MEMORY
        if folder.exists():
            return folder
        parent = self._releases.get(now.parent)
        beside = folder.with_name(f".{folder.name}-new")
        shutil.rmtree(beside, ignore_errors=True)
        beside.mkdir(parents=True)
        if parent.memory_snapshot is not None:
            copy_memory(self._releases.folder(parent.id) / MEMORY / FILE, beside / FILE)
        else:
            Memory.open(self._config.run.memory, beside).close()
        beside.rename(folder)
        return folder
