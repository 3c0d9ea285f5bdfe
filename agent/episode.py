"""The episode graph.

begin -> [recall] -> act <-> [tools] -> step -> ... -> [verify] -> [reflect] -> record -> [learn] -> [repair -> begin]

Nodes in brackets exist only when their hook is given. State is checkpointed by LangGraph after every node; the
steps themselves are in the store as soon as they have happened, and where the two differ the store is right: a
graph that starts again follows the stored steps instead of deciding anew.
"""

from __future__ import annotations

import time
from typing import Any

from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph

from ..core import Usage
from .context import EpisodeContext
from .ending import Run, learn, record, reflect, repair, verify
from .episode_state import Attempt, EpisodeState
from .hooks import Hooks, Recalled, Situation
from .loops import note
from .prompting import new_history, push
from .react import ACKNOWLEDGED, is_thought, said
from .solver import decide, loop_notice
from .steps import NO_ACTION, stop_reason, take, turn_of
from .tool_calls import use_tools

EpisodeGraph = CompiledStateGraph[EpisodeState, EpisodeContext, EpisodeState, EpisodeState]


def build_episode_graph(
    hooks: Hooks | None = None, checkpointer: BaseCheckpointSaver[Any] | None = None
) -> EpisodeGraph:
    """Compile the graph for these hooks.

    One compiled graph serves any number of episodes at once: what belongs to one of them travels in its
    `EpisodeContext` and `EpisodeState`.
    """
    hooks = hooks or Hooks()
    graph = StateGraph(EpisodeState, context_schema=EpisodeContext)
    think = "recall" if hooks.recall else "act"
    close = "verify" if hooks.verify else "reflect" if hooks.reflect else "record"
    graph.add_node("begin", begin)
    graph.add_node("act", act)
    graph.add_node("step", step)
    graph.add_node("record", record)
    graph.add_edge(START, "begin")
    graph.add_edge("begin", think)
    if hooks.recall:
        graph.add_node("recall", recall)
        graph.add_edge("recall", "act")
    if hooks.tools:
        graph.add_node("tools", tools)
        graph.add_conditional_edges("act", _decided, ["step", "tools"])
        graph.add_edge("tools", "act")
    else:
        graph.add_edge("act", "step")

    # Routes are coroutines: LangGraph would send plain functions through a thread, once per step.
    async def over(state: EpisodeState) -> str:
        return close if state["stop"] else think

    graph.add_conditional_edges("step", over, [close, think])
    if hooks.verify:
        graph.add_node("verify", verify)
        graph.add_edge("verify", "reflect" if hooks.reflect else "record")
    if hooks.reflect:
        graph.add_node("reflect", reflect)
        graph.add_edge("reflect", "record")
    last = "record"
    if hooks.learn:
        graph.add_node("learn", learn)
        graph.add_edge("record", "learn")
        last = "learn"
    if hooks.repair:
        graph.add_node("repair", repair)
        graph.add_edge(last, "repair")
        graph.add_conditional_edges("repair", _again, ["begin", END])
    else:
        graph.add_edge(last, END)
    return graph.compile(checkpointer=checkpointer)


async def _decided(state: EpisodeState) -> str:
    return "step" if state["pending"] else "tools"


async def _again(state: EpisodeState) -> str:
    return "begin" if state["repair"] else END


async def begin(state: EpisodeState, runtime: Run) -> dict[str, Any]:
    """Reset the world and register the attempt."""
    context = runtime.context
    fork_at = state.get("fork_at")
    # What was checkpointed before there were costs has none.
    names, cost = (state["trajectory_id"], state["attempt"], state["parent"]), state.get("repair_cost", 0.0)
    context.attempt = Attempt(*names, state["critique"], fork_at, cost, state.get("deepened", 0))
    context.over = False
    await context.close_tools()
    await context.recorder.begin(context.run_id, context.task, context.sample, context.attempt)
    context.attend()
    observed = await context.rewind(fork_at)
    if observed is None:
        fork_at = None
        observed = await context.world.reset(context.task, context.task.seed)
    context.position, context.steps = 0, []
    context.lap()
    return {
        "fork_at": fork_at,
        "observation": observed.observation,
        "admissible": _list(observed.admissible),
        "history": new_history(observed.observation),
        "success": observed.success,
        "score": observed.score,
        "started_at": time.time(),
    }


async def recall(state: EpisodeState, runtime: Run) -> dict[str, Any]:
    """Let memory add to the prompt."""
    context = runtime.context
    hook = context.hooks.recall
    assert hook is not None
    index = state["index"]
    before = Recalled.of(state["recalled"])
    seed = context.step_seed(index)
    found = await hook(Situation(context.task, state["observation"], index, context.sample, seed, before))
    return {"recalled": found.state()} if found is not before else {}


async def act(state: EpisodeState, runtime: Run) -> dict[str, Any]:
    """Decide, unless an earlier process has decided this step already."""
    context = runtime.context
    if state["index"] < len(context.recorded):
        return {"pending": {"recorded": True}}
    return await decide(context, state)


async def tools(state: EpisodeState, runtime: Run) -> dict[str, Any]:
    """Run the tool calls the model asked for, and put their results into the prompt."""
    return await use_tools(runtime.context, state)


async def step(state: EpisodeState, runtime: Run) -> dict[str, Any]:
    """Carry the decision out, store the step, and see whether the episode is over."""
    context = runtime.context
    await context.catch_up(state)
    taken = await take(context, state)
    context.steps.append(taken.step)
    context.position += 1
    if context.on_step is not None:
        context.on_step(taken.step)
    observed, solver = taken.observed, context.solver
    action = taken.step.action if taken.step.action is not None else taken.step.completion[:100]
    thought = is_thought(taken.step)
    tried = note(state["tried"], action, observed.observation)
    turn = turn_of(taken.step, ACKNOWLEDGED if thought else observed.observation)
    if solver.protocol == "react":
        turn["said"] = said(taken.step.completion, taken.step.action)
    update: dict[str, Any] = {
        "index": state["index"] + 1,
        "observation": observed.observation,
        "admissible": _list(observed.admissible),
        "history": push(state["history"], turn, keep=solver.history, summary=solver.summary),
        "tried": tried,
        "pending": None,
        "tool_messages": [],
        "tool_calls": [],
        "rounds": [],
        "spent": Usage().model_dump(),
        "usage": (Usage.model_validate(state["usage"]) + taken.step.usage).model_dump(),
        "reward": state["reward"] + taken.step.reward,
        "success": observed.success if observed.success is not None else state["success"],
        "score": observed.score if observed.score is not None else state["score"],
        "seconds": state["seconds"] + context.lap(),
        "nudge": loop_notice(context, tried) if thought or taken.step.action is not None else NO_ACTION,
    }
    if state["pending"] == {"recorded": True}:
        update["called"] = state["called"] + sum(call.ran for call in taken.step.tool_calls)
    whence = {"fork_at": state.get("fork_at"), "deepened": state.get("deepened", 0)}
    update["stop"] = stop_reason(context, {**update, **whence}, observed)
    # Every channel that is written costs LangGraph time, changed or not.
    return {key: value for key, value in update.items() if key in _ALWAYS or state.get(key) != value}


_ALWAYS = frozenset({"index", "observation", "history", "tried", "pending", "usage", "seconds"})
"""What a step always changes; comparing it would be for nothing."""


def _list(admissible: tuple[str, ...] | None) -> list[str] | None:
    return list(admissible) if admissible is not None else None
