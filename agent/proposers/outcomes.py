"""From what was played to what a proposer is told."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence

from ...core import Trajectory
from .proposer import Outcome
from .rewards import progress


def outcomes_of(trajectories: Iterable[Trajectory], before: Mapping[str, float] | None = None) -> tuple[Outcome, ...]:
    """Return an outcome per task, in the order of their ids; attempts that infrastructure ended say nothing.

    Args:
        trajectories: attempts of one round.
        before: category -> success rate when it was last played, from which progress is measured.
    """
    groups: dict[str, list[Trajectory]] = defaultdict(list)
    for trajectory in trajectories:
        if trajectory.failure is None and trajectory.reward is not None:
            groups[trajectory.task.id].append(trajectory)
    now = rates({ident: (group[0].task.category, _solved(group), len(group)) for ident, group in groups.items()})
    found = []
    for ident, group in sorted(groups.items()):
        category, rewards = group[0].task.category, [one.reward or 0.0 for one in group]
        known = before is not None and category in before
        found.append(
            Outcome(
                task_id=ident,
                category=category,
                attempts=len(group),
                solved=_solved(group),
                reward=sum(rewards) / len(rewards),
                best=max(rewards),
                worst=min(rewards),
                progress=progress(before[category], now[category]) if before is not None and known else None,
            )
        )
    return tuple(found)


def category_rates(outcomes: Sequence[Outcome]) -> dict[str, float]:
    """Return the success rate of each category, over all its attempts."""
    return rates({one.task_id: (one.category, one.solved, one.attempts) for one in outcomes})


def rates(found: Mapping[str, tuple[str, int, int]]) -> dict[str, float]:
    """Return category -> success rate of (category, solved, attempts) per task."""
    solved, attempts = Counter[str](), Counter[str]()
    for category, good, tried in found.values():
        solved[category] += good
        attempts[category] += tried
    return {category: solved[category] / attempts[category] for category in sorted(attempts)}


def _solved(group: Sequence[Trajectory]) -> int:
    return sum(one.success is True for one in group)
