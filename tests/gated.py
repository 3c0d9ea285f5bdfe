"""Runs in which a verifier sends the solver back, in this process or in one that is killed in the middle."""

import asyncio
import os
import signal
import sys
from pathlib import Path

from judgements import verdict
from lamarck.agent.checkpoints import open_checkpoints
from lamarck.agent.hooks import Hooks, Judged
from lamarck.agent.hosting import LocalPool
from lamarck.agent.runner import Runner
from lamarck.agent.scripted import ScriptedLLM
from lamarck.agent.verifiers.judging import Judging
from lamarck.agent.verifiers.repairing import Repairing
from lamarck.agent.verifiers.rewinding import RewindingPool
from lamarck.config import CollectConfig, RunConfig, SolverConfig
from lamarck.config_verify import GateSettings
from lamarck.core import Reply, Usage
from lamarck.store import Store
from worlds import Walks

JUDGED = Usage(prompt_tokens=40, completion_tokens=2, calls=1)
ACTED = Usage(prompt_tokens=10, completion_tokens=1, calls=1)


class Overseer:
    """Thinks that every step to the left is wrong, and that who ends elsewhere than at the end has failed."""

    name = "overseer"

    def __init__(self, confidence=0.9):
        self.confidence, self.shown = confidence, []

    async def verify(self, trajectory):
        return (await self.judge(trajectory)).verdict

    async def judge(self, trajectory):
        self.shown.append(trajectory)
        scores = tuple(-1.0 if step.action == "left" else 1.0 for step in trajectory.steps)
        good = all(score > 0 for score in scores)
        return Judged(
            verdict(
                good, step_scores=scores, confidence=self.confidence, judge=self.name,
                critique="" if good else "Never go left.",
            ),
            JUDGED,
        )  # fmt: skip


def walker(lefts_at=(1, 2), on_told=None):
    """A model that goes left at these steps until it is told off, and right else."""

    def answer(messages):
        step = sum(message.role == "assistant" for message in messages)
        told = "Never go left" in messages[1].content
        if told and on_told is not None:
            on_told(step)
        text = "left" if step in lefts_at and not told else "right"
        return Reply(text=text, usage=ACTED)

    return ScriptedLLM(answer)


async def play(
    path, llm, taskset, *, verifier=None, gate=None, trials=2, max_steps=6, rewinding=True, events=None, enough=False
):
    """Play once, or go on; return how it ended and every finished attempt in order."""
    config = RunConfig(solver=SolverConfig(max_steps=max_steps, on_loop="ignore"), collect=CollectConfig(concurrency=1))
    with Store.open(path / "store.db") as store, open_checkpoints(path / "checkpoints.db") as saver:
        worlds = LocalPool(taskset, "inline", size=2, timeout_s=5.0)
        repairing = Repairing(store, gate or GateSettings(), trials)
        hooks = Judging(verifier or Overseer(), repairing).hooks(Hooks())
        pool = RewindingPool(worlds) if rewinding else worlds
        on_event = (lambda event: None) if events is None else events.append
        runner = Runner("run", config, store, llm, pool, saver, hooks=hooks, on_event=on_event)
        runner.enough = lambda: enough
        result = await runner.run(taskset.tasks("train"))
        await worlds.close()
        found = sorted(store.trajectories(run_id="run"), key=lambda t: (t.task.id, t.sample, t.attempt))
        left = saver.conn.execute("SELECT count(*) FROM checkpoints").fetchone()[0]
        assert left == 0 or result.failed
    return result, found


def die_at(wanted):
    """Die as by kill -9 when the second attempt decides this step."""

    def told(step):
        if step == wanted:
            os.kill(os.getpid(), signal.SIGKILL)

    return told


class DyingStep:
    """Dies while the second attempt takes over the steps of the first: after so many of them are written."""

    def __init__(self, after):
        self.left = after

    def __call__(self, write):
        async def step(recorder, trajectory_id, taken):
            await write(recorder, trajectory_id, taken)
            if taken.usage == Usage():
                self.left -= 1
                if not self.left:
                    os.kill(os.getpid(), signal.SIGKILL)

        return step


if __name__ == "__main__":
    where = sys.argv[2]
    if where == "copying":
        from lamarck.agent.recorder import StoreRecorder

        StoreRecorder.step = DyingStep(1)(StoreRecorder.step)
        asyncio.run(play(Path(sys.argv[1]), walker((2, 3)), Walks(n=1, length=4)))
    else:
        asyncio.run(play(Path(sys.argv[1]), walker((2, 3), on_told=die_at(int(where))), Walks(n=1, length=4)))
