"""Small worlds for the tests, good ones and broken ones."""

import os
import threading
import time
from typing import ClassVar

from lamarck.core import Task


class Corridor:
    """Walk `length` steps to the right; the observation says where you are."""

    concurrency = "inline"
    goal = "walk to the end"

    def __init__(self, length=3):
        self.length = length
        self.at = 0

    def reset(self, *, seed=None, task=None):
        self.at = 0
        return self._see(), self._info()

    def step(self, action):
        moved = action in ("right", "left")
        self.at = max(0, self.at + {"right": 1, "left": -1}.get(action, 0))
        won = self.at >= self.length
        info = {**self._info(), "success": won, "effective": moved}
        return self._see() if moved else "Nothing happens.", float(won), won, False, info

    def snapshot(self):
        return self.at

    def restore(self, state):
        self.at = state

    def _see(self):
        return f"You are at {self.at} of {self.length}."

    def _info(self):
        return {"admissible_actions": ["left", "right", "look"], "score": min(1.0, self.at / self.length)}


class Threaded(Corridor):
    concurrency = "thread"


class Undeclared(Corridor):
    concurrency = None
    threads: ClassVar[set[int]] = set()

    def step(self, action):
        Undeclared.threads.add(threading.get_ident())
        return super().step(action)


class OwnProcess(Corridor):
    concurrency = "process"
    recycle_after = 2

    def reset(self, *, seed=None, task=None):
        text, info = super().reset(seed=seed, task=task)
        return text, {**info, "pid": os.getpid()}

    def step(self, action):
        if action == "die":
            os._exit(7)
        if action == "hang":
            time.sleep(60)
        if action == "raise":
            raise ValueError("the lamp\nfell over")
        return super().step(action)


class Coroutines(Corridor):
    concurrency = "async"

    async def reset(self, *, seed=None, task=None):
        return super().reset(seed=seed, task=task)

    async def step(self, action):
        return super().step(action)


class Walks:
    """A taskset of corridors."""

    def __init__(self, make=Corridor, n=4, length=3):
        self.name = "walks"
        self.make, self.n, self.length = make, n, length

    def splits(self):
        return ["train"]

    def tasks(self, split, *, seed=0, limit=None):
        count = self.n if limit is None else min(limit, self.n)
        kinds = ("short", "long")
        return [
            Task(id=f"walks/{i}", goal="walk to the end", environment=self.name, split=split, category=kinds[i % 2])
            for i in range(count)
        ]

    def environment(self):
        return self.make(self.length)


class SlowCorridor(Corridor):
    """Takes its time, so that a run can be killed in its middle."""

    def step(self, action):
        time.sleep(0.004)
        return super().step(action)


class SlowWalks(Walks):
    def __init__(self, n=30, length=10):
        super().__init__(SlowCorridor, n, length)
