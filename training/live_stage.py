"""The training half of a live round: a stage over rows of several sorts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from ..config_training import TrainConfig
from ..core import Trajectory
from ..weights import policy_version
from .adapters import Adapter, weights_id
from .base import Base, load_base
from .collate import Weighed
from .device import let_go
from .live_parts import Known
from .live_state import check_place
from .output import TrainDirectory
from .prepared import Prepared, prepare
from .quiet import hushed
from .rewarded import rewards_of
from .sources import Sources
from .stage import train
from .watching import Watch


class LiveStage:
    """Settles attempts and trains on them, with the base model loaded only while it is needed.

    Args:
        folder: the base model.
        watch: who looks on; where it stops a stage, KeyboardInterrupt leaves the round to be resumed.
    """

    def __init__(self, folder: Path, watch: Watch | None = None) -> None:
        self._folder, self.watch = folder, watch
        self._weights = ""
        self._loaded: tuple[TrainConfig, Base] | None = None

    def version(self, adapter: Path | None) -> str:
        """Return the policy version of the model with an adapter.

        Raises:
            ConfigError: it is no adapter, or damaged.
        """
        self._weights = self._weights or weights_id(self._folder)
        return policy_version(self._weights, Adapter.read(adapter).id if adapter is not None else None)

    def rewards(self, config: TrainConfig, attempts: Sequence[Trajectory]) -> Mapping[str, float]:
        """Return what attempts get by `grpo.rewards`, by their id.

        Raises:
            ConfigError, TrainingError: see `rewards_of`.
        """
        return rewards_of(config, attempts)

    def settle(self, config: TrainConfig, attempts: Sequence[Trajectory]) -> Sequence[Weighed]:
        """Return rows with their advantages; only tokenizer and limits of the model play a part.

        Raises:
            ConfigError, TrainingError: see `prepare`.
        """
        return list(prepare(config, _sources(attempts), self._base(config)).train)

    def train(self, config: TrainConfig, rows: Sequence[Weighed], known: Known, out: Path) -> Path:
        """Run a stage on rows, or go on with the one in `out`.

        Raises:
            ConfigError, TrainingError: see `stage.train`; or the live run was moved since the stage began.
            KeyboardInterrupt: the stage was stopped, behind a checkpoint or, in its last update, finished.
        """
        directory = TrainDirectory(out)
        if going_on := directory.exists():
            check_place(directory.load_config().start, config.start)
        base = self._base(config)
        self._loaded = None  # it is trained in place
        try:
            summary = train(
                config,
                replace(_sources(known.attempts), folders=known.folders),
                base,
                out,
                resume=going_on,
                watch=self.watch,
                prepared=Prepared(tuple(rows)),
                ages=known.ages,
            )
        finally:
            del base
            let_go()
        # In its last update a stage is not interrupted but finished; the rounds are stopped all the same.
        if summary.interrupted or (self.watch is not None and self.watch.stopping()):
            raise KeyboardInterrupt
        return directory.adapter

    def _base(self, config: TrainConfig) -> Base:
        if self._loaded is None or self._loaded[0] != config:
            with hushed():
                self._loaded = (config, load_base(config, self._folder))
        return self._loaded[1]


def _sources(attempts: Sequence[Trajectory]) -> Sources:
    runs = tuple(dict.fromkeys(one.run_id for one in attempts))
    return Sources(tuple(attempts), {}, runs, runs)
