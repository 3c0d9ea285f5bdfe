"""Asking for more groups until enough of them teach something."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from ..core import Trajectory
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
) -> Gathered:
    """Ask until `wanted` groups are informative, at most `most` times.

    Dynamic sampling of DAPO (Yu et al. 2025, section 3.2), whose scripts stop after 10 batches. What came beyond
    `wanted` with the last batch stays in: it has been paid for. Groups without a difference are dropped, as there.

    Args:
        ask: returns the attempts of batch 0, 1, ...; asked for one after the other.
        wanted: informative groups.
        most: batches at most.
        choose: what happens to the groups of a batch before they are judged, for example resampling.
    """
    groups: list[list[Trajectory]] = []
    attempts: list[Trajectory] = []
    asked = 0
    while asked < most and len(groups) < wanted:
        found = await ask(asked)
        asked += 1
        attempts += found
        batch = grouped(found)
        groups += informative(choose(batch) if choose is not None else batch)
    return Gathered(groups, tuple(attempts), asked)
