"""The folder of one evolution: settings, releases, and what each generation was made of and came to.

HOME/evolve.toml               the settings
HOME/store.db, releases/       releases, promotions, reports of the gate
HOME/generations/NNN/          what a generation played, learned and trained, and its record
HOME/evaluations/RELEASE/      held-out games of a release, by whichever generation they were asked for
"""

from __future__ import annotations

from pathlib import Path

from pydantic import ValidationError

from ...agent.evolution.generation import Generation
from ...config_evolve import EvolveConfig
from ...errors import ConfigError, StoreError, boundary
from ...locks import FileLock
from ...rundir import FREE, same_settings
from ...whole import write_whole

RECORD = "generation.json"
MAY_DIFFER = (
    frozenset(f"run.{name}" for name in FREE)
    | {"generations", "held_out.limit", "held_out.seen", "budget.max_hours", "budget.max_tokens", "budget.max_cost_usd"}
    | {"run.model.threads", "train.optimizer.threads"}
)
"""Settings that may differ when an evolution is gone on with: how far it goes and is looked at, not what it finds."""


class Home:
    """The folder of one evolution.

    Args:
        path: the folder; made by `create`.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)

    @property
    def config_path(self) -> Path:
        """The resolved settings."""
        return self.path / "evolve.toml"

    def exists(self) -> bool:
        """Say whether an evolution was begun here."""
        return self.config_path.is_file()

    def generation(self, number: int) -> Path:
        """Return the folder of a generation."""
        return self.path / "generations" / f"{number:03d}"

    def evaluation(self, release_id: str, name: str) -> Path:
        """Return the folder of a run that evaluates a release."""
        return self.path / "evaluations" / release_id[:12] / name

    def lock(self) -> FileLock:
        """Keep other processes from this evolution until it is closed; the folder is made.

        Raises:
            ConfigError: another process has it.
            StoreError: the folder cannot be written.
        """
        with boundary(StoreError, f"cannot write {self.path}", OSError):
            self.path.mkdir(parents=True, exist_ok=True)
            lock = FileLock(self.path / "lock")
        if not lock.acquire(wait=False):
            lock.close()
            raise ConfigError(f"evolution {self.path} is in use by another process.", hint="Wait for it, or stop it.")
        return lock

    def create(self, config: EvolveConfig, *, resume: bool) -> None:
        """Make the folder, or take up the evolution in it with what may differ; who does so holds the lock.

        Raises:
            ConfigError: as `check` says.
            StoreError: the folder cannot be written.
        """
        self.check(config, resume=resume)
        write(self.config_path, config.dump_toml())

    def check(self, config: EvolveConfig, *, resume: bool) -> None:
        """Make sure that there is none yet, or that the one to go on with is the one that `config` describes.

        Raises:
            ConfigError: there is one and `resume` is not set, there is none and it is, or settings differ that change
                what it finds.
        """
        if self.exists():
            if not resume:
                raise ConfigError(
                    f"{self.path} already holds an evolution.", hint="Add --resume to go on with it, or another --out."
                )
            before = self.load()
            same_settings(self.path, before, config, MAY_DIFFER)
            old, new = before.held_out.limit, config.held_out.limit
            if new != old and (old is None or (new is not None and new < old)):
                raise ConfigError(
                    f"cannot resume {self.path}: held_out.limit was {old} and is {new} now.",
                    hint="It may be raised, but what was held out stays held out.",
                )
        elif resume:
            raise ConfigError(f"there is no evolution in {self.path} to resume.", hint="Leave out --resume.")

    def load(self) -> EvolveConfig:
        """Read the settings that the evolution was begun with.

        Raises:
            ConfigError: there is none here, or its `evolve.toml` was damaged.
        """
        if not self.exists():
            raise ConfigError(f"there is no evolution in {self.path}.", hint="`lamarck evolve --out HOME` begins one.")
        return EvolveConfig.load(self.config_path)

    def keep(self, now: Generation) -> None:
        """Write the record of a generation, whole or not at all."""
        write(self.generation(now.number) / RECORD, now.model_dump_json(indent=2) + "\n")

    def kept(self) -> tuple[Generation, ...]:
        """Return the records there are, the oldest first.

        Raises:
            ConfigError: one is damaged.
        """
        found = []
        for file in sorted((self.path / "generations").glob(f"*/{RECORD}")):
            try:
                found.append(Generation.model_validate_json(file.read_text(encoding="utf-8")))
            except (OSError, ValidationError, UnicodeDecodeError) as error:
                raise ConfigError(
                    f"the record {file} of a generation is damaged.",
                    hint="Remove the folder of that generation and all later ones; --resume makes them anew.",
                ) from error
        return tuple(found)


def write(file: Path, text: str) -> None:
    """Write a file whole or not at all.

    Raises:
        StoreError: it cannot be written.
    """
    with boundary(StoreError, f"cannot write {file}", OSError):
        write_whole(file, text)
