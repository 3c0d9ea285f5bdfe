"""How alike two tasks are.

The measure is the resemblance of the sets of three words in a row (w-shingling, Broder 1997): the size of their
intersection over that of their union. It was chosen because it scales with the text. In a short goal one other word
makes another task, and there it changes a third of the shingles or more; in a long text, a room or a program, one
other word makes a near-duplicate, and there it changes few. It needs no model and no statistics of other tasks, so
it is the same everywhere and in any order. Goal and state are compared apart, and two tasks are only as alike as the
less alike of the two: another errand in the same room is another task, and so is the same errand in another room.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from itertools import combinations
from typing import NamedTuple

from pydantic import JsonValue

from ...core import Task, content_id

WIDTH = 3
KEPT = 64
"""Smallest shingle hashes that are kept of a text. Up to so many shingles in both together the resemblance is exact;
above, it is estimated (bottom-k sketch) with a standard deviation of at most sqrt(1 / (4 KEPT)) = 0.0625."""
WORD = re.compile(r"\w+|[^\w\s]", re.UNICODE)


class Said(NamedTuple):
    """What a task says: its goal, and the world it is set in, without what all tasks of its kind share."""

    goal: str
    state: str = ""


class Print(NamedTuple):
    """What is kept of a task to know it, and what is nearly it, again."""

    content: str
    goal: tuple[int, ...]
    state: tuple[int, ...]


def plainly(task: Task) -> Said:
    """Return what a task says where nothing better is known: its goal, its options and its answer.

    Where it is from, its id and its split do not count. Neither does its seed where it has an answer: a question is
    the same under every seed. A world that is made from the seed is not.
    """
    what = [task.options, task.truth, None if task.truth is not None else task.seed]
    return Said(task.goal, json.dumps(what, sort_keys=True, ensure_ascii=False))


def print_of(said: Said) -> Print:
    """Return what is kept of a task."""
    words = [" ".join(WORD.findall(text.casefold())) for text in said]
    return Print(content_id(*words)[:16], sketch(said.goal), sketch(said.state))


def sketch(text: str) -> tuple[int, ...]:
    """Return the smallest hashes of a text's shingles, in order; a text of fewer words is one shingle."""
    words = WORD.findall(text.casefold())
    rows = {tuple(words[i : i + WIDTH]) for i in range(max(1, len(words) - WIDTH + 1))} if words else set()
    found = {int.from_bytes(hashlib.blake2b(" ".join(row).encode(), digest_size=4).digest()) for row in rows}
    return tuple(sorted(found)[:KEPT])


def resemblance(one: Sequence[int], other: Sequence[int]) -> float:
    """Return how alike two texts are by their sketches, from 0 to 1; two empty ones are alike.

    Of the KEPT smallest hashes of both together, the share that both have.
    """
    if not one and not other:
        return 1.0
    left, right = set(one), set(other)
    both = sorted(left | right)[:KEPT]
    return sum(value in left and value in right for value in both) / len(both)


def likeness(one: Print, other: Print) -> float:
    """Return how alike two tasks are, from 0 to 1."""
    goal = resemblance(one.goal, other.goal)
    return min(goal, resemblance(one.state, other.state)) if goal else 0.0


def mean_distance(prints: Sequence[Print]) -> float:
    """Return the mean of 1 - likeness over all pairs, 0 where there is no pair."""
    pairs = [1.0 - likeness(one, other) for one, other in combinations(prints, 2)]
    return sum(pairs) / len(pairs) if pairs else 0.0


def written(one: Print) -> list[JsonValue]:
    """Return a print as plain JSON."""
    return [one.content, *("".join(f"{value:08x}" for value in part) for part in (one.goal, one.state))]


def read(value: JsonValue) -> Print:
    """Return a print that was written down."""
    content, goal, state = (str(part) for part in value) if isinstance(value, list) else ("", "", "")
    return Print(content, _numbers(goal), _numbers(state))


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(text[i : i + 8], 16) for i in range(0, len(text), 8))
