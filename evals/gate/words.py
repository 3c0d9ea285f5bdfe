"""Figures as the sentences of a gate give them."""

from __future__ import annotations

from collections.abc import Sequence


def points(share: float) -> str:
    """Return a difference of shares in percentage points."""
    return f"{100 * share:+.1f}"


def between(low: float, high: float) -> str:
    """Return an interval of differences in percentage points."""
    return f"[{points(low)}, {points(high)}]"


def percent(share: float) -> str:
    """Return a share in percent, without digits that say nothing."""
    return f"{100 * share:.3g} %"


def count(number: int, noun: str) -> str:
    """Return a number with its noun: `1 task`, `2 tasks`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def some(names: Sequence[str], most: int = 5) -> str:
    """Return the first names, and how many more there are."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
