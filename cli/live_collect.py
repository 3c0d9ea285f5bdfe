"""Attempts of live training from a world: each draw is a run of its own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..config import RunConfig
from ..config_training import TrainConfig
from ..core import Trajectory
from ..errors import TrainingError
from ..rundir import RunDirectory
from ..store import Store
from ..training.live_parts import Draw
from ..training.live_state import check_place
from ..training.sources import ordered
from .live_draws import PLAYED, draw_folder, played, put_to_sleep, slice_of, use_adapter, with_adapter
from .watch import Watch, own_signals

if TYPE_CHECKING:
    from ..agent.vllm import VllmLLM


class Runs:
    """Plays each draw as a run of its own, in `rounds/NNN/play-NN`, which is resumed where it was interrupted.

    Args:
        run: how to play; the tasks of its split are taken slice by slice, from the beginning again at the end.
        config: says how many tasks and samples.
        out: folder of the live run.
        llm: what plays in all rounds, opened and closed by who hands it in; None opens the model anew for each draw.
        quiet: show failures only.
    """

    def __init__(
        self, run: RunConfig, config: TrainConfig, out: Path, llm: VllmLLM | None = None, *, quiet: bool = False
    ) -> None:
        self._run, self._config, self._out, self._llm, self._quiet = run, config, out, llm, quiet
        self._ids: list[str] = []

    async def collect(self, draw: Draw, adapter: Path | None) -> Sequence[Trajectory]:
        """Play what is left of a draw.

        Raises:
            LamarckError: it cannot be played, or the live run was moved since playing began.
            KeyboardInterrupt: it was stopped; what was played is kept.
        """
        # Imported here: wiring pulls in LangGraph, which `lamarck --help` can do without.
        from .wire import collect

        folder = draw_folder(self._out, draw)
        if played(folder):
            return self.load(draw)
        config, directory = self._of(draw, adapter), RunDirectory(folder)
        if going_on := directory.exists():
            check_place(directory.load_config().model.adapter, config.model.adapter)
        directory.create(config, resume=going_on)
        await use_adapter(self._llm, adapter)
        label = f"round {draw.round}, play {draw.ask + 1}"
        with (
            directory.lock(),
            directory.logging(),
            Store.open(directory.store_url(config)) as store,
            Watch(label, quiet=self._quiet) as watch,
            own_signals(),
        ):
            notify = None if self._quiet else watch.say
            result = await collect(config, directory, store, watch, notify, llm=self._llm)
        if result.interrupted:
            raise KeyboardInterrupt
        if result.stopped_by:
            raise TrainingError(
                f"playing for round {draw.round} stopped after {result.stopped_by}.",
                hint=f"See {directory.log_path}, and go on with --resume.",
            )
        if not result.failed:
            # What infrastructure ended is played again where the round is taken up before it was trained on.
            (folder / PLAYED).touch()
        return self.load(draw)

    def load(self, draw: Draw) -> Sequence[Trajectory]:
        """Return the attempts of a draw that was played.

        Raises:
            ConfigError, StoreError: its run is gone or damaged.
        """
        directory = RunDirectory(draw_folder(self._out, draw))
        with Store.open(directory.store_url(directory.load_config()), create=False) as store:
            return ordered(store.trajectories(run_id=directory.run_id))

    async def rest(self) -> None:
        """Put a server of ours to sleep, where it was started so that it can.

        Raises:
            ModelError: it refuses.
        """
        await put_to_sleep(self._llm)

    def _of(self, draw: Draw, adapter: Path | None) -> RunConfig:
        """Return the configuration of a draw: its slice of the tasks, its own seed, the adapter of the last round."""
        run = self._run
        return run.model_copy(
            update={
                "taskset": run.taskset.model_copy(update={"ids": tuple(self._slice(draw.number)), "limit": None}),
                "model": with_adapter(run.model, adapter),
                "collect": run.collect.model_copy(
                    update={"samples": self._config.live.samples, "seed": run.collect.seed + draw.number}
                ),
            }
        )

    def _slice(self, number: int) -> list[str]:
        from ..agent.tasksets import load_taskset
        from .wire import select

        if not self._ids:
            taskset = load_taskset(self._run.taskset.name, self._run.taskset.options)
            self._ids = [task.id for task in select(taskset, self._run.taskset)]
        return slice_of(self._ids, number, self._config.live.tasks)
