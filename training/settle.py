"""From stored attempts to weighed rows: rewards by name, then credit by name, then rows of tokens."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..config_training import TrainConfig
from ..core import Trajectory
from ..errors import ConfigError, TrainingError
from ..roles import role_of
from .collate import Weighed
from .credit.contributions import settled_episode
from .credit.episode import Advantages, Credit, Episode
from .credit.named import NEEDS, advantages_by, credit_named
from .headers import INFRASTRUCTURE, NOTHING, nothing_in
from .objectives.named import objective_named
from .rewarded import SAMPLES, GroupFigures, Rewarded, even, pick, reward_groups
from .rewards.named import REWARDS, Part, parts
from .rows import CALLS, LEFT_OUT, Row, rows_of
from .selection import resampled
from .sources import Sources

PLAYED = "Attempts of baselines (random, expert) have none; collect with a model."
NO_LOGPROBS = "rows without log-probabilities"


@dataclass(frozen=True)
class Settled:
    """Rows with what each of their tokens is worth."""

    rows: list[Weighed]
    left_out: dict[str, int] = field(default_factory=dict)
    """Why attempts or rows were left out, and how many."""
    groups: GroupFigures = field(default_factory=GroupFigures)
    returns: dict[str, float] = field(default_factory=dict)
    """What each attempt got by `grpo.rewards`, by its id."""


def settle(config: TrainConfig, sources: Sources, tokenizer: Any) -> Settled:
    """Return the rows that reinforcement trains on, each token with its advantage.

    Rewards are settled first, by `grpo.rewards`; then groups without a difference are left out where the estimator
    compares siblings and `grpo.pick_groups` is set; then `grpo.credit` sees all groups at once.

    Raises:
        ConfigError: an estimator, a reward, an objective or an option is not one there is.
        TrainingError: a reward or an advantage is not finite, the estimator lacks what it needs, or nothing is left.
    """
    credit, known = named(config)
    left_out: Counter[str] = Counter()
    groups = sources.groups()
    if config.replay.resample is not None:
        ended = sum(one.failure is not None for one in sources.trajectories)
        before = len(sources.trajectories) - ended
        groups = resampled(groups, config.replay.resample, config.seed)
        left_out.update({INFRASTRUCTURE: ended, "resampled away": before - sum(map(len, groups))})
    rewarded = reward_groups(config, groups, known, left_out)
    picked, figures = pick(config, credit, rewarded, left_out)
    able, episodes = _episodes(credit, picked, left_out)
    rows = [
        weighed
        for group, advantages in zip(able, _advantages(config, credit, able, episodes), strict=True)
        for one, of_steps in zip(group, advantages, strict=True)
        for weighed in _rows(config, one.trajectory, of_steps, tokenizer, left_out)
    ]
    _some(config, rows, left_out)
    returns = {one.trajectory.id: even(one.total) for group in rewarded for one in group}
    return Settled(rows, {why: n for why, n in left_out.items() if n}, figures, returns)


def named(config: TrainConfig) -> tuple[Credit, list[Part]]:
    """Return the estimator and the rewards that a configuration names, with its objective looked at as well.

    Raises:
        ConfigError: an estimator, a reward, an objective or an option is not one there is, or they do not go together.
    """
    credit = credit_named(config.grpo.credit, config.grpo.credit_options)
    if config.grpo.objective is not None:
        objective_named(config.grpo.objective, config.grpo.objective_options)
    known = parts(config.grpo.rewards, config.grpo.reward_options)
    bounds = config.grpo.reward_bounds
    if bounds is not None and not bounds[0] < bounds[1]:
        raise ConfigError(f"grpo.reward_bounds are {list(bounds)}: the lower one comes first.")
    for part in known:
        if part.name in REWARDS and not REWARDS[part.name].baseline and credit.name != "step_return":
            raise ConfigError(
                f"reward {part.name} stands for an advantage, and {credit.name} would take a baseline off it.",
                hint="Set grpo.credit = step_return, or take verifier_backward.",
            )
    return credit, known


def _episodes(
    credit: Credit, groups: Sequence[Sequence[Rewarded]], left_out: Counter[str]
) -> tuple[list[list[Rewarded]], list[list[Episode]]]:
    """Return attempts and episodes that have what the estimator needs beyond rewards."""
    need = NEEDS.get(credit.name)
    able, episodes, lacking = [], [], []
    for group in groups:
        both = [(one, settled_episode(one.trajectory, one.rewards)) for one in group]
        kept = [(one, episode) for one, episode in both if need is None or getattr(episode, need.what)]
        lacking += [episode.id for _, episode in both if need is not None and not getattr(episode, need.what)]
        if kept:
            able.append([one for one, _ in kept])
            episodes.append([episode for _, episode in kept])
    if need is not None and lacking:
        left_out[f"without {need.words}"] += len(lacking)
        if not able:
            raise TrainingError(
                f"credit {credit.name} needs {need.words}, which none of the {len(lacking)} attempts has "
                f"({lacking[0]} is the first).",
                hint=need.hint,
                kind=NOTHING,
            )
    return able, episodes


def _advantages(
    config: TrainConfig, credit: Credit, able: Sequence[Sequence[Rewarded]], episodes: Sequence[Sequence[Episode]]
) -> Advantages:
    """Return what the estimator says, of each part that the model played by itself.

    Rewards of solver, proposer and verifier have scales of their own, and some estimators compare over all groups.
    Absolute Zero takes a baseline for each pair of task and role (2505.03335).
    """
    parts: dict[str, list[int]] = {}
    for place, group in enumerate(able):
        parts.setdefault(role_of(group[0].trajectory), []).append(place)
    found: Advantages = [[] for _ in able]
    for places in parts.values():
        said = advantages_by(config.grpo.credit, credit, [episodes[place] for place in places])
        for place, values in zip(places, said, strict=True):
            found[place] = values
    return found


def _rows(
    config: TrainConfig, one: Trajectory, of_steps: Sequence[float], tokenizer: Any, left_out: Counter[str]
) -> list[Weighed]:
    by = [0.0] * (max(step.index for step in one.steps) + 1)
    for step, value in zip(one.steps, of_steps, strict=True):
        if not math.isfinite(value):
            raise TrainingError(
                f"the advantage of step {step.index} of trajectory {one.id} by {config.grpo.credit} is {value}.",
                hint="Look at the group with `lamarck train inspect`.",
            )
        by[step.index] = value
    found = formed(config, one, tokenizer, left_out)
    left_out[NO_LOGPROBS] += sum(not row.on_record for row in found)
    return [Weighed(row, row.advantages(by)) for row in found if row.on_record]


def _some(config: TrainConfig, rows: Sequence[Weighed], left_out: Counter[str]) -> None:
    if not rows and left_out[NO_LOGPROBS]:
        raise TrainingError(
            "no attempt has the log-probabilities of the policy that sampled it, which reinforcement needs.",
            hint="Collect with a model that returns them (embedded, vLLM), or train by sft, dpo or kto.",
            kind=NOTHING,
        )
    if not rows:
        raise nothing(left_out)
    if config.grpo.beta == 0 and not any(value for one in rows for value in one.advantages):
        raise TrainingError(
            f"all advantages by {config.grpo.credit} are 0: training would change nothing.",
            hint=SAMPLES,
            kind=nothing_in(left_out),
        )


def nothing(left_out: Mapping[str, int]) -> TrainingError:
    """Return the error that no attempt gave a row."""
    if left_out.get(CALLS):
        return TrainingError(
            f"no attempt can be written for this model: {left_out[CALLS]} {CALLS}.",
            hint="Take a model whose chat template has tool calls, or attempts of protocol text or choice.",
            kind=NOTHING,
        )
    return TrainingError("no attempt holds an answer of a model.", hint=PLAYED, kind=NOTHING)


def formed(config: TrainConfig, one: Trajectory, tokenizer: Any, left_out: Counter[str]) -> list[Row]:
    """Return the rows of an attempt as `samples` wants them; one that gives none is counted.

    Raises:
        TrainingError: its tokens or its text cannot be used; says which attempt and step.
    """
    wanted = config.samples
    try:
        found = rows_of(one, form=wanted.rows, tokenizer=tokenizer, strip=wanted.strip_recalled)
    except TrainingError as error:
        if error.kind not in LEFT_OUT:
            raise
        left_out[LEFT_OUT[error.kind]] += 1
        return []
    if not found:
        left_out["without an answer of a model"] += 1
    return found
