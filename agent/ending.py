"""How an attempt ends: it is judged, looked back at, stored, learned from, and maybe followed by another."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

from langgraph.runtime import Runtime

from ..core import Stop, Trajectory, Usage, Verdict, content_id
from ..errors import EnvironmentFailure, ModelError, SandboxError, StoreError, ToolError, boundary
from ..judged import abstained
from .context import EpisodeContext
from .episode_state import EpisodeState, new_state
from .hooks import Judged, Retry

Run = Runtime[EpisodeContext]

LEFT = "The episode is stored; --resume learns from it."
PENDING = "The episode is stored; --resume goes on with its repair."


async def verify(state: EpisodeState, runtime: Run) -> dict[str, Any]:
    """Let the verifier judge the attempt; its verdict is kept with the trajectory."""
    context = runtime.context
    hook = context.hooks.verify
    assert hook is not None
    context.look_back(state)
    found = await hook(trajectory(context, state))
    judged = found if isinstance(found, Judged) else Judged(found)
    verdict = judged.verdict
    if verdict.confidence > 0.0:
        pending: dict[str, Any] = {"verdict": verdict.model_dump(mode="json")}
    else:
        pending = {"unjudged": abstained(verdict)}
    if judged.usage == Usage():
        return {"pending": pending}
    return {
        "pending": {**pending, "judging": judged.usage.model_dump()},
        "usage": (Usage.model_validate(state["usage"]) + judged.usage).model_dump(),
        "seconds": state["seconds"] + context.lap(),
    }


async def reflect(state: EpisodeState, runtime: Run) -> dict[str, Any]:
    """Let a model look back at the attempt; what it writes and what that took are stored with the attempt."""
    context = runtime.context
    hook = context.hooks.reflect
    assert hook is not None
    context.look_back(state)
    reflection = await hook(trajectory(context, state))
    if reflection is None:
        return {}
    return {
        "pending": {**(state["pending"] or {}), "reflection": reflection.text},
        "usage": (Usage.model_validate(state["usage"]) + reflection.usage).model_dump(),
        "seconds": state["seconds"] + context.lap(),
    }


async def record(state: EpisodeState, runtime: Run) -> None:
    """Store the finished trajectory."""
    context = runtime.context
    context.look_back(state)
    await context.recorder.finish(trajectory(context, state))


async def learn(state: EpisodeState, runtime: Run) -> None:
    """Let memory learn from the attempt that was just stored."""
    context = runtime.context
    hook = context.hooks.learn
    assert hook is not None
    context.look_back(state)
    with _stored(f"learning from trajectory {state['trajectory_id']}", hint=LEFT, kind="learn"):
        try:
            await hook.learn(trajectory(context, state))
        except ModelError as error:
            raise StoreError(f"learning needs a model: {error.message}", hint=LEFT, kind="learn") from error


async def repair(state: EpisodeState, runtime: Run) -> dict[str, Any]:
    """Start a sibling attempt with a critique, if the hook has one."""
    context = runtime.context
    hook = context.hooks.repair
    assert hook is not None
    context.look_back(state)
    with _stored(f"repairing trajectory {state['trajectory_id']}", hint=PENDING, kind="repair"):
        try:
            retry = Retry.of(await hook(trajectory(context, state)))
        except ModelError as error:
            raise StoreError(f"repairing needs a model: {error.message}", hint=PENDING, kind="repair") from error
    if retry is None:
        return {"repair": False}
    attempt = state["attempt"] + 1
    ident = trajectory_id(context.run_id, context.task.id, context.sample, attempt)
    context.recorded, context.forked = (), tuple(context.steps)
    return {**new_state(ident, attempt, state["trajectory_id"], *retry), "repair": True}


@contextmanager
def _stored(what: str, *, hint: str, kind: str) -> Iterator[None]:
    """Guard what follows the end: the attempt is stored already and must not become a failed one."""
    with boundary(StoreError, what, hint=hint, kind=kind):
        try:
            yield
        except (EnvironmentFailure, SandboxError, ToolError) as error:
            raise StoreError(f"{what}: {error.message}", hint=hint, kind=kind) from error


def trajectory_id(run_id: str, task_id: str, sample: int, attempt: int) -> str:
    """Return the id of one attempt; the same in every process that makes it."""
    return content_id("trajectory", run_id, task_id, sample, attempt)


def trajectory(context: EpisodeContext, state: EpisodeState) -> Trajectory:
    """Return the record of the attempt as it stands, with the environment's own verdict where it gives one."""
    stop = state["stop"]
    success = state["success"]
    score = state["score"]
    pending = state["pending"] or {}
    meta: dict[str, Any] = {key: pending[key] for key in ("reflection", "unjudged", "judging") if key in pending}
    if cost := state.get("repair_cost", 0.0):
        meta["repair_cost"] = cost
    verdict = Verdict.model_validate(pending["verdict"]) if "verdict" in pending else None
    if verdict is None and success is not None:
        verdict = Verdict(passed=success, score=score if score is not None else float(success))
    return Trajectory(
        id=state["trajectory_id"],
        run_id=context.run_id,
        task=context.task,
        group_id=context.group_id,
        sample=context.sample,
        attempt=state["attempt"],
        parent=state["parent"],
        fork_at=state.get("fork_at"),
        release_id=context.release_id,
        steps=tuple(context.steps),
        final_observation=state["observation"],
        verdict=verdict,
        stop=cast(Stop, stop if stop is not None else "truncated"),
        reward=state["reward"] if not context.withheld else None,
        success=success,
        score=score,
        usage=Usage.model_validate(state["usage"]),
        started_at=state["started_at"],
        seconds=state["seconds"],
        meta=meta,
    )
