"""What stored attempts have to be before anything is trained on them: numbers, and tokens of the right vocabulary."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from ..core import Step, Trajectory
from ..errors import ConfigError, TrainingError
from .base import Base
from .decoding import misspelled
from .examples import Judged
from .headers import NOTHING
from .segments import segments

WEIGHTS = re.compile(r"([0-9a-f]{12})(\+.*)?")
"""Policy versions that name weights: base, and behind a `+` the adapter on it."""
LOOKED_AT = 64
"""Steps whose ids are compared with their text."""


class Sampler(NamedTuple):
    """Who sampled a step, as far as it is known."""

    weights: str
    """12 hex digits of the base weights, or nothing."""
    model: str

    @classmethod
    def of(cls, step: Step) -> Sampler:
        """Return that of a step."""
        found = WEIGHTS.fullmatch(step.policy_version)
        return cls(found[1] if found else "", step.model)

    def shares_tokens(self, other: Sampler) -> bool:
        """Say whether both have one tokenizer, for all that is known: the same weights, else the same name."""
        if self.weights and other.weights:
            return self.weights == other.weights
        return not (self.model and other.model) or self.model == other.model

    def __str__(self) -> str:
        name = self.model or "an unnamed model"
        return f"{name} (weights {self.weights})" if self.weights else name


def check(trajectories: Sequence[Trajectory], base: Base) -> None:
    """Make sure that attempts can be trained on by this model.

    Raises:
        TrainingError: a reward or log-probability is not finite; tokens are of several vocabularies, or not of the
            model's; or they are not the text that stands beside them.
    """
    for one in trajectories:
        check_numbers(one)
    check_samplers(trajectories, base)
    for one in trajectories:
        check_vocabulary(one, base)
    check_text(trajectories, base)


def check_numbers(one: Trajectory) -> None:
    """Make sure that rewards and log-probabilities are finite.

    Raises:
        TrainingError: one is not.
    """
    if one.reward is not None and not math.isfinite(one.reward):
        raise TrainingError(f"the reward of trajectory {one.id} is {one.reward}.", hint=_MEND)
    for step in one.steps:
        if not math.isfinite(step.reward):
            raise TrainingError(f"the reward of step {step.index} of trajectory {one.id} is {step.reward}.", hint=_MEND)
        for segment in segments(step):
            wrong = next((value for value in segment.logprobs if not math.isfinite(value)), None)
            if wrong is not None:
                raise TrainingError(
                    f"step {step.index} of trajectory {one.id} has a log-probability of {wrong}.", hint=_MEND
                )


_MEND = "Its environment or model is at fault; name the tasks without it by samples.tasks, or export them without it."


def check_samplers(trajectories: Sequence[Trajectory], base: Base) -> None:
    """Make sure that everything was sampled with the tokenizer of the model to train.

    The same base weights have the same tokenizer, whatever adapter was on them. Where a server does not say what its
    weights are, its model's name is compared, and the text has to decide (`check_text`).

    Raises:
        TrainingError: two attempts were sampled by different models, or all by another one.
    """
    seen: dict[Sampler, str] = {}
    for one, step in _sampled(trajectories):
        seen.setdefault(Sampler.of(step), one.id)
    found = list(seen.items())
    for number, (sampler, ident) in enumerate(found):
        for other, before in found[:number]:
            if not sampler.shares_tokens(other):
                raise TrainingError(
                    f"mixed tokenizers: trajectory {before} was sampled by {other}, trajectory {ident} by {sampler}.",
                    hint="The same token ids mean other words to each; train on them in separate runs.",
                )
    for sampler, ident in found:
        if sampler.weights and sampler.weights != base.weights:
            raise TrainingError(
                f"trajectory {ident} was sampled by {sampler}, not by the model to train, {base.name} (weights "
                f"{base.weights}).",
                hint="Set model to the one that sampled it: its token ids mean other words to another.",
            )


def check_vocabulary(one: Trajectory, base: Base) -> None:
    """Make sure that every token id has a row in the model's embedding.

    Raises:
        TrainingError: one has not.
    """
    size = base.vocabulary
    for step in one.steps:
        for segment in segments(step):
            ids = segment.input_ids
            if min(ids) >= 0 and max(ids) < size:
                continue
            wrong = next(token for token in ids if not 0 <= token < size)
            raise TrainingError(
                f"step {step.index} of trajectory {one.id} has token id {wrong}, and {base.name} knows {size}.",
                hint="It was sampled by another model; set model to that one.",
            )


def check_text(trajectories: Sequence[Trajectory], base: Base) -> None:
    """Make sure that ids decode to the text that stands beside them: of the first step, and of 64 others at most.

    Raises:
        TrainingError: those of a step do not.
    """
    both = list(_sampled(trajectories))
    for one, step in (both[at] for at in spread_out(len(both))):
        if (wrong := misspelled(step, base.tokenizer)) is not None:
            ids, text = wrong
            said = base.tokenizer.decode(list(ids), skip_special_tokens=True)
            raise TrainingError(
                f"the token ids of step {step.index} of trajectory {one.id} read {_short(said)} by the tokenizer of "
                f"{base.name}, and its text is {_short(text)}.",
                hint="It was sampled with another tokenizer; set model to the one that sampled it.",
            )


def check_layers(model: Any) -> None:
    """Make sure that no adapter is on the output layer: TRL computes log-probabilities past it.

    Raises:
        ConfigError: there is one.
    """
    from peft.tuners.tuners_utils import BaseTunerLayer

    if isinstance(model.get_output_embeddings(), BaseTunerLayer):
        raise ConfigError(
            "the adapter is on the output layer (lm_head), where it would never be trained.",
            hint="Leave lm_head out of adapter.targets (`all-linear` does), or --start from another adapter.",
        )


def check_labels(examples: Sequence[Any]) -> None:
    """Make sure that there are good and bad among judged answers, now that some are held back or left out.

    Raises:
        TrainingError: all are the same.
    """
    found = {one.label for one in examples if isinstance(one, Judged)}
    if len(found) == 1:
        word = "good" if True in found else "bad"
        raise TrainingError(
            f"all {len(examples)} answers that are left to train on are {word}, and kto needs good and bad ones.",
            hint="Lower validate_share, collect more tasks, or train by sft.",
            kind=NOTHING,
        )


def spread_out(count: int) -> list[int]:
    """Return 0 and at most `LOOKED_AT` more of the numbers below `count`, evenly spread."""
    stride = max(1, -(-count // LOOKED_AT))
    return sorted({*range(count)[:1], *range(stride // 2, count, stride)})


def _sampled(trajectories: Sequence[Trajectory]) -> Iterator[tuple[Trajectory, Step]]:
    return ((one, step) for one in trajectories for step in one.steps if segments(step))


def _short(text: str) -> str:
    return repr(text if len(text) <= 40 else text[:37] + "...")
