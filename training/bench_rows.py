"""Rows shaped like those of household episodes, made of random tokens: for `lamarck bench train`.

Lengths and what is shared were measured on household games of full size, as SmolLM2's tokenizer cuts them: a prompt
begins with the instructions and the first observation, each step adds the answer and what it led to, and after twenty
steps the older ten shrink to a line each, behind the first observation.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

from ..errors import ConfigError
from .collate import Weighed
from .rows import Row


@dataclass(frozen=True)
class Shape:
    """Lengths in tokens."""

    first: int
    """Instructions and first observation; the same for all attempts at a task."""
    answer: tuple[int, int]
    """Shortest and longest answer."""
    observation: tuple[int, int]
    """Shortest and longest observation, with the marks of the chat around it."""
    offered: int
    """What stands at the end of the latest observation only: the actions on offer."""
    steps: tuple[int, int]
    """Shortest and longest episode, in steps."""


SHAPES = {
    "step_rows": Shape(first=240, answer=(15, 45), observation=(15, 40), offered=130, steps=(12, 30)),
    "step_rows_growing": Shape(first=178, answer=(2, 10), observation=(15, 50), offered=0, steps=(12, 30)),
    "episode_rows": Shape(first=178, answer=(2, 10), observation=(15, 50), offered=0, steps=(6, 20)),
}
"""Step rows of a model that writes thoughts and is told what it can do (protocol `react`); step rows whose prompts
only grow (`choice`, the embedded model's); and the latter as one row per episode."""
KEEP = 10
LINE = 22


def make_rows(form: str, *, groups: int, samples: int, vocabulary: int, seed: int) -> list[list[Weighed]]:
    """Return the rows of each trajectory, `samples` trajectories after each other for each of `groups` tasks.

    Raises:
        ConfigError: there is no such form.
    """
    if form not in SHAPES:
        raise ConfigError(f"there are no rows of the form {form!r}.", hint=f"One of {', '.join(SHAPES)}.")
    shape, draw = SHAPES[form], random.Random(f"{form} {seed}")
    made = []
    for group in range(groups):
        first = _tokens(draw, shape.first, vocabulary)
        for sample in range(samples):
            name = (f"t{group}-{sample}", f"g{group}")
            if form == "episode_rows":
                rows = [_episode(draw, shape, first, vocabulary, name)]
            else:
                rows = _steps(draw, shape, first, vocabulary, name)
            advantage = draw.choice((-1.0, 1.0))
            made.append([Weighed(row, row.advantages([advantage] * 99)) for row in rows])
    return made


def _steps(draw: random.Random, shape: Shape, first: list[int], vocabulary: int, name: tuple[str, str]) -> list[Row]:
    start, turns, rows = first, list[list[int]](), []
    for step in range(draw.randint(*shape.steps)):
        prompt = [*start, *(token for turn in turns for token in turn), *_tokens(draw, shape.offered, vocabulary)]
        answer = _tokens(draw, draw.randint(*shape.answer), vocabulary)
        n = len(answer)
        rows.append(Row(*name, tuple(prompt), tuple(answer), (1,) * n, (), (step,) * n))
        turns.append([*answer, *_tokens(draw, draw.randint(*shape.observation), vocabulary)])
        if len(turns) == 2 * KEEP:
            turns = turns[KEEP:]
            start = [*start, *_tokens(draw, KEEP * LINE, vocabulary)]
    return rows


def _episode(draw: random.Random, shape: Shape, first: list[int], vocabulary: int, name: tuple[str, str]) -> Row:
    tokens: list[int] = []
    mask: list[int] = []
    steps: list[int] = []
    for step in range(draw.randint(*shape.steps)):
        read = draw.randint(*shape.observation) if step else 0
        answer = draw.randint(*shape.answer)
        tokens += _tokens(draw, read + answer, vocabulary)
        mask += [0] * read + [1] * answer
        steps += [step] * (read + answer)
    return Row(*name, tuple(first), tuple(tokens), tuple(mask), (), tuple(steps))


def _tokens(draw: random.Random, count: int, vocabulary: int) -> list[int]:
    return [draw.randrange(3, vocabulary) for _ in range(count)]
