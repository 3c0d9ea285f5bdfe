"""What an environment returned, checked and brought into one shape."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import JsonValue

from ..errors import EnvironmentFailure

_OWN_COLUMNS = frozenset({"admissible_actions", "success", "score", "effective"})


@dataclass(frozen=True, slots=True)
class Observed:
    """One observation and everything that came with it."""

    observation: str
    reward: float = 0.0
    terminated: bool = False
    truncated: bool = False
    admissible: tuple[str, ...] | None = None
    success: bool | None = None
    score: float | None = None
    effective: bool = True
    info: dict[str, JsonValue] = field(default_factory=dict)
    """What else the environment said, as far as it is JSON."""


def observed_at_reset(result: object) -> Observed:
    """Read what `reset` returned: `(observation, info)` or the observation alone.

    Raises:
        EnvironmentFailure: it is neither.
    """
    if isinstance(result, tuple) and len(result) == 2 and isinstance(result[1], Mapping):
        return _observed(result[0], 0.0, False, False, result[1])
    if isinstance(result, str):
        return _observed(result, 0.0, False, False, {})
    raise _broken("reset", result, "(observation, info) or the observation text")


def observed_at_step(result: object) -> Observed:
    """Read what `step` returned: Gymnasium's five values or old Gym's four.

    Four values cannot tell an end from a time limit; Gym's `TimeLimit.truncated` in `info` is believed.

    Raises:
        EnvironmentFailure: it is neither.
    """
    if isinstance(result, tuple) and len(result) == 5:
        observation, reward, terminated, truncated, info = result
        return _observed(observation, reward, terminated, truncated, info)
    if isinstance(result, tuple) and len(result) == 4:
        observation, reward, ended, info = result
        cut = isinstance(info, Mapping) and bool(info.get("TimeLimit.truncated", False))
        return _observed(observation, reward, bool(ended) and not cut, cut, info)
    raise _broken("step", result, "(observation, reward, terminated, truncated, info)")


def _observed(observation: Any, reward: Any, terminated: Any, truncated: Any, info: Any) -> Observed:
    if not isinstance(observation, str):
        raise _broken("an observation", observation, "text")
    if not isinstance(info, Mapping):
        raise _broken("info", info, "a mapping")
    try:
        value = float(reward)
    except (TypeError, ValueError):
        raise _broken("a reward", reward, "a number") from None
    if not math.isfinite(value):
        raise _broken("a reward", reward, "a finite number")
    admissible = info.get("admissible_actions", info.get("admissible_commands"))
    success, score = info.get("success", info.get("won")), info.get("score")
    return Observed(
        observation=observation,
        reward=value,
        terminated=bool(terminated),
        truncated=bool(truncated),
        admissible=tuple(str(a) for a in admissible) if admissible is not None else None,
        success=bool(success) if success is not None else None,
        score=min(1.0, max(0.0, float(score))) if isinstance(score, int | float) else None,
        effective=bool(info.get("effective", True)),
        info={str(k): v for k, v in info.items() if k not in _OWN_COLUMNS and _is_json(v)},
    )


def _is_json(value: Any) -> bool:
    if value is None or isinstance(value, str | bool | int):
        return True
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError, RecursionError):
        return False
    return True


def _broken(what: str, value: object, wanted: str) -> EnvironmentFailure:
    shown = repr(value)
    shown = shown if len(shown) <= 80 else shown[:77] + "..."
    return EnvironmentFailure(f"the environment returned {what} as {shown}, not {wanted}.", kind="contract")
