"""Memories for the tests: a tiny embedder that needs no weights, and trajectories with little in them."""

import functools
import hashlib
import json
from pathlib import Path

import numpy as np
from lamarck.config_memory import MemoryConfig
from lamarck.core import Step, Task, Trajectory
from lamarck.memory.bank import Memory
from lamarck.memory.items import make_item

FLUSH = 3
"""So that Chroma is written often, and what goes wrong meets it."""


class WordEmbedder:
    """A text's vector is the sum of its words' random vectors: alike texts are near, and nothing is fetched."""

    def __init__(self, dimension=48, name="words"):
        self.dimension, self.name, self.calls = dimension, name, 0

    def embed(self, texts):
        self.calls += 1
        return np.stack([self._one(text) for text in texts]).astype(np.float32)

    def _one(self, text):
        total = np.zeros(self.dimension)
        for word in text.lower().split() or ["?"]:
            total += _word(word, self.dimension)
        return total / np.linalg.norm(total)


@functools.cache
def _word(word, dimension):
    seed = int.from_bytes(hashlib.sha256(word.encode()).digest()[:8], "big")
    return np.random.default_rng(seed).standard_normal(dimension)


def memory(folder, *, embedder=None, **settings):
    return Memory.open(MemoryConfig.model_validate(settings), folder, embedder=embedder or WordEmbedder())


def item(applies, content="do it", kind="episode", **more):
    return make_item(kind, applies, content, **more)


def episode(name, *, shown=(), withheld=(), success=True, category="c", steps=None, goal="g", **more):
    if steps is None:
        steps = (Step(index=0, observation="o", recalled=tuple(shown), withheld=tuple(withheld)),)
    task = Task(id=more.pop("task_id", f"task-{name}"), goal=goal, environment="e", category=category)
    stop = more.pop("stop", "terminated")
    return Trajectory(id=name, run_id="run", task=task, steps=tuple(steps), stop=stop, success=success, **more)


def walked(actions, *, observations=None, start=0):
    """Steps with these actions; each is seen to lead somewhere new."""
    seen = observations or [f"place {start + n}" for n in range(len(actions))]
    return tuple(
        Step(index=n, observation=text, action=action, admissible=("a", f"at {text}"), validity="valid")
        for n, (action, text) in enumerate(zip(actions, seen, strict=True))
    )


def write(folder, start, acks):
    """Remember and learn until killed; what is acknowledged is on disk."""
    with memory(folder) as m, Path(acks).open("a", buffering=1) as file:
        m.index._flush = FLUSH
        first = item("task zero", "the first")
        m.remember([first], merge=False)
        for n in range(start, start + 10_000):
            new = item(f"task {n}", f"how to do task {n}")
            m.remember([new], merge=False)
            file.write(json.dumps(["item", new.id]) + "\n")
            m.learn(episode(f"episode {n}", shown=[first.id, new.id]))
            file.write(json.dumps(["episode", f"episode {n}"]) + "\n")


def share(folder, name, count, gate):
    with memory(folder) as m:
        m.index._flush = FLUSH
        gate.wait()
        shared = item("task zero", "the first")
        for n in range(count):
            m.remember([item(f"task {name} {n}", f"by {name}"), shared], merge=False)
            m.learn(episode(f"episode {n}", shown=[shared.id]))  # both credit the same episodes
            m.recall([f"task {name} {n}"])
