"""A buffer of the agent's own good attempts, worth less and less as the agent gets better."""

from __future__ import annotations

import json
import math
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median

from ..errors import TrainingError
from ..whole import write_whole
from .collate import Weighed
from .rows import Row


@dataclass(frozen=True)
class Kept:
    """One attempt in the buffer."""

    trajectory_id: str
    total: float
    """Return of the episode."""
    advantage: float
    """Advantage when it was put in."""
    at: int
    """Training step (in live rounds: round) at which it was sampled."""


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

    def save(self, path: Path) -> None:
        """Write the buffer, whole or not at all."""
        state = {"entries": [asdict(one) for one in self._entries], "means": list(self._means)}
        write_whole(path, json.dumps(state))

    def load(self, path: Path) -> None:
        """Take up what `save` wrote; entries beyond `size` go, oldest first.

        Raises:
            TrainingError: the file is gone or damaged.
        """
        try:
            state = json.loads(path.read_text(encoding="utf-8"))
            entries, means = [Kept(**one) for one in state["entries"]], [float(mean) for mean in state["means"]]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise TrainingError(
                f"the self-imitation buffer {path} cannot be read: {error}.",
                hint="Delete it to begin with an empty one.",
            ) from error
        self._entries, self._means = deque(entries, maxlen=self.size), deque(means, maxlen=self.history)


def replayed(
    kept: Iterable[tuple[Kept, float]], rows: Mapping[str, Sequence[Row]], weight: float
) -> tuple[list[Weighed], int]:
    """Return the rows of kept attempts with their recalibrated advantage times `weight`, and how many had no row.

    A factor on the advantage is the same factor on the loss: every loss of TRL's is linear in it where the sign stays.

    Args:
        kept: what `SelfImitation.replay` gave.
        rows: trajectory id -> its rows.
        weight: coefficient of the replayed loss times `warm_up`.
    """
    found, missing = [], 0
    for one, advantage in kept:
        known = rows.get(one.trajectory_id, ())
        missing += not known
        for row in known:
            found.append(Weighed(row, tuple(weight * advantage * sampled for sampled in row.loss_mask)))
    return found, missing


def warm_up(step: int, steps: int = 200, most: float = 1.0) -> float:
    """Return most * (1 - cos(pi t / T)) / 2, rising from 0 to `most` at step T and staying there (SPEAR)."""
    return most * (1 - math.cos(math.pi * min(1.0, max(0, step) / steps))) / 2
