"""The other environments that a candidate must not have forgotten: what they are called, and whether they can tell."""

from __future__ import annotations

import re
from collections import Counter

from ...agent.tasksets import load_taskset
from ...config import TasksetConfig
from ...config_evolve import EvolveConfig
from ...core import content_id
from ...errors import ConfigError
from ...evals.gate.environments import ties_needed
from ..wire import select

HELD_OUT = "held-out"
"""What the environment with the held-out tasks is called."""


def named(config: EvolveConfig) -> dict[str, TasksetConfig]:
    """Return the other environments by name: that of the taskset; with its split, and then a number, where several
    have one name.

    Raises:
        ConfigError: `gate.environments` names one that is not played.
    """
    others = config.held_out.others
    names = [one.name for one in others]
    splits = [f"{one.name}/{one.split}" for one in others]
    for clearer in (splits, [f"{name} {number}" for number, name in enumerate(splits, 1)]):
        often = Counter(names)
        names = [new if often[old] > 1 or old == HELD_OUT else old for old, new in zip(names, clearer, strict=True)]
    if missing := [name for name in config.gate.environments if name not in names]:
        there = f"there are: {', '.join(names)}" if names else "held_out.others is empty"
        raise ConfigError(
            f"gate.environments names {missing[0]!r}, which is not played; {there}.",
            hint="Add it to held_out.others, or name one of those.",
        )
    return dict(zip(names, others, strict=True))


def folder_of(name: str) -> str:
    """Return what the folders of an environment's games begin with, another one for each."""
    plain = re.sub(r"[^\w.-]+", "-", name)
    return plain if name == HELD_OUT else f"other-{plain}-{content_id(name)[:6]}"


def too_few(config: EvolveConfig) -> list[str]:
    """Say of which other environments there are so few tasks that the gate stays shut where nothing changes there.

    Raises:
        ConfigError: there are no such tasks.
    """
    if "environments" in config.gate.waived or not config.held_out.others:
        return []
    first, last = (ties_needed(config.gate, number) for number in (1, config.generations))
    lines = []
    for name, one in named(config).items():
        tasks = len(select(load_taskset(one.name, one.options), one))
        if tasks < last:
            shut = "for ever" if tasks < first else "some day"
            later = f", {last} at test {config.generations}" if last > first else ""
            lines.append(
                f"{name} has {tasks} tasks: if none of them changes, the gate is shut {shut}, since to show that not "
                f"{100 * config.gate.forget_margin:g} points were lost takes {first} tasks at the first test{later}. "
                "Raise its limit in held_out.others, or gate.forget_margin."
            )
    return lines
