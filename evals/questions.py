"""Questions with one right answer: from a file, or arithmetic word problems made on the spot."""

from __future__ import annotations

import functools
import json
import random
import re
from pathlib import Path
from typing import Any

from ..core import Origin, Task
from ..errors import ConfigError, EnvironmentFailure
from ..seams import Environment
from ..whole import read_records

FINAL = re.compile(r"####\s*(.+)\s*$")
"""GSM8K puts the answer behind this; what stands before it is its reasoning."""
NUMBER = re.compile(r"-?\$?\d[\d,]*(?:\.\d+)?(?:/\d+)?")
SPLITS = ("train", "valid", "test")
NAMES = ("Ada", "Ben", "Cleo", "Dan", "Eva", "Finn", "Gus", "Hana")
THINGS = ("apples", "marbles", "stamps", "books", "shells", "coins")


class QuestionsTaskset:
    """Questions, each answered by one action.

    Args:
        data: file of JSON lines with `question` and `answer`, and optionally `id`, `split` and `category`; GSM8K's
            own files are such. Arithmetic word problems are made if not given.
        count: how many problems are made per split.
        tolerance: largest relative difference of two numbers that count as equal.

    Raises:
        ConfigError: the file cannot be read, or a line is no question.
    """

    name = "questions"

    def __init__(self, data: str | None = None, count: int = 100, tolerance: float = 1e-6) -> None:
        if count < 1 or tolerance < 0:
            raise ConfigError(f"questions needs count >= 1 and tolerance >= 0, not {count} and {tolerance}.")
        self._data = Path(data) if data is not None else None
        self._count = count
        self._tolerance = tolerance

    def splits(self) -> list[str]:
        """Return the splits; a file without any has `train` alone."""
        return list(SPLITS) if self._data is None else sorted({task.split for task in self._read})

    def tasks(self, split: str, *, seed: int = 0, limit: int | None = None) -> list[Task]:
        """Return the questions of a split.

        Raises:
            ConfigError: there is no such split.
        """
        if split not in self.splits():
            raise ConfigError(f"questions has no split {split!r}; there are: {', '.join(self.splits())}.")
        if self._data is not None:
            found = [task for task in self._read if task.split == split]
            return found if limit is None else found[:limit]
        return [
            made(split, seed, number) for number in range(self._count if limit is None else min(limit, self._count))
        ]

    def environment(self) -> Environment:
        """Return an environment for every question of this set."""
        return Answering(self._tolerance)

    @functools.cached_property
    def _read(self) -> list[Task]:
        assert self._data is not None
        try:
            lines = read_records(self._data)
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"cannot read questions {self._data}: {error}.") from error
        return [parsed(line, f"{self._data}, line {n}", n) for n, line in enumerate(lines, 1) if line.strip()]


class Answering:
    """One question, one answer."""

    concurrency = "inline"
    max_steps = 1

    def __init__(self, tolerance: float) -> None:
        self._tolerance = tolerance
        self._truth: str | None = None

    def reset(self, *, seed: int | None = None, task: Task | None = None) -> tuple[str, dict[str, Any]]:
        """Show the question."""
        if task is None or not isinstance(task.truth, str):
            raise EnvironmentFailure("a question needs a task with an answer.", kind="task")
        self._truth = task.truth
        return task.goal, {"success": False, "score": 0.0}  # who never answers has not solved it

    def step(self, action: str) -> tuple[str, float, bool, bool, dict[str, Any]]:
        """Compare the answer; the right one is not shown."""
        if self._truth is None:
            raise EnvironmentFailure("a question is answered once, after reset.", kind="order")
        right, self._truth = equal(action, self._truth, self._tolerance), None
        return "Right." if right else "Wrong.", float(right), True, False, {"success": right, "score": float(right)}


def equal(given: str, truth: str, tolerance: float = 1e-6) -> bool:
    """Say whether an answer is right: the same number, or the same words."""
    wanted, found = number_of(truth), number_of(given)
    if wanted is not None:
        # An answer of two different numbers is none: it would be right too often by naming many.
        return found is not None and abs(found - wanted) <= tolerance * max(1.0, abs(wanted))
    return _words(given) == _words(truth)


def number_of(text: str) -> float | None:
    """Return the one number in a short text, or None."""
    found = {match.replace("$", "").replace(",", "") for match in NUMBER.findall(text)}
    if len(found) != 1:
        return None
    top, _, bottom = found.pop().partition("/")
    try:
        return float(top) / float(bottom) if bottom else float(top)
    except (ValueError, ZeroDivisionError):
        return None


def made(split: str, seed: int, number: int) -> Task:
    """Return an arithmetic word problem, the same everywhere."""
    draw = random.Random(f"questions/{split}/{seed}/{number}")
    name, other = draw.sample(NAMES, 2)
    thing, start, times = draw.choice(THINGS), draw.randint(12, 400), draw.randint(2, 9)
    given, bought = draw.randint(1, start - 1), draw.randint(3, 60)
    total = (start - given) + times * bought
    text = (
        f"{name} has {start} {thing} and gives {given} of them to {other}. Then {name} buys {times} bags with "
        f"{bought} {thing} each. How many {thing} does {name} have now?"
    )
    ident = f"questions/{split}/{seed}/{number}"
    return Task(
        id=ident,
        goal=text,
        environment="questions",
        split=split,
        category="arithmetic",
        truth=str(total),
        origin=Origin(),
    )


def parsed(line: str, where: str, number: int) -> Task:
    """Return the question in a line of JSON.

    Raises:
        ConfigError: there is none.
    """
    try:
        row = json.loads(line)
        question, answer = str(row["question"]), str(row["answer"])
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"{where}: no JSON object with question and answer ({error}).") from None
    final = FINAL.search(answer)
    split = str(row.get("split", "train"))
    return Task(
        id=str(row.get("id", f"questions/{split}/{number}")),
        goal=question,
        environment="questions",
        split=split,
        category=str(row.get("category", "question")),
        truth=(final[1] if final else answer).strip(),
    )


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", text.lower())
