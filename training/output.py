"""A training stage is one directory: `train.toml`, `checkpoints/`, `adapter/`, `best/`, `logs/`, `summary.json`.

And `splices.jsonl`, where attempts were spliced for it.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..config_training import TrainConfig
from ..errors import ConfigError, TrainingError
from ..locks import FileLock
from ..rundir import same_settings
from ..whole import write_whole
from .adapters import tidy
from .wholeness import whole

FREE = frozenset(
    {
        "keep",
        "live.asks",
        "live.rounds",
        "optimizer.epochs",
        "optimizer.gradient_checkpointing",
        "optimizer.max_steps",
        "optimizer.threads",
        "report_to",
        "save_steps",
    }
)
"""Settings that may differ when a stage is resumed: how long it goes on, and what it writes on the way."""


class TrainDirectory:
    """The folder of one training stage.

    Args:
        path: the folder; made by `create`.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)

    @property
    def config_path(self) -> Path:
        """The resolved configuration."""
        return self.path / "train.toml"

    @property
    def data_path(self) -> Path:
        """What the rows were when training began."""
        return self.path / "data.json"

    @property
    def splices_path(self) -> Path:
        """Attempts that were spliced for this stage, once; see `samples.splice`."""
        return self.path / "splices.jsonl"

    @property
    def checkpoints(self) -> Path:
        """Where training can go on from."""
        return self.path / "checkpoints"

    @property
    def adapter(self) -> Path:
        """The adapter after the last update."""
        return self.path / "adapter"

    @property
    def best(self) -> Path:
        """The adapter with the lowest loss on what was held back, or the last one where nothing was."""
        return self.path / "best"

    @property
    def logs(self) -> Path:
        """TensorBoard's files."""
        return self.path / "logs"

    @property
    def summary_path(self) -> Path:
        """What was trained, on what and how far."""
        return self.path / "summary.json"

    @property
    def card_path(self) -> Path:
        """The model card."""
        return self.path / "README.md"

    def exists(self) -> bool:
        """Say whether a stage has been started here."""
        return self.config_path.is_file()

    def check(self, config: TrainConfig, *, resume: bool) -> None:
        """Make sure that this folder can take the stage that `config` describes. Writes nothing.

        Raises:
            ConfigError: there is a stage and `resume` is not set, there is none and it is, the settings differ in
                something that changes results, or the folder holds something that is no stage.
        """
        if not self.exists():
            if resume:
                raise ConfigError(
                    f"there is no training in {self.path} to resume.", hint="Leave out --resume to start it."
                )
            self._empty()
            return
        if not resume:
            raise ConfigError(
                f"{self.path} already holds a training stage.",
                hint="Add --resume to go on with it, or choose another --out.",
            )
        same_settings(self.path, self.load_config(), config, FREE)

    def create(self, config: TrainConfig, data: dict[str, Any], *, resume: bool) -> None:
        """Make the folder for a new stage, or go on in the one that is there.

        Args:
            config: the settings, written to `train.toml`.
            data: what names the rows: the same on every start.
            resume: go on with the stage in it.

        Raises:
            ConfigError: as `check`.
            TrainingError: the rows are others than at the start, or the folder cannot be written.
        """
        self.check(config, resume=resume)
        if resume:
            self._same(data)
        try:
            for folder in (self.checkpoints, self.logs):
                folder.mkdir(parents=True, exist_ok=True)
            # A stage that goes on is not finished any more, whatever an earlier end of it has said.
            for told in (self.summary_path, self.card_path):
                told.unlink(missing_ok=True)
            write_whole(self.data_path, json.dumps(data, indent=2) + "\n")
            write_whole(self.config_path, config.dump_toml())
        except OSError as error:
            raise TrainingError(f"cannot write to {self.path}: {error.strerror}.") from error

    def finished(self, config: TrainConfig, data: dict[str, Any]) -> bool:
        """Say whether the stage in this folder came to its end with just these settings and rows."""
        there = self.exists() and self.summary_path.is_file() and self.adapter.is_dir() and self.best.is_dir()
        if not there or self.load_config() != config:
            return False
        try:
            found: bool = json.loads(self.data_path.read_text(encoding="utf-8")) == data
        except (OSError, ValueError):
            return False
        return found

    def load_config(self) -> TrainConfig:
        """Read the configuration that the stage was started with.

        Raises:
            ConfigError: there is no stage here, or its `train.toml` was damaged.
        """
        if not self.exists():
            raise ConfigError(f"there is no training in {self.path}.", hint="`lamarck train sft --out DIR` makes one.")
        return TrainConfig.load(self.config_path)

    def last_checkpoint(self) -> Path | None:
        """Return the newest checkpoint that is whole; what was cut off in the middle of writing is passed over."""
        return next((folder for folder in reversed(self._checkpoints()) if whole(folder)), None)

    def sweep(self) -> list[str]:
        """Remove the checkpoints that are not whole, and return their names; adapters that were being written too."""
        for folder in (self.adapter, self.best):
            tidy(folder)
        torn = [folder for folder in self._checkpoints() if not whole(folder)]
        for folder in torn:
            shutil.rmtree(folder, ignore_errors=True)
        return [folder.name for folder in torn]

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Keep other processes from writing here for as long as this one lives.

        Raises:
            ConfigError: another process trains here.
            TrainingError: the folder cannot be written.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            held = FileLock(self.path / "lock")
        except OSError as error:
            raise TrainingError(f"cannot write to {self.path}: {error.strerror}.") from error
        with contextlib.closing(held) as lock:
            if not lock.acquire(wait=False):
                holder = lock.noted() or "another process"
                raise ConfigError(f"{self.path} is in use by process {holder}.", hint="Wait for it, or stop it.")
            lock.note(str(os.getpid()))
            yield

    def _empty(self) -> None:
        """Make sure that nothing of somebody else's lies here; what a stage leaves that was killed early may."""
        try:
            found = sorted(self.path.iterdir()) if self.path.exists() else []
            for place in (self.checkpoints, self.logs):
                found += sorted(place.iterdir()) if place.is_dir() else []
        except OSError as error:
            raise ConfigError(f"cannot use {self.path} as --out: {error.strerror}.") from error
        ours = {self.checkpoints, self.logs, self.data_path, self.splices_path, self.path / "lock"}
        if others := [place for place in found if place not in ours and not place.name.endswith(".tmp")]:
            raise ConfigError(
                f"{self.path} holds {others[0].relative_to(self.path)}, which is of no training stage.",
                hint="Choose another --out.",
            )

    def _same(self, data: dict[str, Any]) -> None:
        try:
            before = json.loads(self.data_path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return  # Killed before it was written: nothing has been trained on yet.
        if before != data:
            changed = ", ".join(f"{k} {before.get(k)} then, {v} now" for k, v in data.items() if before.get(k) != v)
            raise TrainingError(
                f"cannot resume {self.path}: what it is trained on has changed since ({changed}).",
                hint=f"Start a new stage that goes on from it with --start {self.adapter}.",
            )

    def _checkpoints(self) -> list[Path]:
        found = {}
        if self.checkpoints.is_dir():
            for folder in self.checkpoints.iterdir():
                if (name := re.fullmatch(r"checkpoint-(\d+)", folder.name)) and folder.is_dir():
                    found[int(name[1])] = folder
        return [found[step] for step in sorted(found)]
