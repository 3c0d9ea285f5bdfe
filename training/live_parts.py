"""The parts that live training is handed: who plays, who trains, who looks on, and what is said between them."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

from ..config_training import TrainConfig
from ..core import Trajectory
from .collate import Weighed
from .live_state import LiveState


class Draw(NamedTuple):
    """Which tasks are asked for."""

    round: int
    """From 1."""
    ask: int
    """How often was asked in this round before."""
    number: int
    """How often was asked before, over all rounds: the next slice of the tasks, and another seed."""


class Collector(Protocol):
    """Where attempts come from."""

    def collect(self, draw: Draw, adapter: Path | None) -> Awaitable[Sequence[Trajectory]]:
        """Play, or go on playing, the tasks of a draw with an adapter (None is the model as it is)."""
        ...

    def load(self, draw: Draw) -> Sequence[Trajectory]:
        """Return the attempts of a draw that was collected before."""
        ...

    def rest(self) -> Awaitable[None]:
        """Give back what training is to have, such as the memory of a GPU, until there is something to play."""
        ...


class Known(NamedTuple):
    """What is known of the attempts that rows were made of."""

    attempts: Sequence[Trajectory]
    ages: dict[str, int]
    """Policy version -> how many policies ago it acted."""
    folders: tuple[Path, ...] = ()
    """Of the runs they come from, beside the stores of the configuration."""


class Stage(Protocol):
    """What trains."""

    def version(self, adapter: Path | None) -> str:
        """Return the policy version of the model with an adapter."""
        ...

    def rewards(self, config: TrainConfig, attempts: Sequence[Trajectory]) -> Mapping[str, float]:
        """Return what attempts get by the rewards that are trained on, by their id; the others get nothing."""
        ...

    def settle(self, config: TrainConfig, attempts: Sequence[Trajectory]) -> Sequence[Weighed]:
        """Return rows with their advantages."""
        ...

    def train(self, config: TrainConfig, rows: Sequence[Weighed], known: Known, out: Path) -> Path:
        """Train on rows, from `config.start` on, and return the folder of the adapter.

        Where training was begun in `out` before, on the same rows, it goes on; where it had ended, it just returns.
        """
        ...


class LiveWatch(Protocol):
    """Who looks on."""

    def live(self, state: LiveState, doing: str, seconds_left: float | None) -> None:
        """Take note of where the rounds stand."""
        ...
