"""Chains of similar tasks, played link by link: what memory learned from one link is there for the next.

SAGE (2512.17102) lets an agent go through such chains, so that a skill made at one task can be used,
and paid for, at the next one. Here all chains of a generation go on in step: their first tasks are one link, played at
once, their second ones another; memory learns in between.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence

from ...core import Task

WORD = re.compile(r"\w+")


def links(tasks: Sequence[Task], length: int) -> list[tuple[str, ...]]:
    """Return the ids of tasks by link, for chains of at most `length` tasks.

    The tasks of a chain are of one category; each is followed by the one left whose goal is most like its own. Where a
    category does not fill its last chain, that one is shorter.
    """
    left: defaultdict[str, list[Task]] = defaultdict(list)
    for task in tasks:
        left[task.category].append(task)
    found: list[list[str]] = [[] for _ in range(length)]
    for alike in left.values():
        while alike:
            at = alike.pop(0)
            found[0].append(at.id)
            for link in found[1:]:
                if not alike:
                    break
                at = max(alike, key=lambda task: likeness(at.goal, task.goal))
                alike.remove(at)
                link.append(at.id)
    return [tuple(link) for link in found if link]


def likeness(one: str, other: str) -> float:
    """Return the share of words that two texts have in common, of all that are in either; 0 where there are none."""
    words, others = ({word.lower() for word in WORD.findall(text)} for text in (one, other))
    return len(words & others) / len(words | others) if words | others else 0.0
