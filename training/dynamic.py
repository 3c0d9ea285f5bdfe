"""Asking for more groups until enough of them teach something."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

from ..core import Trajectory
from ..errors import TrainingError
from .selection import informative
from .sources import grouped


@dataclass(frozen=True)
class Gathered:
    """What was asked for, and what of it is worth an update."""

    groups: list[list[Trajectory]]
    """Groups whose attempts differ in reward, in the order in which they came."""
    attempts: tuple[Trajectory, ...]
    """Everything that came."""
    asked: int
    """How often was asked."""

    @property
    def enough(self) -> bool:
        """Whether anything can be learnt from it."""
        return bool(self.groups)


async def gather(
    ask: Callable[[int], Awaitable[Sequence[Trajectory]]],
    wanted: int,
    *,
    most: int = 10,
    choose: Callable[[list[list[Trajectory]]], list[list[Trajectory]]] | None = None,
    rewards: Callable[[Sequence[Trajectory]], Mapping[str, float]] | None = None,
) -> Gathered:
    """Ask until `wanted` groups are informative, at most `most` times.

    Dynamic sampling of DAPO (Yu et al. 2025, section 3.2), whose scripts stop after 10 batches. What came beyond
    `wanted` with the last batch stays in: it has been paid for. Groups without a difference are dropped, as there.

    Args:
        ask: returns the attempts of batch 0, 1, ...; asked for one after the other.
        wanted: informative groups.
        most: batches at most.
        choose: what happens to the groups of a batch before they are judged, for example resampling.
        rewards: returns what attempts got, by their id, where that is not what the environment gave.
    """
    groups: list[list[Trajectory]] = []
    attempts: list[Trajectory] = []
    asked = 0
    while asked < most and len(groups) < wanted:
        found = await ask(asked)
        asked += 1
        attempts += found
        batch = grouped(found)
        got = rewards(found) if rewards is not None else None
        groups += informative(choose(batch) if choose is not None else batch, got)
    return Gathered(groups, tuple(attempts), asked)


def nothing(found: Gathered, what: str) -> TrainingError:
    """Return the error that says why nothing can be learnt from what was gathered for `what`."""
    known = [one for one in found.attempts if one.failure is None]
    ended = [one.failure for one in found.attempts if one.failure is not None]
    if ended and not known:
        return TrainingError(
            f"{what} has nothing to learn from: infrastructure ended all {len(ended)} attempts "
            f"({ended[-1].message or ended[-1].kind}).",
            hint="That says nothing about the tasks. Mend it, and go on with --resume, which plays them again.",
        )
    lost = f", and infrastructure ended {len(ended)} more" if ended else ""
    return TrainingError(
        f"{what} has nothing to learn from: of {len(grouped(known))} groups none has attempts that differ in reward "
        f"({sum(bool(one.success) for one in known)} of {len(known)} attempts solved{lost}).",
        hint="Raise live.samples or the temperature, take other tasks, or go on with --resume and a larger live.asks.",
    )
