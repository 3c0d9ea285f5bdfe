"""Best of n: one sample of each task, picked without a look at the outcome, and how often that one is right.

What is compared is stored with every step already, so any run with several samples can be picked from after the fact.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from ...config import CollectConfig
from ...core import Trajectory
from ...errors import ConfigError
from ..questions import number_of
from .intervals import Interval, credit_interval, share_interval
from .outcomes import answer_of

Rule = Literal["certainty", "likelihood", "majority", "borda"]
Decided = Literal["certainty", "likelihood", "majority", "verifier", "borda"]

INSTEAD: dict[Rule, tuple[Decided, ...]] = {
    "certainty": ("certainty", "likelihood", "majority", "verifier"),
    "likelihood": ("likelihood", "majority", "verifier"),
    "majority": ("majority",),
    "borda": ("borda", "majority"),
}
"""What each rule goes by, in this order, where the samples of a task do not hold what it needs."""
BARE_NUMBER = re.compile(r"\W{0,4}[\d.,/]{1,40}\W{0,4}")
POWER = 1.2
"""Of the ranks in Borda votes; published values depend on how many samples there are, and are about this."""
NOT_A_LOGPROB = -1e8
"""Below this, a log-probability stands for one that the server did not give."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """The attempt of a sample that counts, as far as picking and the figures after it need it."""

    trajectory_id: str
    task_id: str
    category: str
    sample: int
    attempt: int
    success: bool | None
    credit: float
    """Partial score in [0, 1], or 1 for success and 0 else."""
    certainty: float | None = None
    """Minus the mean entropy of the distributions that the tokens were drawn from, in nats."""
    likelihood: float | None = None
    """Mean natural log-probability of the tokens that were drawn."""
    answer: str | None = None
    """What was answered, where the episode was a question."""
    verified: float | None = None
    """Score by a verifier, in [0, 1]; the environment's own verdict is the outcome and not meant here."""


@dataclass(frozen=True, slots=True)
class Picked:
    """What was picked of one task."""

    chosen: Candidate
    by: Decided
    """What decided."""
    of: int
    """How many samples there were."""


@dataclass(frozen=True, slots=True)
class PickedFigures:
    """How good the picked samples are; each task counts once."""

    rule: Rule
    tasks: int
    by: dict[str, int]
    """How many tasks each measure decided."""
    success: Interval
    score: Interval
    unknown: int
    """Picked samples whose environment never said whether they succeeded; they are not in `success`."""

    def as_dict(self) -> dict[str, object]:
        """Return it as JSON-serialisable values."""
        counts: dict[str, object] = {"rule": self.rule, "tasks": self.tasks, "by": self.by, "unknown": self.unknown}
        return {**counts, "success": self.success.as_dict(), "score": self.score.as_dict()}


def candidate_of(trajectory: Trajectory) -> Candidate | None:
    """Return what picking needs of a trajectory with its steps; None for one that infrastructure ended."""
    if trajectory.failure is not None:
        return None
    verdict = trajectory.verdict
    return Candidate(
        trajectory_id=trajectory.id,
        task_id=trajectory.task.id,
        category=trajectory.task.category or "(none)",
        sample=trajectory.sample,
        attempt=trajectory.attempt,
        success=trajectory.success,
        credit=trajectory.score if trajectory.score is not None else float(bool(trajectory.success)),
        certainty=certainty_of(trajectory),
        likelihood=likelihood_of(trajectory),
        answer=blind_answer(trajectory),
        verified=verdict.score if verdict is not None and verdict.judge != "environment" else None,
    )


def likelihood_of(trajectory: Trajectory) -> float | None:
    """Return the mean log-probability of all tokens an episode sampled; None where the server gave none.

    The mean, not the sum: a sum would prefer short episodes.
    """
    found = [value for part in _sampled(trajectory) for value in part[0]]
    if not found or min(found) < NOT_A_LOGPROB:
        return None
    return sum(found) / len(found)


def certainty_of(trajectory: Trajectory) -> float | None:
    """Return how far the model's distributions were from uniform, as minus their mean entropy; None without entropies.

    Kang et al. 2025 (2502.18581) pick by self-certainty, the mean over tokens of KL(uniform || p), which needs the
    whole distribution at each token. What is stored is its entropy H(p), and log V - H(p) = KL(p || uniform): the same
    distance with its arguments exchanged. The vocabulary V is the same for all samples, so it is left out.
    """
    parts = _sampled(trajectory)
    if not parts or any(len(entropies) != len(logprobs) for logprobs, entropies in parts):
        return None
    found = [value for _, entropies in parts for value in entropies]
    return -sum(found) / len(found)


def blind_answer(trajectory: Trajectory) -> str | None:
    """Return the answer of an episode that was a question, equal ones as equal texts, without a look at the truth."""
    blind = trajectory.model_copy(update={"task": trajectory.task.model_copy(update={"truth": None})})
    answer = answer_of(blind)
    number = number_of(answer) if answer is not None and BARE_NUMBER.fullmatch(answer) else None
    return repr(number) if number is not None else answer


