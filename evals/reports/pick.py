"""Which trajectories a report shows, where it cannot show all of them."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence

from ...core import Trajectory
from .records import outcome_of


def pick(headers: Sequence[Sequence[Trajectory]], most: int) -> list[tuple[int, str]]:
    """Return (run, trajectory id) of at most `most` trajectories, evenly from every kind of outcome.

    Episodes of several runs that belong to the same task and sample are taken together, and a kind is then how each
    run did on it: so what only one of two runs solved is shown as often as what both did. Within a kind, episodes
    are spread over the order in which they were played. Any beginning of the list is itself even.

    Args:
        headers: the trajectories of each run, without their steps.
        most: how many to choose.
    """
    together: dict[Hashable, list[tuple[int, Trajectory]]] = {}
    for run, found in enumerate(headers):
        for header in found:
            apart = header.id if header.failure is not None else ""
            together.setdefault((header.task.id, header.sample, apart), []).append((run, header))
    kinds: dict[Hashable, list[list[tuple[int, Trajectory]]]] = {}
    for episodes in together.values():
        kind = tuple(sorted({(run, outcome_of(header)) for run, header in episodes}))
        kinds.setdefault(kind, []).append(episodes)
    queues = [spread(kinds[kind]) for kind in sorted(kinds, key=str)]
    chosen: list[tuple[int, str]] = []
    for turn in range(max(map(len, queues), default=0)):
        for queue in queues:
            if turn < len(queue) and len(chosen) + len(queue[turn]) <= most:
                chosen += [(run, header.id) for run, header in queue[turn]]
    return chosen


def spread(entries: Iterable[list[tuple[int, Trajectory]]]) -> list[list[tuple[int, Trajectory]]]:
    """Return entries so that any beginning of the list is spread over all of it: first, middle, quarters, eighths."""
    ordered = list(entries)
    bits = max(1, (len(ordered) - 1).bit_length())
    places = (int(format(number, f"0{bits}b")[::-1], 2) for number in range(1 << bits))
    return [ordered[place] for place in places if place < len(ordered)]
