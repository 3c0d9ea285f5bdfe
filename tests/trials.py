"""Runs with several trials at a task, in this process or in one that is killed in the middle of the second trial."""

import asyncio
import os
import signal
import sys
from pathlib import Path

from lamarck.agent.checkpoints import open_checkpoints
from lamarck.agent.hooks import Hooks
from lamarck.agent.hosting import LocalPool
from lamarck.agent.prompting import Prompts
from lamarck.agent.reflexion import Reflexion
from lamarck.agent.runner import Runner
from lamarck.agent.scripted import ScriptedLLM
from lamarck.config import CollectConfig, RepairConfig, RunConfig, SolverConfig
from lamarck.core import Reply, Usage
from lamarck.store import Store

SPENT = Usage(prompt_tokens=100, completion_tokens=7, calls=1, cost_usd=0.5)
"""What one reflection takes."""
NOTE = "I went left all the time; next time I go right."


def reflecting(messages):
    """Say whether the model is asked for a reflection."""
    return len(messages) == 1 and messages[0].content.startswith("You tried a task")


def walker(on_reflection=None, on_right=None):
    """A model that goes left until a note in its prompt tells it to go right."""

    def answer(messages):
        if reflecting(messages):
            return (on_reflection or (lambda: Reply(text=NOTE, usage=SPENT)))()
        if NOTE not in messages[1].content:
            return "left"
        if on_right is not None:
            on_right(messages)
        return "right"

    return ScriptedLLM(answer)


async def play(path, llm, taskset, *, trials=3, keep=3, collect=None, max_steps=4, reflexion=True, events=None):
    """Play once, or go on; return how it ended and every finished attempt in order."""
    config = RunConfig(
        solver=SolverConfig(max_steps=max_steps, on_loop="ignore"),
        collect=collect or CollectConfig(concurrency=1),
        repair=RepairConfig(by="reflexion", trials=trials, keep=keep),
    )
    with Store.open(path / "store.db") as store, open_checkpoints(path / "checkpoints.db") as saver:
        worlds = LocalPool(taskset, "inline", size=2, timeout_s=5.0)
        hooks = Hooks()
        if reflexion:
            hooks = Reflexion(llm, Prompts(), store, config.repair).hooks(hooks)
        on_event = (lambda event: None) if events is None else events.append
        runner = Runner("run", config, store, llm, worlds, saver, hooks=hooks, on_event=on_event)
        result = await runner.run(taskset.tasks("train"))
        await worlds.close()
        found = sorted(store.trajectories(run_id="run"), key=lambda t: (t.task.id, t.sample, t.attempt))
        assert not [row for row in store.attempts("run") if row.open] or result.failed
        left = saver.conn.execute("SELECT count(*) FROM checkpoints").fetchone()[0]
        assert left == 0 or result.failed
    return result, found


def die(messages):
    """Die as by kill -9 when two steps of the second trial are on disk."""
    if sum(message.role == "assistant" for message in messages) == 2:
        os.kill(os.getpid(), signal.SIGKILL)


def die_reflecting():
    """Die as by kill -9 while the model reflects."""
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    from worlds import Walks

    victim = walker(on_reflection=die_reflecting) if sys.argv[2] == "reflecting" else walker(on_right=die)
    asyncio.run(play(Path(sys.argv[1]), victim, Walks(n=1)))