def rule_of(config: CollectConfig) -> Rule | Literal["none"]:
    """Return how one sample of each task is picked: where samples were allocated by answers, by the answers."""
    return "majority" if config.pick == "none" and config.allocate != "uniform" else config.pick


def pick(candidates: Iterable[Candidate], rule: Rule) -> list[Picked]:
    """Return one sample of each task, ordered by task id.

    Where a sample was repaired, its last attempt stands for it. Of equals, the first sample is taken.

    Raises:
        ConfigError: the samples of a task hold nothing that the rule could go by.
    """
    lasts: dict[tuple[str, int], Candidate] = {}
    for one in candidates:
        before = lasts.get((one.task_id, one.sample))
        if before is None or before.attempt < one.attempt:
            lasts[one.task_id, one.sample] = one
    tasks: dict[str, list[Candidate]] = {}
    for key in sorted(lasts):
        tasks.setdefault(key[0], []).append(lasts[key])
    # Among questions of which others were answered, one that was not is a wrong answer and no mistake of the rule.
    asked = rule in ("majority", "borda") and any(one.answer is not None for one in lasts.values())
    return [_of_one_task(group, rule, silent=asked) for group in tasks.values()]


def picked_figures(candidates: Iterable[Candidate], rule: Rule, *, seed: int = 0) -> PickedFigures:
    """Return how good the picked samples are.

    Args:
        candidates: see `candidate_of`.
        rule: by which they are picked.
        seed: of the intervals.

    Raises:
        ConfigError: the samples of a task hold nothing that the rule could go by.
    """
    chosen = pick(candidates, rule)
    known = [float(one.chosen.success) for one in chosen if one.chosen.success is not None]
    credits = [[one.chosen.credit] for one in chosen]
    return PickedFigures(
        rule=rule,
        tasks=len(chosen),
        by=dict(Counter[str](one.by for one in chosen)),
        success=share_interval([[value] for value in known], seed=seed),
        score=credit_interval(credits, seed=seed),
        unknown=len(chosen) - len(known),
    )


def _of_one_task(group: Sequence[Candidate], rule: Rule, *, silent: bool = False) -> Picked:
    for by in INSTEAD[rule]:
        worth = _worth(group, by)
        known = [value for value in worth if value is not None]
        if len(known) == len(group):
            return Picked(group[known.index(max(known))], by, len(group))
    if silent:
        return Picked(group[0], "majority", len(group))
    needs = (
        "answers"
        if rule in ("majority", "borda")
        else "log-probabilities, answers or a verifier's scores for all of them"
    )
    raise ConfigError(
        f"nothing to pick a sample of task {group[0].task_id} by {rule}: they hold no {needs}.",
        hint="Take a model or server that gives log-probabilities, or set collect.pick to none.",
        kind="pick",
    )


def _worth(group: Sequence[Candidate], by: Decided) -> list[float | None]:
    """Return by how much each sample of a task is to be preferred; None where that cannot be said."""
    if by == "certainty":
        return [one.certainty for one in group]
    if by == "likelihood":
        return [one.likelihood for one in group]
    if by == "verifier":
        return [one.verified for one in group]
    if by == "borda":
        return _borda(group)
    votes = Counter(one.answer for one in group if one.answer is not None)
    # A sample without an answer has no vote; where none has one, there is nothing to count.
    return [float(votes[one.answer]) if one.answer is not None else 0.0 for one in group] if votes else [None]


def borda(scores: Sequence[float], answers: Sequence[str], power: float = POWER) -> dict[str, float]:
    """Return the Borda votes of each answer: the sample of rank r among N has (N - r + 1) ** power.

    Kang et al. 2025 (2502.18581), by whom samples are ranked by self-certainty. A power of 0 is the plain majority.
    Equal scores rank by position.
    """
    order = sorted(range(len(scores)), key=lambda n: -scores[n])
    votes = dict.fromkeys(answers, 0.0)
    for rank, n in enumerate(order):
        votes[answers[n]] += (len(scores) - rank) ** power
    return votes


def _borda(group: Sequence[Candidate]) -> list[float | None]:
    """Return the votes for each sample's answer, by certainty or else by likelihood; none for one without an answer."""
    for by in ("certainty", "likelihood"):
        scores, answers = list[float](), list[str]()
        for one in group:
            score = one.certainty if by == "certainty" else one.likelihood
            if one.answer is not None and score is not None:
                scores.append(score)
                answers.append(one.answer)
        if scores and len(scores) == sum(one.answer is not None for one in group):
            votes = borda(scores, answers)
            return [votes[one.answer] if one.answer is not None else 0.0 for one in group]
    return [None]


def _sampled(trajectory: Trajectory) -> list[tuple[tuple[float, ...], tuple[float, ...]]]:
    """Return log-probabilities and entropies of every answer of an episode that has any, tool rounds too."""
    answers = []
    for step in trajectory.steps:
        answers += [(entry.logprobs, entry.entropies) for entry in step.rounds]
        answers.append((step.logprobs, step.entropies))
    return [answer for answer in answers if answer[0]]
