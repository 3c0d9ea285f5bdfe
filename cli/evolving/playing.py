"""Playing a run in a folder, or going on with it; the same for what is collected and what is evaluated."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from ...agent.events import Event
from ...config import RunConfig, TasksetConfig
from ...core import Trajectory
from ...errors import TrainingError
from ...release_files import OWN
from ...rundir import RunDirectory, flatten
from ...seams import LLM
from ...store import Store
from ..release_play import with_release
from ..screen import Screen
from ..watch import Watch, own_signals
from .budget import Allowance, Meter

MACHINE = frozenset(key for key in OWN if key.partition(".")[0] in ("memory", "model", "sandbox", "tools"))
"""Settings that are this machine's, whatever is played: servers, keys, sandboxes, threads, patience."""
PLAYED = "played"
"""File in a run's folder that says it is complete."""


def as_released(home: Path, release_id: str, tasks: TasksetConfig, machine: RunConfig, samples: int) -> RunConfig:
    """Return how a release is played: as it is, with this machine's servers, threads and patience.

    Raises:
        ConfigError: there is no such release.
    """
    # Releases are weighed in pairs, and probes are mostly no questions: each task has as many samples.
    collect = machine.collect.model_copy(update={"samples": samples, "allocate": "uniform"})
    own = {key: value for key, value in flatten(machine.model_dump(mode="json")).items() if key in MACHINE}
    given = RunConfig.load(None, own)
    return with_release(
        given.model_copy(update={"taskset": tasks, "collect": collect, "release": f"{home}@{release_id}"})
    )


async def played(
    config: RunConfig,
    folder: Path,
    label: str,
    *,
    llm: LLM | None = None,
    only: Collection[str] | None = None,
    allowed: Allowance | None = None,
    quiet: bool,
    screen: Screen | None = None,
) -> RunDirectory:
    """Play what is left of a run, or of these tasks of it, as far as is allowed.

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
        Watch(label, quiet=quiet, screen=screen) as watch,
        own_signals(),
    ):
        meter = Meter(allowed or Allowance(), store.headers(run_id=directory.run_id))

        def heard(event: Event) -> None:
            meter.heard(event)
            watch(event)

        say = None if quiet else watch.say
        result = await collect(config, directory, store, heard, say, llm=llm, only=only, enough=meter.enough)
    if result.interrupted:
        raise KeyboardInterrupt
    if result.stopped_by:
        raise TrainingError(
            f"{label} stopped after {result.stopped_by}.", hint=f"See {directory.log_path}, and go on with --resume."
        )
    if not result.failed and not result.unbegun and only is None:
        # What infrastructure ended is played again where the phase is taken up before it has ended.
        (folder / PLAYED).touch()
    return directory


def every(directory: RunDirectory) -> list[Trajectory]:
    """Return all attempts of a run, those that infrastructure ended included, without their steps.

    A run that was killed before it had a store has played nothing, and gets one.

    Raises:
        ConfigError, StoreError: it is damaged.
    """
    with Store.open(directory.store_url(directory.load_config())) as store:
        return list(store.headers(run_id=directory.run_id))


def attempts(directory: RunDirectory) -> list[Trajectory]:
    """Return the attempts of a run that infrastructure did not end, in an order that does not hang on when they ended.

    Raises:
        ConfigError, StoreError: it is gone or damaged.
    """
    with Store.open(directory.store_url(directory.load_config()), create=False) as store:
        found = list(store.trajectories(run_id=directory.run_id, failed=False))
    return sorted(found, key=lambda one: (one.sample, one.task.id, one.attempt))
