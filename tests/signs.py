"""Signs that tell left from right in a world that says too much, and verifiers that can read them, well or badly."""

from canaries import ENDING, INFO, TRUTH
from lamarck.agent.hooks import Judged
from lamarck.core import Task, Usage, Verdict

REWARD = 0.8125
RUNS = []
"""Runs that were judged, the first one first."""


class Signs:
    """Red goes left, blue goes right, twice in a row. Every third task begins with blue, and so on: the seed says."""

    name = "signs"

    def splits(self):
        return ("train", "test")

    def tasks(self, split, *, seed=0, limit=None):
        seeds = range(40) if split == "train" else range(1000, 1006)
        found = (
            Task(id=f"{split}/{n}", goal="look", environment="signs", seed=n, split=split, truth=f"{TRUTH} {n}")
            for n in seeds
        )
        return list(found)[:limit]

    def environment(self):
        return Sign()


def right_way(seed):
    return ["left" if seed >> bit & 1 else "right" for bit in range(2)]


class Sign:
    concurrency = "inline"

    def reset(self, seed, task):
        assert task.truth.startswith(TRUTH), "the world itself needs the truth"
        self.way, self.at = right_way(task.seed), 0
        return self.sign(), self.info(None)

    def sign(self):
        return "red" if self.way[self.at] == "left" else "blue"

    def info(self, won):
        told = {"admissible_actions": ["left", "right"], "solution": INFO}
        return told if won is None else {**told, "success": won, "score": float(won)}

    def step(self, action):
        right = action == self.way[self.at]
        self.at += 1
        won = right and self.at == 2
        text = ENDING if won else "nothing here" if not right else self.sign()
        return text, REWARD if won else 0.0, won or not right, False, self.info(won)


class Reader:
    """Reads the signs, and is wrong where it is told to be: at some tasks, or in all runs but the first."""

    def __init__(self, wrong="never", confidence=0.9):
        self.name, self.wrong, self.confidence = "reader", wrong, confidence

    async def verify(self, trajectory):
        assert trajectory.success is None and trajectory.task.truth is None
        won = [step.action for step in trajectory.steps] == right_way(trajectory.task.seed)
        said = self.says(won, trajectory)
        scores = tuple(
            1.0 if step.action == way else -1.0
            for step, way in zip(trajectory.steps, right_way(trajectory.task.seed), strict=False)
        )
        if said is None:
            return Verdict(passed=False, score=0.5, confidence=0.0, critique="no idea", judge=self.name)
        return Verdict(
            passed=said, score=float(said), confidence=self.confidence, step_scores=scores, critique="wrong way",
            judge=self.name,
        )  # fmt: skip

    async def judge(self, trajectory):
        return Judged(await self.verify(trajectory), Usage(prompt_tokens=3, calls=1))

    def says(self, won, trajectory):
        seed = trajectory.task.seed
        if self.wrong == "fifth":
            return not won if seed % 5 == 0 else won
        if self.wrong == "later":
            if trajectory.run_id not in RUNS:
                RUNS.append(trajectory.run_id)
            return won if trajectory.run_id == RUNS[0] else not won
        if self.wrong == "upside down":
            return not won
        if self.wrong == "silent":
            return None if seed % 2 else won
        return won or self.wrong == "hacked"
