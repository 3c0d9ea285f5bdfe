"""Programs made from a seed: a few plain steps in a row, the more the harder."""

from __future__ import annotations

import random

STEPS = (
    "x = [v + {a} for v in x]",
    "x = [v * {a} for v in x]",
    "x = [v for v in x if v % {b} == {c}]",
    "x = x[::-1]",
    "x = sorted(x)",
    "x = x[{c}:] + x[:{c}]",
    "x = [v - w for v, w in zip(x, x[1:])]",
    "x = [abs(v - {a}) for v in x]",
    "x = [max(v, {a}) for v in x]",
    "x = x + [len(x)]",
)
ENDS = ("return x", "return sum(x)", "return len(set(x))", "return max(x, default={a})", "return x[:{b}]")
DEEPEST = 4


def made_program(generator: random.Random) -> str:
    """Return a program that takes a list of whole numbers."""
    values = {"a": generator.randint(2, 9), "b": generator.randint(2, 4)}
    values["c"] = generator.randrange(values["b"])
    steps = generator.sample(STEPS, generator.randint(1, DEEPEST))
    lines = [one.format(**values) for one in (*steps, generator.choice(ENDS))]
    return "def f(x):\n" + "\n".join(f"    {line}" for line in lines)


def made_inputs(generator: random.Random, count: int) -> list[str]:
    """Return arguments for such a program."""
    return [repr([generator.randint(-9, 20) for _ in range(generator.randint(3, 6))]) for _ in range(count)]
