"""A world whose attempts at a task end in the order that a test asks for, whatever each of them answers."""

import asyncio
import sqlite3
from contextlib import closing

from lamarck.core import Task

ANSWERS = ("amber", "blue", "coral")
RIGHT = "amber"
SAMPLES = 4


class Turns:
    """Tasks at which every attempt gives one of three answers, and has to wait for its turn to end."""

    name = "turns"
    home, order = None, ANSWERS
    """Folder of the evolution that is played, and whose turn comes first, by answer. Set by a test."""

    def splits(self):
        return ("train", "test")

    def tasks(self, split, *, seed=0, limit=None):
        known = {"environment": "turns", "split": split, "truth": RIGHT}
        return [Task(id=f"{split}/{n}", goal=f"name {split} stone {n}", seed=n, **known) for n in range(8)][:limit]

    def environment(self):
        return Turn()


GIVEN = {}
"""Generation and task to the answers there are, in the order in which they came."""


class Turn:
    concurrency = "async"

    async def reset(self, seed, task):
        self.task = task
        return "a stone", {"admissible_actions": list(ANSWERS)}

    async def step(self, action):
        store = sorted(Turns.home.glob("generations/*/collect/store.db"))[-1]
        beside = GIVEN.setdefault((str(store), self.task.id), [])
        own = len(beside)
        beside.append(action)
        while len(beside) < SAMPLES:
            await asyncio.sleep(0.01)
        queue = sorted(range(SAMPLES), key=lambda at: (Turns.order.index(beside[at]), at))
        while ended(store, self.task.id) < queue.index(own):
            await asyncio.sleep(0.01)
        won = action == self.task.truth
        return "", float(won), True, False, {"success": won}


def ended(store, task):
    """Return how many attempts at a task have come to their end and are stored."""
    with closing(sqlite3.connect(f"file:{store}?mode=ro", uri=True)) as found:
        query = "SELECT COUNT(*) FROM trajectories WHERE task_id = ? AND NOT open AND NOT failed"
        return found.execute(query, (task,)).fetchone()[0]
