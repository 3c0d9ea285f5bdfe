"""A buffer of the agent's own good attempts, worth less and less as the agent gets better."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median

from ..errors import TrainingError


@dataclass(frozen=True)
class Kept:
    """One attempt in the buffer."""

    trajectory_id: str
    total: float
    """Return of the episode."""
    advantage: float
    """Advantage when it was put in."""
    at: int
    """Training step at which it was sampled."""


@dataclass
class SelfImitation:
    """Keeps attempts with a positive advantage and recalibrates them when they are replayed.

    SPEAR (2025): A' = R - median of the recent groups' mean returns, and only A' > 0 is replayed, so that what was
    once outstanding stops counting when it has become usual. Entries older than `tolerate` steps are dropped. The
    loss of what is replayed is weighted by `warm_up`.

    Args:
        size: most entries; the oldest go first.
        tolerate: most training steps between sampling and replay.
        history: group means that the median is taken over.
    """

    size: int = 2048
    tolerate: int = 5
    history: int = 10_240
    _entries: deque[Kept] = field(init=False, repr=False)
    _means: deque[float] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if self.size < 1 or self.history < 1 or self.tolerate < 0:
            raise TrainingError("a self-imitation buffer needs size and history of at least 1 and tolerate >= 0.")
        self._entries = deque(maxlen=self.size)
        self._means = deque(maxlen=self.history)

    def __len__(self) -> int:
        return len(self._entries)

    def add(self, group: Sequence[Kept]) -> None:
        """Note a group's mean return, and keep what did better than its group."""
        if group:
            self._means.append(math.fsum(one.total for one in group) / len(group))
        self._entries.extend(one for one in group if one.advantage > 0)

    def replay(self, at: int) -> list[tuple[Kept, float]]:
        """Return what is worth replaying at training step `at`, with its recalibrated advantage."""
        while self._entries and at - self._entries[0].at > self.tolerate:
            self._entries.popleft()
        if not self._means:
            return []
        usual = median(self._means)
        return [(one, one.total - usual) for one in self._entries if one.total > usual and at - one.at <= self.tolerate]


def warm_up(step: int, steps: int = 200, most: float = 1.0) -> float:
    """Return most * (1 - cos(pi t / T)) / 2, rising from 0 to `most` at step T and staying there (SPEAR)."""
    return most * (1 - math.cos(math.pi * min(1.0, max(0, step) / steps))) / 2
