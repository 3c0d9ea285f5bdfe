"""Splicing: a bad beginning up to its first error, a thought that takes it back, and the good way from there.

Agent-R (Yuan et al. 2025, arXiv 2501.11425) builds revision trajectories of a bad and a good attempt that share a
beginning: the bad one up to the first step its actor finds at fault, a revision thought, and the good one from where
they parted; the loss is on the thought and the good steps. Here these are a trajectory of their own, as text without
token ids: the bad steps stand in its prompts only, so that imitating it (`lamarck train sft`, as any solved attempt)
never teaches them. It carries no log-probabilities, since no policy has sampled it.

Whether the good way still leads to the end after the error is not a matter of course: what was broken may stay broken.
So the splice is carried out in a world where one is at hand, and only what is seen there stands in it.

The paper takes its pairs from a tree search, by the gap in value between two leaves, and has the actor find its first
error. Here a pair is a failed and a solved attempt at one task, and the error is what a verdict says of the steps, or
where the two part. `lamarck train sft --set samples.splice=true` builds and imitates them.
"""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from typing import NamedTuple

from ...config import SolverConfig
from ...core import Step, Trajectory, content_id
from ..actions import match_admissible
from ..hosting import World
from ..observed import Observed
from ..prompting import History, Prompts, Turn, build_messages, new_history, push
from ..react import ACKNOWLEDGED, is_thought, said
from ..steps import turn_of
from .first_error import first_error
from .prompt_files import fill

REVISION = "That was a mistake, and it does not bring me closer. I take another way from here."
THINK = re.compile(r"<think>.*?</think>\s*", re.DOTALL)


class Spliced(NamedTuple):
    """A spliced attempt, and whether it holds."""

    trajectory: Trajectory
    """The steps that are taught, numbered from 0; what went before them stands in their prompts."""
    holds: bool | None
    """Whether it led to the end when it was carried out; None where it was not, or where its world does not say."""


class _Scene(NamedTuple):
    """What is seen where the next step is taken."""

    observation: str
    admissible: tuple[str, ...] | None
    reward: float = 0.0
    terminated: bool = False
    truncated: bool = False


def shared(bad: Trajectory, good: Trajectory) -> int:
    """Return how many steps two attempts have in common from their beginning: the same seen, the same done."""
    count = 0
    for one, other in zip(bad.steps, good.steps, strict=False):
        if one.observation != other.observation or one.action != other.action:
            break
        count += 1
    return count


def revision(seed: int, ident: str, folder: str | None = None) -> str:
    """Return what takes an error back: one of the lines of `revisions.md`, drawn by a seed and an attempt's id.

    Agent-R has ten wordings, so that no single one is learned by heart.
    """
    lines = [line.strip() for line in fill("revisions", folder).splitlines() if line.strip()]
    return random.Random(f"{seed}/{ident}").choice(lines or [REVISION])


def error_in(bad: Trajectory, good: Trajectory, bound: float = 0.0) -> int:
    """Return the first step of a bad attempt at fault by its verdict, else the one by which it leaves the good one.

    A step before they part cannot be it: the good attempt went there too.

    Args:
        bad: an attempt that went wrong.
        good: one that did not.
        bound: step scores below it are faults.
    """
    common = shared(bad, good)
    found = first_error(bad.verdict, bound) if bad.verdict is not None else None
    return found if found is not None and found >= common else common


async def splice(
    bad: Trajectory,
    good: Trajectory,
    error_at: int,
    *,
    prompts: Prompts,
    solver: SolverConfig,
    thought: str = REVISION,
    world: World | None = None,
) -> Spliced | None:
    """Return the splice of two attempts at one task.

    Args:
        bad: an attempt that went wrong.
        good: one that did not.
        error_at: the bad one's first step at fault, which is kept as the last of its steps.
        prompts: from which the prompts are built.
        solver: its protocol says where the thought stands: in `react` it is a step of its own, in `text` the thought
            of the first good step, and in the others, which have no place for thoughts, it is left out.
        thought: what takes the error back.
        world: where the splice is carried out; without one the good attempt's own observations stand in it.

    Returns:
        It, or None where there is nothing to splice: the error lies before the two part, or nothing good follows; or
        where the world, repeated, does not show what the bad attempt saw, or does not offer what the good one did.
    """
    common = shared(bad, good)
    rest = [step for step in good.steps[common:] if step.action is not None and step.validity == "valid"]
    if bad.task.id != good.task.id or not common <= error_at < len(bad.steps) or not rest:
        return None
    kept = bad.steps[: error_at + 1]
    after = bad.steps[error_at + 1].observation if error_at + 1 < len(bad.steps) else bad.final_observation
    offered = bad.steps[error_at + 1].admissible if error_at + 1 < len(bad.steps) else None
    scenes, final, success = _told(rest, _Scene(after, offered), good)
    if world is not None:
        played = await _played(world, bad, kept, after, rest)
        if played is None:
            return None
        scenes, final, success = played
    history = _history(kept, after, solver)
    steps = _taught(bad, history, rest, scenes, final, prompts, solver, thought)
    holds = success if world is not None else None
    known = {"bad": bad.id, "good": good.id, "error_at": error_at, "common": common, "replayed": world is not None}
    trajectory = Trajectory(
        id=content_id("spliced", bad.id, good.id, error_at, thought, world is not None),
        run_id=bad.run_id,
        task=bad.task,
        group_id=bad.group_id,
        sample=bad.sample,
        attempt=bad.attempt,
        parent=bad.id,
        release_id=bad.release_id,
        steps=steps,
        final_observation=final,
        stop=good.stop,
        success=success,
        reward=sum(step.reward for step in steps),
        meta={"spliced": known},
    )
    return Spliced(trajectory, holds)


