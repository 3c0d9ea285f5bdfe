"""Whether what an environment returns has the shapes, types and values that `seams.Environment` names."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from ...agent.hosting import declared_concurrency
from ...errors import LamarckError
from .conformance_play import Play, explore
from .conformance_report import Failed, Seen, shown
from .conformance_subject import Subject


def contract(subject: Subject) -> Seen:
    """Shapes and types of all that `reset` and `step` return, and of what the class declares."""
    with subject.play() as play:
        _declared(play)
        if subject.concurrency != "process":
            with subject.play() as other:
                if other.environment is play.environment:
                    raise Failed("environment() returned the same object twice; episodes would share it.")
        notes: set[str] = set()
        play.inspect = lambda what, raw: _shaped(what, raw, play, notes)
        steps = 0
        for task in subject.tasks:
            steps += len(explore(play, task, subject.policy(task), subject.steps).actions)
    seen = f"{len(subject.tasks)} episodes, {steps} steps, concurrency {subject.concurrency}"
    return Seen("; ".join([seen, *sorted(notes)]))


def _declared(play: Play) -> None:
    environment = play.environment
    try:
        declared_concurrency(environment)
    except LamarckError as error:
        raise Failed(error.message) from None
    for name in ("max_steps", "recycle_after"):
        value = getattr(environment, name, None)
        if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < 1):
            raise Failed(f"{name} is {shown(value)}, not a number of at least 1.")


def _shaped(what: str, raw: Any, play: Play, notes: set[str]) -> None:
    """Fail where a result is not as the contract says; note what is only read tolerantly."""

    def wrong(part: str, value: object, wanted: str) -> Failed:
        return Failed(f"{what} returned {part} {shown(value)}, not {wanted}.", play.spot, crashed=True)

    if what == "reset" and isinstance(raw, str):
        notes.add("reset returns no info")
        raw = (raw, {})
    sizes = {"reset": (2,), "step": (4, 5)}[what]
    if not isinstance(raw, tuple) or len(raw) not in sizes:
        raise wrong("as a whole", raw, f"a tuple of {sizes[-1]}")
    observation, info = raw[0], raw[-1]
    if not isinstance(observation, str):
        raise wrong("the observation", observation, "text")
    try:
        observation.encode()
    except UnicodeEncodeError:
        raise wrong("the observation", observation, "text that UTF-8 can hold") from None
    if what == "step":
        if not _is_number(raw[1]):
            raise wrong("the reward", raw[1], "a finite number")
        if len(raw) == 4:
            notes.add("step returns four values: an end cannot be told from a time limit")
        for name, flag in zip(("terminated", "truncated"), raw[2:-1], strict=False):
            if not _is_bool(flag):
                raise wrong(name, flag, "a bool")
    if not isinstance(info, Mapping) or not all(isinstance(key, str) for key in info):
        raise wrong("info", info, "a mapping with text keys")
    for name, value, wanted in _info_faults(info):
        raise wrong(f"info[{name!r}] as", value, wanted)


def _info_faults(info: Mapping[str, Any]) -> list[tuple[str, object, str]]:
    """Return key, value and what was wanted, for each known key of a wrong type."""
    faults: list[tuple[str, object, str]] = []
    for name in ("success", "effective"):
        if info.get(name) is not None and not _is_bool(info[name]):
            faults.append((name, info[name], "a bool"))
    score = info.get("score")
    if score is not None and (not _is_number(score) or not 0.0 <= float(score) <= 1.0):
        faults.append(("score", score, "a number from 0 to 1"))
    listed = info.get("admissible_actions")
    if listed is None:
        return faults
    if isinstance(listed, str) or not isinstance(listed, list | tuple):
        faults.append(("admissible_actions", listed, "a list of texts"))
    elif not all(isinstance(action, str) and action.strip() for action in listed):
        bad = next(action for action in listed if not isinstance(action, str) or not action.strip())
        faults.append(("admissible_actions", bad, "a list of texts with something in them"))
    elif len(set(listed)) < len(listed):
        twice = next(action for n, action in enumerate(listed) if action in listed[:n])
        faults.append(("admissible_actions", twice, "listed once only"))
    return faults


def _is_bool(value: object) -> bool:
    # NumPy's own bool is one in all but name, and Gymnasium's worlds return it.
    return isinstance(value, bool) or (type(value).__module__ == "numpy" and type(value).__name__ in ("bool", "bool_"))


def _is_number(value: Any) -> bool:
    if isinstance(value, str | bytes):
        return False
    try:
        return math.isfinite(float(value))
    except (TypeError, ValueError, OverflowError):
        return False
