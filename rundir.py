"""A run is one directory: `run.toml`, `store.db`, `checkpoints.db`, `logs/`; one process writes it at a time."""

from __future__ import annotations

import contextlib
import logging
import os
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from .config import RunConfig
from .core import content_id
from .errors import ConfigError, StoreError
from .locks import FileLock
from .whole import write_whole

FREE = frozenset(
    {
        "collect.attempts",
        "collect.concurrency",
        "collect.environment_timeout_s",
        "collect.max_failures",
        "model.api_key_env",
        "model.max_concurrency",
        "model.retries",
        "model.threads",
        "model.timeout_s",
        "model.vllm.gpu_memory",
        "model.vllm.lora_rank",
        "model.vllm.port",
        "model.vllm.python",
        "model.vllm.sleep",
        "model.vllm.start_s",
    }
)
"""Settings that may differ when a run is resumed: they change how a run gets on, not what it finds."""


class RunDirectory:
    """The folder of one run.

    Args:
        path: the folder; made by `create`.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)

    @property
    def config_path(self) -> Path:
        """The resolved configuration."""
        return self.path / "run.toml"

    @property
    def store_path(self) -> Path:
        """The SQLite store, where the configuration names no other."""
        return self.path / "store.db"

    @property
    def checkpoints_path(self) -> Path:
        """LangGraph's checkpoints of unfinished episodes."""
        return self.path / "checkpoints.db"

    @property
    def log_path(self) -> Path:
        """What went wrong, with traces."""
        return self.path / "logs" / "run.log"

    @property
    def run_id(self) -> str:
        """Id of the run: made once, kept in the folder, so that a moved folder is still the same run.

        Raises:
            ConfigError: its file is gone or cannot be read.
        """
        file = self.path / "run.id"
        try:
            return file.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(
                f"cannot read the id of run {self.path} from {file}: {getattr(error, 'strerror', None) or error}.",
                hint="Copy the run with all its files.",
            ) from error

    def exists(self) -> bool:
        """Say whether a run has been started here."""
        return self.config_path.is_file()

    def store_url(self, config: RunConfig) -> str:
        """Return where the store of this run is."""
        return config.store if config.store is not None else str(self.store_path)

    def create(self, config: RunConfig, *, resume: bool) -> None:
        """Make the folder for a new run, or check that the run in it is the one that `config` describes.

        Raises:
            ConfigError: there is a run and `resume` is not set, there is none and it is, or the settings
                differ in something that changes results.
            StoreError: the folder cannot be written.
        """
        if self.exists():
            if not resume:
                raise ConfigError(
                    f"{self.path} already holds a run.",
                    hint="Add --resume to go on with it, or choose another --out.",
                )
            self._compare(config)
            return
        if resume:
            raise ConfigError(f"there is no run in {self.path} to resume.", hint="Leave out --resume to start one.")
        try:
            (self.path / "logs").mkdir(parents=True, exist_ok=True)
            write_whole(self.path / "run.id", content_id(str(self.path.resolve()), os.urandom(16).hex()) + "\n")
            write_whole(self.config_path, config.dump_toml())
        except OSError as error:
            raise StoreError(f"cannot write run directory {self.path}: {error.strerror}.") from error

    def load_config(self) -> RunConfig:
        """Read the configuration that the run was started with.

        Raises:
            ConfigError: there is no run here, or its `run.toml` was damaged.
        """
        if not self.exists():
            raise ConfigError(f"there is no run in {self.path}.", hint="`lamarck run --out DIR` makes one.")
        return RunConfig.load(self.config_path)

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Keep other processes from writing to this run for as long as this one lives.

        Raises:
            ConfigError: another process has the run.
        """
        with contextlib.closing(FileLock(self.path / "lock")) as lock:
            if not lock.acquire(wait=False):
                holder = lock.noted() or "another process"
                raise ConfigError(f"run {self.path} is in use by process {holder}.", hint="Wait for it, or stop it.")
            lock.note(str(os.getpid()))
            yield

    @contextlib.contextmanager
    def logging(self) -> Iterator[None]:
        """Send the package's log to `logs/run.log` while the run goes on."""
        self.log_path.parent.mkdir(parents=True, exist_ok=True)
        handler = logging.FileHandler(self.log_path, encoding="utf-8", delay=True)
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s %(message)s"))
        logger = logging.getLogger("lamarck")
        propagate, logger.propagate = logger.propagate, False
        logger.addHandler(handler)
        try:
            yield
        finally:
            logger.removeHandler(handler)
            logger.propagate = propagate
            handler.close()

    def _compare(self, config: RunConfig) -> None:
        try:
            before = RunConfig.model_validate(tomllib.loads(self.config_path.read_text(encoding="utf-8")))
        except (OSError, tomllib.TOMLDecodeError, ValidationError) as error:
            raise ConfigError(f"{self.config_path} cannot be read: {error}.") from error
        same_settings(self.path, before, config, FREE)


def same_settings(place: Path, before: BaseModel, now: BaseModel, free: frozenset[str]) -> None:
    """Make sure that what is resumed goes on with the settings it was started with.

    Args:
        place: the folder, for the message.
        before: the settings it was started with.
        now: those it is resumed with.
        free: dotted keys that may differ.

    Raises:
        ConfigError: they differ in something else.
    """
    old, new = flatten(before.model_dump(mode="json")), flatten(now.model_dump(mode="json"))
    binding = [key for key in sorted(old | new) if old.get(key) != new.get(key) and key not in free]
    if binding:
        key = binding[0]
        raise ConfigError(
            f"cannot resume {place}: {key} was {old.get(key)!r} and is {new.get(key)!r} now"
            + (f" (and {len(binding) - 1} more)." if len(binding) > 1 else "."),
            hint="Resume with the settings it was started with, or start anew in another --out.",
        )


def flatten(tree: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return `{"a.b": value}` for a nested mapping."""
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        if isinstance(value, dict):
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            flat[prefix + key] = value
    return flat
