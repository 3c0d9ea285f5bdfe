"""What figures need to know of an episode: attempts, put together to samples, each of which counts once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ...core import Failure, Stop, Trajectory, Usage
from ..questions import number_of
from .invalid import Invalid, invalid_of


@dataclass(frozen=True, slots=True)
class Outcome:
    """One attempt without its steps, so that thousands of them fit into memory."""

    trajectory_id: str
    task_id: str
    category: str
    sample: int
    attempt: int
    parent: str | None
    success: bool | None
    score: float | None
    steps: int
    seconds: float
    usage: Usage
    stop: Stop
    failure: Failure | None
    invalid: Invalid
    answer: str | None = None
    """What was answered, in a form in which equal answers are equal texts; None where nothing was asked."""
    said: bool = False
    """Whether the environment said itself what the answer was."""
    acted: bool = False
    """Whether anything was given to the environment."""
    started_at: float = 0.0

    @property
    def scored(self) -> bool:
        """Whether the environment said anything on how good it was."""
        return self.score is not None or self.success is not None

    @property
    def credit(self) -> float:
        """Score in [0, 1]; where the environment gives none, 1 for success and 0 else."""
        return self.score if self.score is not None else float(bool(self.success))


@dataclass(frozen=True, slots=True)
class Sample:
    """One independent try at a task, with all its attempts in order.

    An attempt that infrastructure ended says nothing and was started anew; one that ended by itself and has a
    successor was repaired. The last attempt that ended by itself is the outcome of the sample.
    """

    task_id: str
    sample: int
    attempts: tuple[Outcome, ...]

    @property
    def category(self) -> str:
        """The category of the task."""
        return self.attempts[0].category

    @property
    def finished(self) -> tuple[Outcome, ...]:
        """The attempts that ended by themselves."""
        return tuple(attempt for attempt in self.attempts if attempt.failure is None)

    @property
    def failed(self) -> tuple[Outcome, ...]:
        """The attempts that infrastructure ended."""
        return tuple(attempt for attempt in self.attempts if attempt.failure is not None)

    @property
    def lost(self) -> bool:
        """Whether infrastructure ended every attempt, so that there is no outcome."""
        return not self.finished

    @property
    def first(self) -> Outcome | None:
        """The attempt before any repair."""
        return next(iter(self.finished), None)

    @property
    def last(self) -> Outcome | None:
        """The attempt that counts."""
        return next(reversed(self.finished), None)

    @property
    def best(self) -> Outcome | None:
        """The best attempt; choosing it needs the truth, so it is a bound and no result."""
        return max(self.finished, key=lambda one: (bool(one.success), one.credit), default=None)

    @property
    def repairs(self) -> int:
        """How often it was sent back after an attempt that ended by itself."""
        return max(0, len(self.finished) - 1)

    @property
    def steps(self) -> int:
        """Steps of all its finished attempts."""
        return sum(one.steps for one in self.finished)

    @property
    def seconds(self) -> float:
        """Seconds of all its finished attempts."""
        return sum(one.seconds for one in self.finished)

    @property
    def usage(self) -> Usage:
        """Tokens and money of all its finished attempts."""
        return sum((one.usage for one in self.finished), Usage())


def outcome_of(trajectory: Trajectory) -> Outcome:
    """Return what figures need of a trajectory; it must have its steps."""
    return Outcome(
        trajectory_id=trajectory.id,
        task_id=trajectory.task.id,
        category=trajectory.task.category or "(none)",
        sample=trajectory.sample,
        attempt=trajectory.attempt,
        parent=trajectory.parent,
        success=trajectory.success,
        score=trajectory.score,
        steps=len(trajectory.steps),
        seconds=trajectory.seconds,
        usage=trajectory.usage,
        stop=trajectory.stop,
        failure=trajectory.failure,
        invalid=invalid_of(trajectory),
        answer=answer_of(trajectory),
        said=bool(trajectory.steps) and isinstance(trajectory.steps[-1].info.get("answer"), str),
        acted=any(step.action is not None for step in trajectory.steps),
        started_at=trajectory.started_at,
    )


def samples_of(outcomes: Iterable[Outcome]) -> list[Sample]:
    """Put attempts together to samples, in the order in which the samples began."""
    found: dict[tuple[str, int], list[Outcome]] = {}
    for outcome in outcomes:
        found.setdefault((outcome.task_id, outcome.sample), []).append(outcome)
    samples = [
        Sample(task_id, sample, tuple(sorted(attempts, key=lambda one: one.attempt)))
        for (task_id, sample), attempts in found.items()
    ]
    return sorted(samples, key=lambda one: (one.attempts[0].started_at, one.task_id, one.sample))


def by_task(samples: Iterable[Sample]) -> dict[str, list[Outcome]]:
    """Return the outcomes of each task, in order of their sample numbers; lost samples have none."""
    found: dict[str, list[Outcome]] = {}
    for sample in sorted(samples, key=lambda one: one.sample):
        if sample.last is not None:
            found.setdefault(sample.task_id, []).append(sample.last)
    return found


def answer_of(trajectory: Trajectory) -> str | None:
    """Return the answer of an episode that was a question, or None.

    It is `info["answer"]` of the last step where the environment says one, else the only action that was given to a
    world which ended at once.
    """
    if not trajectory.steps:
        return None
    last = trajectory.steps[-1]
    said = last.info.get("answer")
    if isinstance(said, str):
        return plain(said, trajectory.task.truth)
    acted = [step for step in trajectory.steps if step.action is not None]
    if last.terminated and len(acted) == 1 and last.action is not None:
        return plain(last.action, trajectory.task.truth)
    return None


def plain(answer: str, truth: object = None) -> str:
    """Return an answer so that equal ones are the same text: its number where a number is asked for, else its words."""
    if isinstance(truth, str) and number_of(truth) is not None:
        number = number_of(answer)
        if number is not None:
            return repr(number)
    return " ".join(answer.casefold().split())


def values(outcomes: Sequence[Outcome]) -> list[float]:
    """Return 1 for success and 0 for failure of those outcomes that are known."""
    return [float(one.success) for one in outcomes if one.success is not None]
