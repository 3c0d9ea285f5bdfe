"""Rewards by name with options, as a configuration speaks of them, and what each step gets of them."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from numbers import Real
from typing import Any, Literal, NamedTuple

from pydantic import ConfigDict, ValidationError, validate_call

from ...core import ToolCall, Trajectory
from ...errors import ConfigError, LamarckError, TrainingError, boundary
from ..guests import guest, plugin, there_are
from . import episode, noisy, shaping, tool_use
from .progress import progress_steps
from .reward import RewardFunction, Rewards, checked, of_trajectory

StepRewards = Callable[[Trajectory], tuple[float, ...] | None]
"""Returns the reward of each step, (T,), or None where it does not apply."""

GROUP = "lamarck.rewards"
"""Entry points by which a package names rewards of its own."""
LARGEST = 1e100
"""Of a step; deviations square it."""


class Kind(NamedTuple):
    """A reward that there is."""

    make: Callable[..., StepRewards]
    """Takes the options."""
    of_steps: bool
    """Whether it speaks of steps; the others are given to the last step."""
    baseline: bool = True
    """Whether a baseline may be taken off it."""


class Part(NamedTuple):
    """One reward with its weight."""

    name: str
    weight: float
    rewards: StepRewards
    of_steps: bool


def parts(weights: Mapping[str, float], options: Mapping[str, Mapping[str, Any]]) -> list[Part]:
    """Return the rewards that a configuration names.

    Args:
        weights: name to weight. A name is one of ours or, with the signature of TRL's reward functions, `module:name`
            or what a package gives in the entry points `lamarck.rewards`.
        options: name to keyword arguments.

    Raises:
        ConfigError: there is no reward, none of that name, or it does not take these options.
    """
    if not weights:
        raise ConfigError("grpo.rewards names no reward.", hint="The default is {environment = 1.0}.")
    idle = [name for name in options if name not in weights]
    if idle:
        raise ConfigError(f"grpo.reward_options.{idle[0]} is set, but grpo.rewards does not name {idle[0]}.")
    found = []
    for name, weight in weights.items():
        if not math.isfinite(weight):
            raise ConfigError(f"grpo.rewards.{name} is {weight}, which is no weight.")
        made = _made(name, dict(options.get(name, {})))
        found.append(Part(name, weight, made, name in REWARDS and REWARDS[name].of_steps))
    return found


def summed(
    known: Sequence[Part], trajectory: Trajectory, bounds: tuple[float, float] | None = None
) -> tuple[float, ...] | None:
    """Return the reward of each step: the weighted sum of all parts that apply, or None where none does: (T,).

    Args:
        known: rewards with weights.
        trajectory: an attempt with at least one step that infrastructure did not end.
        bounds: lowest and highest reward of the whole episode. What is over is taken off the last step.

    Raises:
        TrainingError: a reward is NaN, infinite or huge, or there is not one for each step.
    """
    steps = len(trajectory.steps)
    total, any_ = [0.0] * steps, False
    for part in known:
        found = part.rewards(trajectory)
        if found is None:
            continue
        if len(found) != steps:
            raise TrainingError(
                f"reward {part.name} of trajectory {trajectory.id} has {len(found)} values for {steps} steps."
            )
        for index, value in enumerate(found):
            checked(value, f"trajectory {trajectory.id} at step {index} by {part.name}")
            total[index] += part.weight * value
        any_ = True
    if not any_:
        return None
    for index, value in enumerate(total):
        if not abs(value) <= LARGEST:
            raise TrainingError(
                f"the reward of step {index} of trajectory {trajectory.id} is {value:g}, too large to be compared.",
                hint="Lower its weight in grpo.rewards.",
            )
    if bounds is not None:
        whole = math.fsum(total)
        total[-1] += min(bounds[1], max(bounds[0], whole)) - whole
    return tuple(total)


def alone(inner: RewardFunction, *, share: bool = False) -> StepRewards:
    """Return a reward of each step by showing an episode's reward function one step at a time.

    For rewards that are a sum over the steps, or with `share` their mean; so the steps add up to the whole.
    """

    def rewards(trajectory: Trajectory) -> tuple[float, ...] | None:
        single = [trajectory.model_copy(update={"steps": (step,)}) for step in trajectory.steps]
        known = inner([None] * len(single), [None] * len(single), trajectory=single)
        if any(value is None for value in known):
            return None
        return tuple((value or 0.0) / (len(known) if share else 1) for value in known)

    return rewards


def at_the_end(inner: RewardFunction) -> StepRewards:
    """Return a reward that the last step gets for the whole episode."""

    def rewards(trajectory: Trajectory) -> tuple[float, ...] | None:
        prompt = [{"role": message.role, "content": message.content} for message in trajectory.steps[0].messages]
        answers = [{"role": "assistant", "content": step.completion} for step in trajectory.steps]
        [found] = inner([prompt], [answers], trajectory=[trajectory])
        return None if found is None else (*(0.0 for _ in trajectory.steps[1:]), float(found))

    return rewards


def _last(make: Callable[..., RewardFunction]) -> Callable[..., StepRewards]:
    return lambda **options: at_the_end(_called(make, options))


def _each(make: Callable[..., RewardFunction], *, share: bool = False) -> Callable[..., StepRewards]:
    return lambda **options: alone(_called(make, options), share=share)


def process(*, shape: Literal["none", "clip", "delta"] = "delta", eta: float = 0.5) -> StepRewards:
    """Reward each step by the verdict's score for it, bounded so that repeated good steps add up to nothing.

    Args:
        shape: `clip` and `delta` as in `shaping`; `none` leaves the scores as they are.
        eta: the score that `clip` gives 0 for.
    """

    def rewards(trajectory: Trajectory) -> tuple[float, ...] | None:
        scores = trajectory.verdict.step_scores if trajectory.verdict is not None else ()
        if len(scores) != len(trajectory.steps):
            return None
        return {"none": scores, "clip": shaping.clip(scores, eta), "delta": shaping.delta(scores)}[shape]

    return rewards


def tool_calls() -> RewardFunction:
    """Reward tool calls against those in `task.truth`, a list of objects with `name` and `arguments` (ToolRL)."""

    def wanted(trajectory: Trajectory) -> list[ToolCall] | None:
        truth = trajectory.task.truth
        if not isinstance(truth, list) or not all(isinstance(one, dict) and "name" in one for one in truth):
            return None
        try:
            return [ToolCall.model_validate(one) for one in truth]
        except ValidationError as error:
            raise TrainingError(f"the truth of task {trajectory.task.id} holds no tool calls.") from error

    return tool_use.matching(wanted)


def par(references: tuple[float, ...], k: float = 1.0) -> RewardFunction:
    """Reward the environment's sum by preference over reference rewards (PAR), within (0, 1)."""
    return shaping.par(episode.environment(), references, k)


