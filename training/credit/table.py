"""Every estimator's advantages of one stored group, side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from ...core import Trajectory
from ...errors import TrainingError
from .attribution import Attribution
from .batch import ReinforcePlusPlus, StepReturn
from .episode import Credit, Episode, episode_of
from .gigpo import GiGPO
from .group import GRPO, RLOO
from .hierarchical import Hierarchical
from .progress import Progress


def estimators() -> list[Credit]:
    """Return one of each kind, with the defaults of its publication."""
    return [
        GRPO(),
        GRPO(scale="none", name="dr_grpo"),
        RLOO(),
        StepReturn(),
        ReinforcePlusPlus(),
        GiGPO(),
        GiGPO(norm="mean_std", name="gigpo_std"),
        Progress(),
        Hierarchical(),
        Attribution(),
    ]


@dataclass(frozen=True)
class CreditTable:
    """What each estimator says of each step of one group."""

    episodes: tuple[Episode, ...]
    columns: dict[str, tuple[tuple[float, ...], ...]] = field(default_factory=dict)
    """Estimator to one (T_i,) per episode."""
    missing: dict[str, str] = field(default_factory=dict)
    """Estimator to why it has no say here."""
    left_out: tuple[str, ...] = ()
    """Ids of attempts that infrastructure ended; they enter no baseline."""


def credit_table(group: Sequence[Trajectory], credits: Sequence[Credit] | None = None) -> CreditTable:
    """Return the advantages of all estimators over one group of attempts at one task.

    Raises:
        TrainingError: infrastructure ended every attempt of the group.
    """
    known = [trajectory for trajectory in group if trajectory.failure is None and trajectory.steps]
    left_out = tuple(trajectory.id for trajectory in group if trajectory.failure is not None or not trajectory.steps)
    if not known:
        raise TrainingError(f"no attempt of this group of {len(group)} has a reward: infrastructure ended them all.")
    episodes = tuple(episode_of(trajectory) for trajectory in known)
    columns, missing = {}, {}
    for credit in credits if credits is not None else estimators():
        try:
            columns[credit.name] = tuple(credit.advantages([episodes])[0])
        except TrainingError as error:
            missing[credit.name] = error.message
    return CreditTable(episodes, columns, missing, left_out)
