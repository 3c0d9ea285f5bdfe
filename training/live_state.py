"""Where live training stands: one small file, written whole after each phase."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from ..errors import ConfigError, TrainingError
from ..whole import write_whole

FILE = "live.json"
BELOW = 4
"""Parts of an adapter's path below the folder of a live run: rounds/NNN/train/adapter."""


class Round(BaseModel):
    """What came of one round, for tables and for going on."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    number: int
    """From 1."""
    asks: int
    """How often tasks were played."""
    attempts: int = 0
    """Attempts with an outcome."""
    failed: int = 0
    """Attempts that infrastructure ended."""
    solved: int = 0
    groups: int = 0
    informative: int = 0
    """Groups whose attempts differ."""
    fresh_rows: int = 0
    replayed_rows: int = 0
    imitated_rows: int = 0
    tokens: int = 0
    """Prompt and completion tokens of the attempts."""
    collect_seconds: float = 0.0
    train_seconds: float = 0.0
    policy: str = ""
    """Version of the policy that played."""
    adapter: str = ""
    """Folder of the adapter that came of it, below the folder of the live run; empty until it is trained."""

    @property
    def success(self) -> float | None:
        """Share of the attempts that were solved: on training tasks, by the policy before this round's update."""
        return self.solved / self.attempts if self.attempts else None


class LiveState(BaseModel):
    """All that a live run needs to go on after it was killed."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal[1] = 1
    rounds: tuple[Round, ...] = ()
    """The last one may be collected and not yet trained."""

    @property
    def finished(self) -> tuple[Round, ...]:
        """Rounds that are collected and trained."""
        return tuple(one for one in self.rounds if one.adapter)

    @property
    def collected(self) -> Round | None:
        """The round that is collected and still to be trained."""
        return self.rounds[-1] if self.rounds and not self.rounds[-1].adapter else None

    @property
    def number(self) -> int:
        """The round that is next to be finished, from 1."""
        return len(self.finished) + 1

    def put(self, found: Round) -> LiveState:
        """Return the state with a round added, or replaced where it is there."""
        return self.model_copy(update={"rounds": (*(one for one in self.rounds if one.number != found.number), found)})

    def parents(self) -> dict[str, str | None]:
        """Return policy version -> the one before it."""
        versions = [one.policy for one in self.rounds]
        return dict(zip(versions, [None, *versions[:-1]], strict=True))

    def save(self, out: Path) -> None:
        """Write the state.

        Raises:
            TrainingError: the folder cannot be written.
        """
        try:
            out.mkdir(parents=True, exist_ok=True)
            write_whole(out / FILE, self.model_dump_json(indent=2) + "\n")
        except OSError as error:
            raise TrainingError(f"cannot write {out / FILE}: {error.strerror}.") from error

    @classmethod
    def read(cls, out: Path) -> LiveState:
        """Read the state; a new one where there is none.

        Raises:
            TrainingError: it is damaged.
        """
        try:
            return cls.model_validate_json((out / FILE).read_text(encoding="utf-8"))
        except FileNotFoundError:
            return cls()
        except (OSError, ValidationError, ValueError) as error:
            raise TrainingError(
                f"{out / FILE} cannot be read.", hint="Start a new live run in another --out."
            ) from error


def check_place(begun: str | None, now: str | None) -> None:
    """Make sure that a phase that is gone on with finds the adapter it began with where it was.

    Args:
        begun: the adapter's folder in the settings that the phase was begun with.
        now: the same as it would be set now.

    Raises:
        ConfigError: the live run was moved in between; other differences are for others to name.
    """
    if begun is None or now is None or begun == now:
        return
    before, after = Path(begun), Path(now)
    if before.parts[-BELOW:] == after.parts[-BELOW:] and before.parts[-BELOW : -BELOW + 1] == ("rounds",):
        raise ConfigError(
            f"this round was begun in {before.parents[BELOW - 1]}, and the live run is in {after.parents[BELOW - 1]} "
            "now.",
            hint="Move it back until the round has ended; between rounds it can be moved.",
        )
