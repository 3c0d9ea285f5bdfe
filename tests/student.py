"""A student whose ability in each category grows when it is trained near its edge, as the curricula assume."""

import math
import random

from lamarck.agent.proposers.proposer import Outcome
from lamarck.core import Task

DIFFICULTY = {"easy": -8.0, "near": 0.5, "farther": 1.0, "far": 2.0, "impossible": 30.0}
LEARNABLE = ("near", "farther", "far")


def pool(categories=DIFFICULTY, each=12):
    return tuple(
        Task(id=f"{category}/{n}", goal=f"{category} {n}", environment="toy", seed=n, split="train", category=category)
        for category in categories
        for n in range(each)
    )


class Student:
    """p = 1 / (1 + exp(difficulty - ability)); each attempt adds `rate` times 4 p (1 - p) to the ability."""

    def __init__(self, seed, difficulty=DIFFICULTY, rate=0.02):
        self.difficulty, self.rate = difficulty, rate
        self.ability = dict.fromkeys(difficulty, 0.0)
        self.draw = random.Random(f"student/{seed}")

    def chance(self, category):
        return 1.0 / (1.0 + math.exp(min(50.0, self.difficulty[category] - self.ability[category])))

    def plays(self, task, attempts):
        p = self.chance(task.category)
        solved = sum(self.draw.random() < p for _ in range(attempts))
        return Outcome(
            task_id=task.id, category=task.category, attempts=attempts, solved=solved, reward=solved / attempts
        )

    def learns(self, outcomes):
        before = {one: self.chance(one) for one in self.difficulty}
        for one in outcomes:
            p = before[one.category]
            self.ability[one.category] += self.rate * one.attempts * 4 * p * (1 - p)


def at_once(coroutine):
    """Return what a coroutine returns that waits for nothing; thousands of event loops would take minutes."""
    try:
        coroutine.send(None)
    except StopIteration as end:
        return end.value
    raise AssertionError("it waited for something")


def rounds(proposer, student, count, n=8, attempts=4):
    """Play; yield the outcomes of each round and the state after it."""
    state = {}
    for _ in range(count):
        proposal = at_once(proposer.propose(n, state))
        outcomes = [student.plays(task, attempts) for task in proposal.tasks]
        student.learns(outcomes)
        state = proposer.feedback(outcomes, proposal.state)
        yield outcomes, state


def episodes_to(target, proposer, student, most=400):
    """Return the episodes after which the student succeeds that often in what can be learnt; `most` rounds at most."""
    played = 0
    for outcomes, _ in rounds(proposer, student, most):
        played += sum(one.attempts for one in outcomes)
        if min(student.chance(one) for one in LEARNABLE) >= target:
            return played
    return played
