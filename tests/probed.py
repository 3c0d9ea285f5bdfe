"""Subjects for the probes: players that are a function, a past that is a dictionary."""

import importlib

from lamarck.core import Step, Trajectory
from lamarck.evals.figures.compare import Side
from lamarck.evals.figures.summary import infrastructure
from lamarck.evals.gate.evidence import Environment, Evidence
from lamarck.evals.probes.probe import Subject
from lamarck.tools.made_shelf import Version


def plays(choose):
    """Return how a subject plays whose choices are a function of what it sees, its options and the planted items."""

    async def play(world, *, recall=True, planted=()):
        module, _, name = world.name.partition(":")
        taskset = getattr(importlib.import_module(module), name)(**world.options)
        return [attempt(taskset, task, choose, planted) for task in taskset.tasks(world.split, seed=world.seed)]

    return play


def attempt(taskset, task, choose, planted=()):
    world = taskset.environment()
    seen, info = world.reset(seed=task.seed, task=task)
    notes = [item for item in planted if item.applies == task.goal]
    steps, total, over = [], 0.0, False
    while not over and len(steps) < world.max_steps:
        options, before = info["admissible_actions"], seen
        action = choose(f"{seen}\n{task.goal}", options, notes, [step.action for step in steps])
        seen, reward, over, _, info = world.step(action)
        recalled = tuple(item.id for item in notes)
        steps.append(Step(index=len(steps), observation=before, action=action, reward=reward, recalled=recalled))
        total += reward
    stop = "terminated" if over else "max_steps"
    return Trajectory(id=f"a/{task.id}", run_id="r", task=task, steps=tuple(steps), stop=stop, reward=total)


class Past:
    """What was lived through: id to what was seen, and hidden texts."""

    def __init__(self, attempts=(), hidden=(), goals=()):
        self._texts = dict(attempts)
        self._hidden = dict(hidden)
        self._goals = dict(goals)

    @property
    def attempts(self):
        return frozenset(self._texts)

    def hidden(self):
        return self._hidden

    def answers(self):
        return [(self._goals.get(where, ""), text, where) for text, where in self._hidden.items()]

    def seen(self, attempt):
        return self._texts.get(attempt, "")


def subject(choose=None, **more):
    return Subject(release="r" * 32, play=plays(choose), **more)


def version(tool, *sources):
    return Version(tool=tool, version=1, seq=1, sources=sources)


def evidence(given):
    """What a gate is handed, with these probes and nothing else in it."""
    side = Side("one", (), infrastructure([], 0))
    return Evidence("i", "c", Environment("held-out", side, side), probes=given)
