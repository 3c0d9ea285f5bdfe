"""Loop detection: the same action leading to the same result again and again."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence

WINDOW = 32
"""How many latest decisions are looked at."""


def note(tried: Sequence[list[str]], action: str, observation: str) -> list[list[str]]:
    """Return `tried` with one more `[action, digest of its result]`, the oldest dropped."""
    digest = hashlib.blake2b(observation.encode(), digest_size=6).hexdigest()
    return [*tried, [action, digest]][-WINDOW:]


def repeats(tried: Sequence[list[str]]) -> int:
    """Return how often the latest action had the result it had now, within the window."""
    return sum(1 for pair in tried if pair == tried[-1]) if tried else 0


def fruitless(tried: Sequence[list[str]], limit: int) -> frozenset[str]:
    """Return the actions that had one and the same result at least `limit` times."""
    counts = Counter((action, digest) for action, digest in tried)
    return frozenset(action for (action, _), n in counts.items() if n >= limit)


def remaining(admissible: Sequence[str], tried: Sequence[list[str]], limit: int) -> list[str]:
    """Return the admissible actions that are not fruitless, or all of them if none is left."""
    out = fruitless(tried, limit)
    return [action for action in admissible if action not in out] or list(admissible)
