"""The evolution graph.

begin -> propose -> collect -> verify -> credit -> distil -> train -> build -> gate -> settle -> (begin | end)

Each phase is a node; LangGraph checkpoints after it where it is given a saver. A phase that was killed is called again
and goes on with what it had begun (see `Phases`). The graph starts from the records of the generations, which are
written after each phase: they say the same as a checkpoint and outlive it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import Any, TypedDict, cast

from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.runtime import Runtime

from .generation import OVERTAKEN, PHASES, Figures, Generation, Phase
from .phases import Phases

NEEDED: frozenset[Phase] = frozenset({"propose", "collect", "build", "settle"})
"""Phases without which there is no generation; the others may be switched off."""
STEPS_EACH = len(PHASES) + 2
"""Steps of the graph in one generation, generously."""


class EvolutionState(TypedDict):
    """What goes from phase to phase: the record of the generation that goes on."""

    now: dict[str, Any] | None


Clock = Callable[[Generation, Phase], AbstractContextManager[Callable[[], float]]]
"""Measures a phase, and gives what tells the seconds it has taken."""


@contextmanager
def timed(now: Generation, phase: Phase) -> Iterator[Callable[[], float]]:
    """Measure a phase in this process."""
    began = time.monotonic()
    yield lambda: time.monotonic() - began


@dataclass
class EvolutionContext:
    """What belongs to one evolution.

    Args:
        phases: the work.
        generations: how many there are to be.
        on: phases that are done; those of `NEEDED` are done in any case.
        watch: told of each phase as it begins, and (with None) as it has ended.
        enough: asked between generations; True ends the evolution, as when a budget is spent.
        clock: measures each phase; by default in this process alone.
    """

    phases: Phases
    generations: int
    on: Collection[Phase] = PHASES
    watch: Callable[[Generation, Phase | None], None] = lambda now, begins: None
    enough: Callable[[], bool] = field(default=lambda: False)
    clock: Clock = timed


Run = Runtime[EvolutionContext]
EvolutionGraph = CompiledStateGraph[EvolutionState, EvolutionContext, EvolutionState, EvolutionState]


def build_evolution_graph(checkpointer: BaseCheckpointSaver[Any] | None = None) -> EvolutionGraph:
    """Compile the graph."""
    graph = StateGraph(EvolutionState, context_schema=EvolutionContext)
    graph.add_node("begin", begin)
    graph.add_conditional_edges(START, _more, ["begin", END])
    before = "begin"
    for phase in PHASES:
        graph.add_node(phase, cast(Any, _node(phase)))
        graph.add_edge(before, phase)
        before = phase
    graph.add_conditional_edges(before, _more, ["begin", END])
    return graph.compile(checkpointer=checkpointer)


async def evolve(context: EvolutionContext, graph: EvolutionGraph | None = None) -> tuple[Generation, ...]:
    """Go through the generations that are left, and return the records of all of them.

    Raises:
        LamarckError: what a phase raises; called again, it goes on with that phase.
    """
    now = next((one for one in context.phases.kept() if not one.ended), None)
    start: EvolutionState = {"now": now.model_dump(mode="json") if now is not None else None}
    config = {"configurable": {"thread_id": "evolution"}, "recursion_limit": 10 + STEPS_EACH * context.generations}
    await (graph or build_evolution_graph()).ainvoke(start, cast(Any, config), context=context)
    return context.phases.kept()


async def begin(state: EvolutionState, runtime: Run) -> dict[str, Any]:
    """Open the next generation, or take up the one that goes on."""
    if _goes_on(state):
        return {}
    phases = runtime.context.phases
    number = len(phases.kept()) + 1
    parent, head = await phases.choose(number)
    now = Generation(number=number, parent=parent, head=head)
    phases.keep(now)
    return {"now": now.model_dump(mode="json")}


async def _more(state: EvolutionState, runtime: Run) -> str:
    context = runtime.context
    if context.enough():
        return END
    return "begin" if _goes_on(state) or len(context.phases.kept()) < context.generations else END


def _goes_on(state: EvolutionState) -> bool:
    return state["now"] is not None and not state["now"]["ended"]


def _node(phase: Phase) -> Callable[[EvolutionState, Run], Any]:
    async def node(state: EvolutionState, runtime: Run) -> dict[str, Any]:
        context = runtime.context
        now = Generation.model_validate(state["now"])
        if phase in now.figures or phase in now.skipped:
            return {}
        why = _left_out(phase, now, context.on)
        if why:
            now = now.without(phase, why)
        else:
            context.watch(now, phase)
            with context.clock(now, phase) as seconds:
                now = await _do(phase, now, context.phases, seconds)
        context.phases.keep(now)
        context.watch(now, None)
        return {"now": now.model_dump(mode="json")}

    node.__name__ = phase
    return node


def _left_out(phase: Phase, now: Generation, on: Collection[Phase]) -> str:
    """Return why a phase is left out, or nothing where it is done."""
    if phase == "gate" and now.candidate == now.parent:
        return "nothing was acquired"
    return "" if phase in NEEDED or phase in on else "switched off"


async def _do(phase: Phase, now: Generation, phases: Phases, seconds: Callable[[], float]) -> Generation:
    update: dict[str, Any] = {}
    figures: Figures
    if phase == "build":
        update["candidate"], figures = await phases.build(now)
    elif phase == "gate":
        ruling = await phases.gate(now)
        update, figures = {"decision": ruling.decision, "report": ruling.report}, ruling.figures
    elif phase == "settle":
        if now.decision is None:
            now = now.model_copy(update={"decision": "unchanged" if now.candidate == now.parent else "ungated"})
        figures = await phases.settle(now)
        update["ended"] = True
        if OVERTAKEN in figures:
            update["decision"] = "not_yet"
    else:
        figures = await getattr(phases, phase)(now)
    return now.after(phase, figures, seconds()).model_copy(update=update)
