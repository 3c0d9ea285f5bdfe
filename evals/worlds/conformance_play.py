"""Playing a world under test: calls announced, faults with the way to see them again, a policy to explore."""

from __future__ import annotations

import inspect
import random
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

from ...agent.actions import is_open
from ...agent.hosting import reset_keywords
from ...agent.observed import Observed, observed_at_reset, observed_at_step
from ...core import Task
from ...errors import LamarckError
from .conformance_report import Failed, Spot, shown

Announce = Callable[[Spot], None]
_PLACE = re.compile(r"<[a-z][a-z ]{0,30}>")
_WORD = re.compile(r"[A-Za-z][\w'-]{2,}|\d+")


class Moment(NamedTuple):
    """What of one observation must be the same when the same is done again.

    The rest of `info` is left out: process ids, paths and times may well differ.
    """

    observation: str
    reward: float
    terminated: bool
    truncated: bool
    admissible: tuple[str, ...] | None
    success: bool | None
    score: float | None
    effective: bool

    @property
    def ended(self) -> bool:
        """Whether the episode is over."""
        return self.terminated or self.truncated


class Walk(NamedTuple):
    """An episode, or the beginning of one, as it was played."""

    task: Task
    actions: tuple[str, ...]
    moments: tuple[Moment, ...]
    """One more than actions: the first is that of `reset`."""

    def spot(self, number: int | None = None) -> Spot:
        """Return where moment `number` was seen (0 is `reset`), the last one if not given."""
        count = len(self.actions) if number is None else number
        return Spot(self.task.id, self.task.seed, self.actions[:count])


class Play:
    """One environment object, called as it declares; what it raises becomes `Failed` with the actions that led there.

    Args:
        environment: the object under test.
        announce: told before every call, so that a supervisor knows where the world hangs or dies.
        awaited: runs a coroutine to its end; the same event loop for all objects, as they may share what is open.
    """

    def __init__(self, environment: Any, announce: Announce, awaited: Callable[[Any], Any]) -> None:
        self.environment = environment
        self.raw: Any = None
        """What the latest call returned, as it came."""
        self.inspect: Callable[[str, Any], None] = lambda what, raw: None
        """Called with `reset` or `step` and what it returned, before anything else reads it."""
        self._announce = announce
        self._spot = Spot()
        self._awaited = awaited

    @property
    def spot(self) -> Spot:
        """Where the play stands."""
        return self._spot

    def reset(self, task: Task) -> Moment:
        """Begin the episode of a task with its own seed, as the runner does."""
        self._spot = Spot(task.id, task.seed)
        with self._reading("reset"):
            self.raw = self._call(self.environment.reset, **reset_keywords(self.environment, task, task.seed))
            self.inspect("reset", self.raw)
            return moment(observed_at_reset(self.raw))

    def step(self, action: str) -> Moment:
        """Do one action."""
        self._spot = Spot(self._spot.task, self._spot.seed, (*self._spot.actions, action))
        with self._reading("step"):
            self.raw = self._call(self.environment.step, action)
            self.inspect("step", self.raw)
            return moment(observed_at_step(self.raw))

    def snapshot(self) -> object:
        """Take the state."""
        with self._reading("snapshot"):
            return self._call(self.environment.snapshot)

    def restore(self, state: object) -> None:
        """Put a state back."""
        with self._reading("restore"):
            self._call(self.environment.restore, state)

    def close(self) -> None:
        """Close the environment, where it can be closed."""
        close = getattr(self.environment, "close", None)
        if close is not None:
            with self._reading("close"):
                self._call(close)

    def _call(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        self._announce(self._spot)
        result = function(*args, **kwargs)
        return self._awaited(result) if inspect.iscoroutine(result) else result

    @contextmanager
    def _reading(self, what: str) -> Iterator[None]:
        try:
            yield
        except Failed:
            raise
        except LamarckError as error:
            raise Failed(f"{what}: {error.message}", self._spot, crashed=True) from error
        except Exception as error:
            # A guest's code may raise anything.
            detail = f"{what} raised {type(error).__name__}: {shown(str(error))}"
            raise Failed(detail, self._spot, crashed=True) from error


def moment(observed: Observed) -> Moment:
    """Return what of an observation is compared."""
    return Moment(
        observed.observation,
        observed.reward,
        observed.terminated,
        observed.truncated,
        observed.admissible,
        observed.success,
        observed.score,
        observed.effective,
    )


def explore(play: Play, task: Task, chance: random.Random, steps: int) -> Walk:
    """Play a task by seeded chance, at most `steps` long, and return the walk."""
    now = play.reset(task)
    actions, moments = list[str](), [now]
    while not now.ended and len(actions) < steps:
        actions.append(explored(now, task, chance))
        now = play.step(actions[-1])
        moments.append(now)
    return Walk(task, tuple(actions), tuple(moments))


def follow(play: Play, task: Task, actions: Sequence[str]) -> Walk:
    """Play a task by given actions, up to its end, and return the walk."""
    moments = [play.reset(task)]
    return Walk(*_followed(play, task, moments, actions))


def go_on(play: Play, task: Task, now: Moment, actions: Sequence[str]) -> Walk:
    """Play on from where a play stands; the walk begins with `now`."""
    return Walk(*_followed(play, task, [now], actions))


def _followed(
    play: Play, task: Task, moments: list[Moment], actions: Sequence[str]
) -> tuple[Task, tuple[str, ...], tuple[Moment, ...]]:
    acted: list[str] = []
    for action in actions:
        if moments[-1].ended:
            break
        moments.append(play.step(action))
        acted.append(action)
    return task, tuple(acted), tuple(moments)


def explored(now: Moment, task: Task, chance: random.Random) -> str:
    """Choose an action by chance: a listed one, with words from the text in open places; else words from the text."""
    if not now.admissible:
        return _words(now, task, chance)
    option = chance.choice(now.admissible)
    return filled(option, lambda: _words(now, task, chance)) if is_open(option) else option


def filled(option: str, words: Callable[[], str]) -> str:
    """Return an open action with words in each of its places."""
    return _PLACE.sub(lambda place: words(), option)


def _words(now: Moment, task: Task, chance: random.Random) -> str:
    there = _WORD.findall(f"{now.observation[:4000]} {task.goal[:1000]}") or ["look"]
    return " ".join(chance.choice(there) for _ in range(chance.randint(1, 3)))


def difference(first: Walk, second: Walk) -> tuple[int, str] | None:
    """Return the number of the first moment in which two walks differ and how, or None where they are the same."""
    for number, (a, b) in enumerate(zip(first.moments, second.moments, strict=False)):
        for name in Moment._fields:
            left, right = getattr(a, name), getattr(b, name)
            if left != right:
                return number, f"{name} is {_apart(left, right)}"
    if len(first.moments) != len(second.moments):
        shorter = min(len(first.moments), len(second.moments)) - 1
        return shorter, f"one walk ends after {shorter} steps, the other does not"
    return None


def _apart(left: Any, right: Any) -> str:
    """Show two values from a little before where they part."""
    if isinstance(left, tuple) and isinstance(right, tuple):
        here, there = sorted(set(left) - set(right)), sorted(set(right) - set(left))
        return f"listed differently (only once: {shown([*here, *there])})" if here or there else "in another order"
    if isinstance(left, str) and isinstance(right, str):
        same = next((n for n, (a, b) in enumerate(zip(left, right, strict=False)) if a != b), 0)
        begin = max(0, same - 15)
        left, right = left[begin : begin + 60], right[begin : begin + 60]
    return f"{shown(left)} and then {shown(right)}"
