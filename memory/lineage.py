"""Which part of the log is visible: going back to a snapshot hides what came after it, and deletes nothing."""

from __future__ import annotations

import json
from typing import NamedTuple


class Lineage(NamedTuple):
    """Ranges of numbers, both ends included; the last one is open (its end is None).

    Reading through ranges is what makes both a snapshot and going back to it a single write.
    """

    ranges: tuple[tuple[int, int | None], ...] = ((1, None),)

    @classmethod
    def read(cls, text: str) -> Lineage:
        """Read what `text` wrote."""
        if text == "[[1, null]]":  # nobody ever went back; this is read at every recall
            return cls()
        return cls(tuple((low, high) for low, high in json.loads(text)))

    def text(self) -> str:
        """Return the ranges as JSON."""
        return json.dumps(self.ranges)

    def until(self, seq: int) -> Lineage:
        """Return what is visible now, closed at `seq`."""
        closed = [(low, seq if high is None else high) for low, high in self.ranges]
        return Lineage(tuple((low, high) for low, high in closed if low <= high))

    def reopened(self, seq: int) -> Lineage:
        """Return these closed ranges followed by everything after `seq`."""
        return Lineage((*self.ranges, (seq + 1, None)))

    def sql(self, column: str) -> str:
        """Return the condition that `column` is visible."""
        if self.ranges == ((1, None),):
            return "1 = 1"
        parts = [
            f"{column} >= {low:d}" if high is None else f"{column} BETWEEN {low:d} AND {high:d}"
            for low, high in self.ranges
        ]
        return "(" + " OR ".join(parts) + ")"