def repair_cost() -> StepRewards:
    """Take off what the repairs up to this attempt cost, at the first step that was decided anew.

    The cost is g * C_repair of each verdict that sent the solver back (Agent0-VL, r_t), as it was stored with the
    attempt; by a verdict that was sure it is small. An attempt that needed no repair has none of it, so of two siblings
    that are equally good the one without is the better one.
    """

    def rewards(trajectory: Trajectory) -> tuple[float, ...] | None:
        cost = trajectory.meta.get("repair_cost")
        if trajectory.parent is None or isinstance(cost, bool) or not isinstance(cost, int | float):
            return None
        at = min(trajectory.fork_at or 0, len(trajectory.steps) - 1)
        return tuple(-float(cost) if index == at else 0.0 for index in range(len(trajectory.steps)))

    return rewards


def verifier_backward(accepts_wrong: float, rejects_right: float) -> RewardFunction:
    """Reward the verdict's yes or no, corrected for how the verifier errs (backward)."""
    return noisy.backward(_passed(), noisy.Noise(accepts_wrong, rejects_right))


def verifier_forward(rejects_right: float) -> RewardFunction:
    """Reward the verdict's yes or no as the weight of the forward correction."""
    return noisy.forward(_passed(), rejects_right)


def _passed() -> RewardFunction:
    return of_trajectory(lambda one: None if one.verdict is None else float(one.verdict.passed))


def _steps(make: Callable[..., StepRewards]) -> Callable[..., StepRewards]:
    return lambda **options: _called(make, options)


REWARDS: dict[str, Kind] = {
    "environment": Kind(_each(episode.environment), True),
    "outcome": Kind(_last(episode.outcome), False),
    "invalid_actions": Kind(_each(episode.invalid_actions), True),
    "format": Kind(_each(episode.well_formed, share=True), True),
    "process": Kind(_steps(process), True),
    "progress": Kind(_steps(progress_steps), True),
    "length": Kind(_last(episode.length), False),
    "verifier": Kind(_last(episode.verifier), False),
    "verifier_backward": Kind(_last(verifier_backward), False),
    "verifier_forward": Kind(_last(verifier_forward), False, baseline=False),
    "tool_use": Kind(_last(tool_use.used), False),
    "tool_calls": Kind(_last(tool_calls), False),
    "par": Kind(_last(par), False),
    "repair_cost": Kind(_steps(repair_cost), True),
}
"""Every reward of ours by name."""


def _own(name: str, function: RewardFunction) -> RewardFunction:
    """Return a function of the user's own, which may do anything, with its failures told in one line."""

    def reward(prompts: Sequence[Any], completions: Sequence[Any], **columns: Any) -> Rewards:
        [one] = columns["trajectory"]
        with boundary(TrainingError, f"grpo.rewards {name} failed at trajectory {one.id}"):
            found = function(prompts, completions, **columns)
        fits = isinstance(found, Sequence) and len(found) == len(completions)
        if not fits or not all(value is None or isinstance(value, Real) for value in found):
            raise TrainingError(
                f"grpo.rewards {name} returns {found!r} for {len(completions)} attempt.",
                hint="It returns a list with a number or None for each attempt.",
            )
        return found

    return reward


def _called(make: Callable[..., Any], options: dict[str, Any]) -> Any:
    return validate_call(config=ConfigDict(allow_inf_nan=False))(make)(**options)


def _made(name: str, options: dict[str, Any]) -> StepRewards:
    function = guest(name, "grpo.rewards") if ":" in name else None
    if function is None and name not in REWARDS:
        function = plugin(name, GROUP, "grpo.rewards")
    if function is not None:
        if options:
            raise ConfigError(f"grpo.reward_options.{name}: a function of your own takes no options.")
        if not callable(function) or inspect.iscoroutinefunction(function):
            raise ConfigError(
                f"grpo.rewards {name} is no plain function.", hint="It returns a list of numbers or None."
            )
        return at_the_end(_own(name, function))
    if name not in REWARDS:
        raise ConfigError(
            f"grpo.rewards names {name!r}; there are: {there_are(REWARDS, GROUP)}.",
            hint="A function of your own is named as module:name.",
        )
    try:
        return REWARDS[name].make(**options)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        key = ".".join(map(str, first["loc"]))
        raise ConfigError(f"grpo.reward_options.{name}.{key}: {first['msg'].lower()}.") from None
    except LamarckError as error:
        raise ConfigError(f"grpo.reward_options.{name}: {error.message}", hint=error.hint) from error
