"""What a proposer has earned with a task, as published; all of it pure arithmetic.

`p` is the share of the attempts that solved the task, `n` how many attempts there were and `k` how many solved it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

from ...errors import ConfigError
from .proposer import Outcome

INVALID = -0.5
MALFORMED = -1.0


def azr(p: float) -> float:
    """Return 1 - p where 0 < p < 1, else 0: what is never solved is worth as little as what always is.

    Zhao et al. 2025 (Absolute Zero, 2505.03335), the learnability reward of the proposer.
    """
    return 1.0 - p if 0.0 < p < 1.0 else 0.0


def azr_composite(reward: float, *, well_formed: bool, valid: bool) -> float:
    """Return the reward of a valid task, -0.5 for one that does not hold, -1 for an answer that is none.

    Zhao et al. 2025, the composite reward.
    """
    if not well_formed:
        return MALFORMED
    return reward if valid else INVALID


def uncertainty(p: float) -> float:
    """Return 1 - 2|p - 1/2|: 1 where the student is right half of the time, 0 at both ends.

    Agent0 (2511.16043) and R-Zero (2508.05004); there p is the share of the student's majority answer, and Agent0 adds
    what tools were used and takes off repetition.
    """
    return 1.0 - 2.0 * abs(p - 0.5)


def difficulty(k: int, n: int) -> float:
    """Return (n - k) / (n - 1) where 0 < k < n, else 0; highest, 1, where exactly one attempt solved it.

    Dr. Zero (2601.07055), the difficulty part of the proposer's reward; the other part there pays for the format.
    """
    return (n - k) / (n - 1) if 0 < k < n else 0.0


def learnability(p: float) -> float:
    """Return p (1 - p), the variance of the outcome (SFL, Rutherford et al. 2024)."""
    return p * (1.0 - p)


def variance_band(p: float, *, width: float = 0.01) -> float:
    """Return exp(-(p (1 - p) - 1/4)^2 / (2 width)), 1 at p = 1/2 (SPICE, 2510.24684, with its width of 0.01)."""
    return math.exp(-((learnability(p) - 0.25) ** 2) / (2.0 * width))


def injected(p: float, *, valid: bool, alpha: float = 0.8) -> float:
    """Return -1 for an invalid task, -alpha where p is 0 or 1, else 1 - (1 + alpha) p.

    Self-play SWE-RL (2512.18552), the reward of who injects a bug.
    """
    if not valid:
        return -1.0
    return -alpha if p in (0.0, 1.0) else 1.0 - (1.0 + alpha) * p


def progress(before: float, after: float) -> float:
    """Return the student's success rate at later tasks, less that at earlier ones.

    SOAR (2601.18778) measures both on fixed hard tasks that the proposer does not see, around a training on what was
    proposed, and puts the student back each time. So does an evolution with `propose.students`. Where both are of what
    rounds have played, it is a gain only where the tasks of a category were drawn alike in both.
    """
    return after - before


def regret(best: float, baseline: float) -> float:
    """Return |best - baseline| of the rewards of one task's attempts.

    eva (2411.00062), "informativeness"; whether the baseline is the mean or the worst attempt is left open there.
    """
    return abs(best - baseline)


def mean_abs_advantage(k: int, n: int, *, scaled: bool = True) -> float:
    """Return the mean |advantage| of n attempts with rewards 1 (k of them) and 0.

    With p = k / n the mean of |r - p| is 2 p (1 - p); divided by the standard deviation sqrt(p (1 - p)), as GRPO does,
    it is 2 sqrt(p (1 - p)). This is the learning gain of SEC (2505.14970).
    """
    spread = learnability(k / n)
    return 2.0 * math.sqrt(spread) if scaled else 2.0 * spread


def informativeness(outcome: Outcome, baseline: str = "worst") -> float:
    """Return the regret of a task's attempts; where they carry no best and worst reward, solved counts 1."""
    best = outcome.best if outcome.best is not None else float(outcome.solved > 0)
    worst = outcome.worst if outcome.worst is not None else float(outcome.solved == outcome.attempts)
    mean = outcome.reward if outcome.best is not None else outcome.rate
    return regret(best, worst if baseline == "worst" else mean)


REWARDS: Mapping[str, Callable[[Outcome], float | None]] = {
    "azr": lambda outcome: azr(outcome.rate),
    "uncertainty": lambda outcome: uncertainty(outcome.rate),
    "difficulty": lambda outcome: difficulty(outcome.solved, outcome.attempts),
    "learnability": lambda outcome: learnability(outcome.rate),
    "variance": lambda outcome: variance_band(outcome.rate),
    "injected": lambda outcome: injected(outcome.rate, valid=True),
    "progress": lambda outcome: outcome.progress,
    "regret": informativeness,
}
"""By name; None where an outcome does not say enough."""


def earned(outcomes: Sequence[Outcome], reward: str) -> dict[str, float]:
    """Return what each task has earned its proposer; tasks whose outcome does not say it are left out.

    Raises:
        ConfigError: there is no such reward.
    """
    if reward not in REWARDS:
        raise ConfigError(f"there is no reward {reward!r} for proposers; there are: {', '.join(REWARDS)}.")
    found = {outcome.task_id: REWARDS[reward](outcome) for outcome in outcomes}
    return {ident: value for ident, value in found.items() if value is not None}
