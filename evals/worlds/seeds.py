"""Splits of worlds that a seed makes: no seed of one split is ever a seed of another."""

from __future__ import annotations

from ...errors import ConfigError

SPLITS = ("train", "valid", "test")


def seeds_of(name: str, split: str, *, seed: int, count: int, limit: int | None = None) -> list[int]:
    """Return the seeds of a split's tasks.

    Splits take turns along the numbers, so that they stay apart whatever `seed` and `count` are, and another `seed`
    gives `count` others.

    Args:
        name: of the taskset, for the error.
        split: one of `SPLITS`.
        seed: which window of `count` tasks.
        count: tasks in a split.
        limit: return at most this many.

    Raises:
        ConfigError: there is no such split, or a number is below its least.
    """
    if split not in SPLITS:
        raise ConfigError(f"{name} has no split {split!r}; there are: {', '.join(SPLITS)}.")
    if count < 1 or seed < 0:
        raise ConfigError(f"{name} needs at least one task per split and a seed from 0 on, not {count} and {seed}.")
    wanted = count if limit is None else min(limit, count)
    return [len(SPLITS) * (seed * count + n) + SPLITS.index(split) for n in range(wanted)]
