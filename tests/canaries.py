"""A world whose ground truth, info, outcome and last words are marked, so that they are found wherever they get to."""

from lamarck.core import Task
from worlds import Corridor

TRUTH, INFO, ENDING = "canary-truth-7f3a", "canary-info-91bc", "canary-ending-e05d"
MARKS = (TRUTH, INFO, ENDING)
REWARD = 0.8125
"""Of the last step; no other number is like it."""


class Marked(Corridor):
    """Says at every step, beside its text, what nobody is to read."""

    concurrency = "inline"

    def reset(self, *, seed=None, task=None):
        assert task is not None and task.truth == TRUTH, "the world itself needs the truth"
        text, info = super().reset()
        return text, self._marked(info, False)

    def step(self, action):
        text, _, won, _, info = super().step(action)
        return (ENDING if won else text), (REWARD if won else 0.0), won, False, self._marked(info, won)

    def _marked(self, info, won):
        return {**info, "success": won, "score": 0.5, "solution": INFO, "progress": 0.25}


class MarkedWalks:
    """A taskset of such worlds."""

    def __init__(self, n=6):
        self.name, self.n = "marked", n

    def splits(self):
        return ["train"]

    def tasks(self, split, *, seed=0, limit=None):
        return [
            Task(id=f"marked/{n}", goal="walk to the end", environment="marked", split=split, truth=TRUTH)
            for n in range(self.n if limit is None else min(limit, self.n))
        ]

    def environment(self):
        return Marked(3)
