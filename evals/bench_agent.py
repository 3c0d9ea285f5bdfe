"""What the agent itself costs per step, with a model and a world that take no time."""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from statistics import quantiles
from typing import Any, TypedDict

from langgraph.graph import END, START, StateGraph

from ..agent.checkpoints import open_checkpoints
from ..agent.events import Event
from ..agent.hosting import LocalPool
from ..agent.runner import Runner
from ..config import CollectConfig, RunConfig, SolverConfig
from ..core import Choice, Message, Reply, Sampling, Task, ToolSpec
from ..seams import Environment
from ..store import Store

ADMISSIBLE = [f"go to cabinet {n}" for n in range(1, 31)]


class InstantLLM:
    """Answers at once, always with another option, so that nothing but the agent is measured."""

    name = "instant"

    def __init__(self) -> None:
        self._calls = 0
        self._replies: dict[int, Reply] = {}

    async def chat(
        self,
        messages: Sequence[Message],
        *,
        sampling: Sampling | None = None,
        tools: Sequence[ToolSpec] = (),
        session: str | None = None,
    ) -> Reply:
        """Answer with a fixed text."""
        return Reply(text="<action>look</action>")

    async def choose(
        self,
        messages: Sequence[Message],
        options: Sequence[str],
        *,
        sampling: Sampling | None = None,
        session: str | None = None,
    ) -> Reply:
        """Choose the options one after the other; the reply carries as many token ids as a real one."""
        self._calls += 1
        index = self._calls % len(options)
        if index not in self._replies:
            self._replies[index] = Reply(
                text=options[index],
                choice=Choice(index=index, scores=(0.0,) * len(options), score_kind="mean_logprob"),
                prompt_token_ids=tuple(range(800)),
                token_ids=(1, 2, 3, 4, 5),
                logprobs=(-1.0,) * 5,
                entropies=(1.0,) * 5,
            )
        return self._replies[index]

    def end_session(self, session: str) -> None:
        """Nothing is kept."""

    async def close(self) -> None:
        """Nothing is open."""


class EndlessRoom:
    """A world that answers at once and never ends."""

    concurrency = "inline"

    def __init__(self) -> None:
        self._steps = 0

    def reset(self, *, seed: int | None = None, task: Task | None = None) -> tuple[str, dict[str, Any]]:
        """Begin."""
        self._steps = 0
        return "You are in a room with thirty cabinets.", {"admissible_actions": ADMISSIBLE}

    def step(self, action: str) -> tuple[str, float, bool, bool, dict[str, Any]]:
        """Say something new of ordinary length."""
        self._steps += 1
        text = f"You arrive at {action}. On it, you see a bowl {self._steps}, a mug 2, a plate 1, and a saltshaker 3."
        return text, 0.0, False, False, {"admissible_actions": ADMISSIBLE, "score": 0.0}


class RoomTaskset:
    """One endless room."""

    name = "endless-room"

    def splits(self) -> list[str]:
        """Return the one split there is."""
        return ["all"]

    def tasks(self, split: str, *, seed: int = 0, limit: int | None = None) -> list[Task]:
        """Return the one task there is."""
        return [Task(id="endless-room/0", goal="look into every cabinet", environment=self.name)]

    def environment(self) -> Environment:
        """Return a new room."""
        return EndlessRoom()


def bench_agent(steps: int = 2000) -> dict[str, Any]:
    """Measure milliseconds per agent step over one long episode, beside a bare LangGraph loop in the same run.

    Everything is on: prompt building, LangGraph with its SQLite checkpointer, and the store that gets each step.
    """
    bare = asyncio.run(_bare(steps))
    with tempfile.TemporaryDirectory() as folder:
        times, seconds = asyncio.run(_episode(Path(folder), steps))
    laps = [(b - a) * 1000 for a, b in pairwise(times)]
    cuts = quantiles(laps, n=100)
    quarter = max(1, len(laps) // 4)
    first, last = sum(laps[:quarter]) / quarter, sum(laps[-quarter:]) / quarter
    return {
        "steps": steps,
        "overhead_ms_p50": round(cuts[49], 3),
        "overhead_ms_p95": round(cuts[94], 3),
        "overhead_ms_mean": round(seconds * 1000 / steps, 3),
        "first_quarter_ms": round(first, 3),
        "last_quarter_ms": round(last, 3),
        "growth_ratio": round(last / first, 3),
        "bare_langgraph_ms_mean": round(bare * 1000 / steps, 3),
        "overhead_ratio": round(seconds / bare, 2),
    }


async def _episode(folder: Path, steps: int) -> tuple[list[float], float]:
    times: list[float] = []

    def watch(event: Event) -> None:
        if event.kind == "step":
            times.append(time.perf_counter())

    config = RunConfig(
        solver=SolverConfig(max_steps=steps, on_loop="ignore"), collect=CollectConfig(concurrency=1, samples=1)
    )
    taskset = RoomTaskset()
    with Store.open(folder / "store.db") as store, open_checkpoints(folder / "checkpoints.db") as saver:
        worlds = LocalPool(taskset, "inline", size=1, timeout_s=60.0)
        runner = Runner("bench", config, store, InstantLLM(), worlds, saver, on_event=watch)
        store.put_run("bench", config={})
        started = time.perf_counter()
        result = await runner.run(taskset.tasks("all"))
        seconds = time.perf_counter() - started
        await worlds.close()
    if result.finished != 1:
        raise RuntimeError("the benchmark's own episode did not finish")
    return times, seconds


class _Count(TypedDict):
    index: int


async def _bare(steps: int) -> float:
    async def act(state: _Count) -> dict[str, int]:
        return {}

    async def step(state: _Count) -> dict[str, int]:
        return {"index": state["index"] + 1}

    async def route(state: _Count) -> str:
        return END if state["index"] >= steps else "act"

    graph = StateGraph(_Count)
    graph.add_node("act", act)
    graph.add_node("step", step)
    graph.add_edge(START, "act")
    graph.add_edge("act", "step")
    graph.add_conditional_edges("step", route, ["act", END])
    app = graph.compile()
    started = time.perf_counter()
    await app.ainvoke({"index": 0}, {"recursion_limit": 10 * steps})
    return time.perf_counter() - started
