"""Attempts and tasks as those see them who must not know how it went.

What cannot be hidden is that, and after how many steps, a world ended the episode: in a world that ends only when its
task is solved, this says as much as the outcome.
"""

from __future__ import annotations

from ...core import Step, Task, Trajectory

ENDED = "(The episode has ended.)"
"""Stands for the last observation where the world ended the episode: many worlds say in it how it went."""


def blinded(trajectory: Trajectory, *, hide_end: bool = True) -> Trajectory:
    """Return an attempt without ground truth, outcome, verdict, rewards and what its world said beside its text.

    Args:
        trajectory: the attempt.
        hide_end: leave out the last observation as well, where the world ended the episode.
    """
    steps = tuple(blind_step(step) for step in trajectory.steps)
    ended = hide_end and trajectory.stop == "terminated"
    return trajectory.model_copy(
        update={
            "task": blind_task(trajectory.task),
            "steps": steps,
            "final_observation": ENDED if ended else trajectory.final_observation,
            "verdict": None,
            "success": None,
            "score": None,
            "reward": None,
            "meta": {},
        }
    )


def blind_task(task: Task) -> Task:
    """Return a task without its ground truth."""
    return task.model_copy(update={"truth": None}) if task.truth is not None else task


def blind_step(step: Step) -> Step:
    """Return a step without its reward and `info`: an environment's own words, of which nobody knows what they tell."""
    return step.model_copy(update={"reward": 0.0, "info": {}}) if step.reward or step.info else step
