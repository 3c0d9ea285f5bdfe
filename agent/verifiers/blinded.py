"""Attempts and tasks as those see them who must not know how it went.

Whether the world ended an episode or something else did, its steps, a budget or going in a loop, reads alike here: in
a world that ends only when its task is solved, as household games and ALFWorld do, it is the outcome. What cannot be
hidden is what an attempt did and took: in such a world, who knows the budgets of a run can tell by it which attempts
ended before one was used up. The store keeps how an attempt ended, since the loop itself goes by it; no verifier is
told, nor who distils where the truth is withheld.
"""

from __future__ import annotations

from ...core import Step, Stop, Task, Trajectory

ENDED = "(The episode has ended.)"
"""Stands for the last observation of an episode that is over: many worlds say in it how it went."""
OVER: Stop = "truncated"
"""What stands for all ends but that by infrastructure, of which there is no outcome."""


def blinded(trajectory: Trajectory, *, hide_end: bool = True) -> Trajectory:
    """Return an attempt without ground truth, outcome, verdict, rewards and what its world said beside its text.

    Args:
        trajectory: the attempt.
        hide_end: leave out the last observation as well, whatever ended the episode.
    """
    return blind_end(trajectory, hide_end=hide_end).model_copy(
        update={
            "task": blind_task(trajectory.task),
            "steps": tuple(blind_step(step) for step in trajectory.steps),
            "verdict": None,
            "success": None,
            "score": None,
            "reward": None,
            "meta": {},
        }
    )


def blind_end(trajectory: Trajectory, *, hide_end: bool = True) -> Trajectory:
    """Return an attempt of which it does not show what ended it.

    Args:
        trajectory: the attempt.
        hide_end: leave out the last observation too, which tells it where only one of the two is left out already.
    """
    if trajectory.stop == "infrastructure":
        return trajectory
    last = ENDED if hide_end else trajectory.final_observation
    return trajectory.model_copy(update={"stop": OVER, "final_observation": last})


def blind_task(task: Task) -> Task:
    """Return a task without its ground truth."""
    return task.model_copy(update={"truth": None}) if task.truth is not None else task


def blind_step(step: Step) -> Step:
    """Return a step without its reward, whether the world ended there, and `info`: its own words may tell anything."""
    if not (step.reward or step.info or step.terminated or step.truncated):
        return step
    return step.model_copy(update={"reward": 0.0, "info": {}, "terminated": False, "truncated": False})
