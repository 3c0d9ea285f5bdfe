"""Playing a run in a folder, or going on with it; the same for what is collected and what is evaluated."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ...config import RunConfig
from ...core import Trajectory
from ...errors import TrainingError
from ...evals.figures.played import Played
from ...rundir import RunDirectory
from ...seams import LLM
from ...store import Store
from ..watch import Watch, own_signals_no_more

PLAYED = "played"
"""File in a run's folder that says it is complete."""


async def played(config: RunConfig, folder: Path, label: str, *, llm: LLM | None = None, quiet: bool) -> RunDirectory:
    """Play what is left of a run.

    Raises:
        LamarckError: it cannot be played, or infrastructure failed again and again.
        KeyboardInterrupt: it was stopped; what was played is kept.
    """
    from ..wire import collect

    directory = RunDirectory(folder)
    if (folder / PLAYED).exists():
        return directory
    directory.create(config, resume=directory.exists())
    with (
        directory.lock(),
        directory.logging(),
        Store.open(directory.store_url(config)) as store,
        Watch(label, quiet=quiet) as watch,
    ):
        try:
            result = await collect(config, directory, store, watch, None if quiet else watch.say, llm=llm)
        finally:
            own_signals_no_more()
    if result.interrupted:
        raise KeyboardInterrupt
    if result.stopped_by:
        raise TrainingError(
            f"{label} stopped after {result.stopped_by}.", hint=f"See {directory.log_path}, and go on with --resume."
        )
    if not result.failed:
        # What infrastructure ended is played again where the phase is taken up before it has ended.
        (folder / PLAYED).touch()
    return directory


@contextmanager
def store_of(directory: RunDirectory) -> Iterator[Store]:
    """Open the store of a run that was played.

    Raises:
        ConfigError, StoreError: it is gone or damaged.
    """
    with Store.open(directory.store_url(directory.load_config()), create=False) as store:
        yield store


def attempts(directory: RunDirectory) -> list[Trajectory]:
    """Return the attempts of a run that infrastructure did not end, in an order that does not hang on when they ended.

    Raises:
        ConfigError, StoreError: it is gone or damaged.
    """
    with store_of(directory) as store:
        found = list(store.trajectories(run_id=directory.run_id, failed=False))
    return sorted(found, key=lambda one: (one.sample, one.task.id, one.attempt))


def figures(directory: RunDirectory) -> Played:
    """Return what a run amounts to.

    Raises:
        ConfigError: none of its episodes has ended.
    """
    return Played.read(directory)