def _told(rest: Sequence[Step], first: _Scene, good: Trajectory) -> tuple[list[_Scene], str, bool | None]:
    """Return what the good attempt saw at each step; at the first, what the bad one saw after its error."""
    scenes = [_Scene(step.observation, step.admissible, step.reward, step.terminated, step.truncated) for step in rest]
    scenes[0] = scenes[0]._replace(observation=first.observation, admissible=first.admissible)
    return scenes, good.final_observation, good.success


async def _played(
    world: World, bad: Trajectory, kept: Sequence[Step], after: str, rest: Sequence[Step]
) -> tuple[list[_Scene], str, bool | None] | None:
    """Carry the splice out; None where the bad part does not show what it showed, or ends the episode.

    And where a good step is none that the world offers there: nothing is taught that could not be done.
    """
    observed = await world.reset(bad.task, bad.task.seed)
    for step in kept:
        if observed.observation != step.observation and not is_thought(step):
            return None
        if step.action is not None:
            observed = await world.step(step.action)
    if observed.observation != after or observed.terminated or observed.truncated:
        return None
    scenes = list[_Scene]()
    success = observed.success
    for step in rest:
        before: Observed = observed
        assert step.action is not None
        if before.admissible is not None and match_admissible(step.action, before.admissible) is None:
            return None
        observed = await world.step(step.action)
        scenes.append(
            _Scene(before.observation, before.admissible, observed.reward, observed.terminated, observed.truncated)
        )
        success = observed.success if observed.success is not None else success
        if observed.terminated or observed.truncated:
            break
    return scenes, observed.observation, success


def _history(kept: Sequence[Step], after: str, solver: SolverConfig) -> History:
    history = new_history(kept[0].observation)
    for number, step in enumerate(kept):
        led_to = kept[number + 1].observation if number + 1 < len(kept) else after
        history = push(history, _turn(step, led_to, solver), keep=solver.history, summary=solver.summary)
    return history


def _turn(step: Step, led_to: str, solver: SolverConfig) -> Turn:
    turn = turn_of(step, ACKNOWLEDGED if is_thought(step) else led_to)
    if solver.protocol == "react":
        turn["said"] = said(step.completion, step.action)
    return turn


def _taught(
    bad: Trajectory,
    history: History,
    rest: Sequence[Step],
    scenes: Sequence[_Scene],
    final: str,
    prompts: Prompts,
    solver: SolverConfig,
    thought: str,
) -> tuple[Step, ...]:
    """Return the steps that are taught, each with the prompt that leads to it."""
    planned = [
        (step.completion or step.action or "", step.action, scene) for step, scene in zip(rest, scenes, strict=False)
    ]
    if solver.protocol == "react":
        planned.insert(0, (f"Thought: {thought}", None, scenes[0]._replace(reward=0.0, terminated=False)))
    if solver.protocol == "text":
        completion, action, scene = planned[0]
        planned[0] = (f"<think>{thought}</think>\n{THINK.sub('', completion)}", action, scene)
    steps: list[Step] = []
    for number, (completion, action, scene) in enumerate(planned):
        messages = build_messages(prompts, bad.task, history, protocol=solver.protocol, admissible=scene.admissible)
        step = Step(
            index=number,
            observation=scene.observation,
            admissible=scene.admissible,
            messages=messages,
            completion=completion,
            action=action,
            reward=scene.reward,
            terminated=scene.terminated,
            truncated=scene.truncated,
        )
        steps.append(step)
        led_to = planned[number + 1][2].observation if number + 1 < len(planned) else final
        history = push(history, _turn(step, led_to, solver), keep=solver.history, summary=solver.summary)
    return tuple(steps)
