"""An estimator of progress: how much each step brought its episode further, learned from outcomes alone."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

from ...core import Trajectory
from ...errors import TrainingError
from .contributions import META

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Matrix = NDArray[np.float64]

Features = Callable[[Trajectory], "Matrix"]
"""Returns what is known of each step when it is taken: (T, D) for T steps, the same D for all trajectories."""
_WORD = re.compile(r"[a-z]+")
_LINKS = frozenset({"to", "from", "in", "on", "with", "at", "into", "of"})


@dataclass(frozen=True)
class HashedText:
    """Features of the text of a step, hashed into D buckets (Weinberger et al. 2009), without their signs.

    A step is described by its action in which every word after the verb is replaced by whether the goal names it, by
    whether that action was taken before, by the shapes of what was carried out before it, and by whether the last
    observation was new. Nothing that comes after the action is looked at.
    """

    size: int = 2048

    def __call__(self, trajectory: Trajectory) -> Matrix:
        """Return the features of each step: (T, D)."""
        import numpy as np

        found = np.zeros((len(trajectory.steps), self.size))
        goal = set(_WORD.findall(_goal(trajectory).lower()))
        actions: set[str] = set()
        shapes: set[str] = set()
        seen: set[str] = set()
        for t, step in enumerate(trajectory.steps):
            action = (step.action or "").lower()
            shape = _shape(action, goal)
            again = action in actions
            names = [f"shape {shape}", f"shape {shape} again {again}", f"validity {step.validity}"]
            if not again:
                names += [f"shape {shape} after {before}" for before in sorted(shapes)]
                names.append(f"shape {shape} known {shape in shapes} seen {step.observation in seen}")
            for name in names:
                found[t, _bucket(name, self.size)] += 1.0
            actions.add(action)
            shapes.add(shape)
            seen.add(step.observation)
        return found


@dataclass(frozen=True, eq=False)
class Estimator:
    """c_t = w . phi(s_t, a_t)."""

    weights: Matrix
    """(D,)."""
    features: Features

    def progress(self, trajectory: Trajectory) -> tuple[float, ...]:
        """Return the estimated contribution of each step to the outcome: (T,)."""
        return tuple(float(value) for value in self.features(trajectory) @ self.weights)

    def marked(self, trajectory: Trajectory) -> Trajectory:
        """Return the trajectory with its contributions where credit and rewards look for them."""
        stored: list[Any] = list(self.progress(trajectory))
        return trajectory.model_copy(update={"meta": {**trajectory.meta, META: stored}})


def fit(
    trajectories: Sequence[Trajectory],
    *,
    features: Features | None = None,
    ridge: float = 0.3,
    target: Callable[[Trajectory], float | None] | None = None,
) -> Estimator:
    """Return the estimator whose contributions add up to the outcomes as nearly as can be.

    Minimises the mean over trajectories of (sum_t c_t - R)^2, plus ridge |w|^2 (Wang et al. 2025, SPA-RL: mean squared
    error of the summed contributions and the outcome; the penalty is ours). The publication fits a linear head on a
    language model that is trained along with it; here the features are frozen, so that the minimum is exact, unique
    and needs no seed. Hidden states of a frozen model can take the place of the hashed text through `features`.

    Outcomes fix the sums only. What several steps always do together is shared out among them, and the stronger the
    penalty, the more goes to those that tell attempts apart best.

    Args:
        trajectories: attempts with outcomes; those that infrastructure ended, or without a step, are left out.
        features: what is known of a step; hashed text if not given.
        ridge: weight of the penalty, above 0.
        target: the outcome R; the score where the environment gives one, else the reward, if not given.

    Raises:
        TrainingError: no attempt has an outcome, or all have the same, the features are not finite, or the penalty is
            not above 0.
    """
    import numpy as np

    if ridge <= 0:
        raise TrainingError(f"the penalty on progress is {ridge}; it is above 0, or the solution is not unique.")
    features = features or HashedText()
    known = [
        (one, value)
        for one in trajectories
        if one.failure is None and one.steps and (value := (target or outcome_of)(one)) is not None
    ]
    if len({value for _, value in known}) < 2:
        raise TrainingError(
            f"progress cannot be learned from {len(known)} attempts with the same outcome.",
            hint="Give it attempts that went well and attempts that did not.",
        )
    sums = np.stack([features(one).sum(axis=0) for one, _ in known])
    outcomes = np.array([value for _, value in known])
    if not (np.isfinite(sums).all() and np.isfinite(outcomes).all()):
        raise TrainingError("the features or outcomes that progress is learned from are not finite.")
    # The dual form: there are fewer attempts than features.
    gram = sums @ sums.T + ridge * len(known) * np.eye(len(known))
    return Estimator(sums.T @ np.linalg.solve(gram, outcomes), features)


def outcome_of(trajectory: Trajectory) -> float | None:
    """Return the score of an attempt where there is one, else its reward."""
    return trajectory.score if trajectory.score is not None else trajectory.reward


def _goal(trajectory: Trajectory) -> str:
    return trajectory.task.goal or (trajectory.steps[0].observation if trajectory.steps else "")


def _shape(action: str, goal: set[str]) -> str:
    """Return an action without numbers, its words after the verb told apart by whether the goal names them."""
    words = _WORD.findall(action)
    kept = ("wanted" if word in goal else word if word in _LINKS else "_" for word in words[1:])
    return " ".join([*words[:1], *kept])


def _bucket(name: str, size: int) -> int:
    return int.from_bytes(blake2b(name.encode(), digest_size=8).digest(), "big") % size
