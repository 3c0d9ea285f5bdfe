"""What releases come to on the games that they are judged by."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from ...agent.tasksets import load_taskset
from ...agent.verifiers.blinded import blind_task
from ...config import TasksetConfig
from ...config_evolve import EvolveConfig
from ...core import Task
from ...errors import ConfigError
from ...evals.figures.compare import Side
from ...evals.figures.outcomes import Sample
from ...evals.figures.played import Played
from ...evals.figures.summary import infrastructure
from ...evals.gate.evidence import Environment
from ...evals.gate.held_out import names, names_in
from ...rundir import RunDirectory
from ..screen import Screen
from ..wire import select
from .home import Home
from .others import folder_of
from .playing import PLAYED, as_released, played


class Sides:
    """Lets releases play. What one has played is kept with it, and not played again for the next candidate.

    Args:
        home: of the evolution.
        config: its settings.
        quiet: show failures only.
        screen: what bars are part of, where they are not alone.
    """

    def __init__(self, home: Home, config: EvolveConfig, *, quiet: bool, screen: Screen | None = None) -> None:
        self._home, self._config, self._quiet, self._screen = home, config, quiet, screen
        self._known: dict[Path, tuple[Sample, ...]] = {}
        """What complete runs came to; every look asks for those before it again."""

    async def environment(
        self,
        pair: tuple[str, str],
        name: str,
        config: TasksetConfig,
        asked: Sequence[Task],
        enough: Callable[[], bool] = lambda: False,
    ) -> Environment:
        """Let both releases play these tasks of an environment, or until there is enough.

        Args:
            pair: the release in force, and the candidate.
            name: of the environment.
            config: of the environment.
            asked: the tasks.
            enough: asked before each further chunk of them that was not begun yet.

        Raises:
            LamarckError: they cannot be played.
        """
        taskset = load_taskset(config.name, config.options)
        incumbent = await self.side(pair[0], "incumbent", name, config, asked, enough)
        candidate = await self.side(pair[1], "candidate", name, config, asked, enough)
        known = names_in(taskset, asked)
        if self._config.run.verify.withhold:
            # What was played has no truth in the stores, so it is told again by what is left without.
            blind = names([blind_task(task) for task in asked])
            known = {ident: tuple(dict.fromkeys((*found, *blind[ident]))) for ident, found in known.items()}
        return Environment(name, incumbent, candidate, known)

    async def side(
        self,
        release_id: str,
        called: str,
        name: str,
        config: TasksetConfig,
        tasks: Sequence[Task],
        enough: Callable[[], bool] = lambda: False,
    ) -> Side:
        """Let a release play tasks, in runs of a chunk each, and return what came of it.

        Args:
            release_id: who plays.
            called: what it is called.
            name: of the environment.
            config: of the environment.
            tasks: which; those that are not played are told as unfinished.
            enough: asked before each chunk but the first that was not begun yet.

        Raises:
            LamarckError: they cannot be played.
        """
        samples: list[Sample] = []
        asked = [task.id for task in tasks]
        for start, folder, ids in self._runs(release_id, name, asked):
            # What lies there costs nothing, and what was begun before a kill comes to its end.
            if start and not RunDirectory(folder).exists() and enough():
                break
            chunk = config.model_copy(update={"ids": ids, "limit": None})
            run = as_released(self._home.path, release_id, chunk, self._config.run, self._config.gate.samples)
            label = f"{called} {release_id[:8]}: {name} games {start + 1} to {start + len(ids)}"
            known = self._known.get(folder)
            if known is None:
                directory = await played(run, folder, label, quiet=self._quiet, screen=self._screen)
                known = Played.read(directory).samples
            if (folder / PLAYED).exists():  # else infrastructure ended some, which are played again when asked again
                self._known[folder] = known
            samples += known
        wanted = frozenset(asked)
        samples = [one for one in samples if one.task_id in wanted]
        return Side(called, tuple(samples), infrastructure(samples, len(tasks) * self._config.gate.samples))

    def begun(self, pair: tuple[str, str], name: str, tasks: Sequence[Task]) -> bool:
        """Say whether both releases have begun all runs that these tasks are played in.

        Raises:
            ConfigError: such a run is of other tasks.
        """
        asked = [task.id for task in tasks]
        return all(
            RunDirectory(folder).exists() for release_id in pair for _, folder, _ in self._runs(release_id, name, asked)
        )

    def _runs(self, release_id: str, name: str, ids: Sequence[str]) -> Iterator[tuple[int, Path, tuple[str, ...]]]:
        """Yield the runs that these tasks are played in: the number of the first task, the folder, and its tasks.

        There is one for each chunk. Where an earlier look ended within a chunk, the rest of it is a run of its own.

        Raises:
            ConfigError: such a run is of other tasks.
        """
        size, start = self._config.held_out.chunk, 0
        while start < len(ids):
            number, within = divmod(start, size)
            rest = f"-{within}" if within else ""
            folder = self._home.evaluation(release_id, f"{folder_of(name)}-{number:03d}{rest}")
            wanted = tuple(ids[start : start - within + size])
            if (run := RunDirectory(folder)).exists():
                there = run.load_config().taskset.ids
                if any(old != new for old, new in zip(there, wanted, strict=False)):
                    raise ConfigError(
                        f"{folder} has played other tasks than those that {name} has now.",
                        hint="Give the tasks back that were there, or begin anew in another --out.",
                    )
                wanted = there
            yield start, folder, wanted
            start += len(wanted)


def tasks_of(config: TasksetConfig) -> list[Task]:
    """Return the tasks that a taskset's settings select.

    Raises:
        LamarckError: there are none.
    """
    return list(select(load_taskset(config.name, config.options), config))
