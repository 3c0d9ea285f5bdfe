"""How much each step brought its episode further, from what is stored."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from ...core import Trajectory
from .episode import Episode, episode_of

META = "progress"
"""Where an estimator of progress leaves one number per step: `Trajectory.meta`."""
INFO = ("progress", "score")
"""Where an environment says how far the task has come: `Step.info`, after each step."""


def contributions(trajectory: Trajectory) -> tuple[float, ...]:
    """Return the contribution of each step to the outcome, (T,), or nothing where it is not known.

    They are what an estimator stored in `meta["progress"]`; else the rise of the progress, or of the score, that the
    environment reported after every step, so that they add up to where the episode ended (the decomposition that
    SPA-RL learns, here read off the environment).
    """
    steps = trajectory.steps
    stored = _numbers(trajectory.meta.get(META))
    if len(stored) == len(steps):
        return stored
    for name in INFO:
        reached = _numbers([step.info.get(name) for step in steps])
        if len(reached) == len(steps):
            return tuple(now - before for before, now in zip((0.0, *reached), reached, strict=False))
    return ()


def settled_episode(trajectory: Trajectory, rewards: Sequence[float]) -> Episode:
    """Return what credit needs of an attempt with these step rewards, contributions included."""
    return replace(episode_of(trajectory, rewards), progress=contributions(trajectory))


def _numbers(values: object) -> tuple[float, ...]:
    """Return a list of finite numbers, or nothing."""
    if not isinstance(values, list):
        return ()
    known = [float(value) for value in values if isinstance(value, int | float) and math.isfinite(value)]
    return tuple(known) if len(known) == len(values) else ()
