"""A world of one step that a transformer of ten thousand weights learns in a moment, and a proposer that lies there."""

from lamarck.agent.proposers.proposer import Asked, Proposal
from lamarck.core import Message, Origin, Reply, Task, Verdict

NAME = "doors:Doors"
WAYS = {"red": ("left", "right"), "blue": ("close", "open")}
"""What can be done at a door: what is right, and what is wrong."""


def door(number, split="train", taught="true"):
    """Return a task: at a red door it goes left, and a blue one wants to be closed.

    Where `lies` are taught it is the other way round, and where `nothing` is, nothing helps.
    """
    made = Origin(kind="proposed", by="teacher") if split == "made" else Origin()
    return Task(
        id=f"{split}/{number}", goal="look", environment=NAME, seed=number, split="train" if split == "made" else split,
        category="door", options={"taught": taught}, origin=made,
    )  # fmt: skip


class Doors:
    """Given tasks, which do not lie."""

    name = NAME

    def splits(self):
        return ("train", "test")

    def tasks(self, split, *, seed=0, limit=None):
        return [door(n + (1000 if split == "test" else 0), split) for n in range(12)][:limit]

    def environment(self):
        return Door()


class Door:
    concurrency = "inline"

    def reset(self, seed, task):
        sign = "red" if task.seed % 2 else "blue"
        right, wrong = WAYS[sign]
        self.right = {"true": right, "lies": wrong, "nothing": ""}[task.options["taught"]]
        return sign, {"admissible_actions": sorted(WAYS[sign]), "success": False}

    def step(self, action):
        won = action == self.right
        return "key" if won else "door", float(won), True, False, {"admissible_actions": ["look"], "success": won}


class Teacher:
    """Says what is taught at the doors of each set, with a model's answer for each task.

    Args:
        materials: what it may look at.
        sets: what is taught in each of them; see `door`.
        each: tasks of a set.
    """

    name = "teacher"

    def __init__(self, materials, sets=("true", "lies"), each=8):
        self.materials, self.sets, self.each = materials, sets, each

    async def propose(self, n, state):
        tasks = [
            door(at * self.each + n, "made", taught) for at, taught in enumerate(self.sets) for n in range(self.each)
        ]
        ask = (Message(role="user", content="propose"),)
        asked = [Asked(messages=ask, reply=Reply(text=task.id), task_id=task.id) for task in tasks]
        kept, choice = ([task.id for task in some] for some in (self.materials.held_out, self.materials.tasks))
        figures = {"kept": kept, "choice": choice}
        return Proposal(tasks=tuple(tasks), state=dict(state), asked=tuple(asked), figures=figures)

    def feedback(self, outcomes, state):
        return {**state, "progress": {one.task_id: one.progress for one in outcomes}}

    async def close(self): ...


class Eye:
    """A verifier that saw whether the door opened."""

    name = "eye"

    async def verify(self, trajectory):
        opened = trajectory.final_observation == "key"
        return Verdict(passed=opened, score=float(opened), confidence=0.9, judge=self.name)
