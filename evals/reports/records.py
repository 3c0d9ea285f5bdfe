"""A trajectory as the page shows it: plain JSON, with its texts by number."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from ...core import Step, ToolCall, Trajectory
from .texts import Texts, visible


class Room(NamedTuple):
    """How much of one trajectory is shown."""

    text: int
    """Characters of each observation, answer and result."""
    prompt: int
    """Characters of each message of a prompt; 0 leaves prompts out."""
    offered: int
    """Admissible actions of each step."""


ROOMS = (Room(8_000, 4_000, 200), Room(4_000, 1_000, 50), Room(2_000, 0, 20), Room(500, 0, 0), Room(100, 0, 0))
"""Tried in this order until a trajectory fits."""
FIRST, LAST = 400, 100
"""Steps shown of a trajectory that has more of them."""
LINE = 300
"""Characters of what stands in one line."""


def outcome_of(trajectory: Trajectory) -> str:
    """Return `solved`, `failed`, `unknown` or `infrastructure`."""
    if trajectory.failure is not None:
        return "infrastructure"
    return {True: "solved", False: "failed", None: "unknown"}[trajectory.success]


def record(trajectory: Trajectory, run: int, texts: Texts, room: Room) -> dict[str, Any]:
    """Return what the page shows of a trajectory.

    Args:
        trajectory: with its steps.
        run: which run of the page it belongs to, from 0.
        texts: where its texts are added.
        room: how much of them.
    """
    steps = trajectory.steps
    shown = steps if len(steps) <= FIRST + LAST else (*steps[:FIRST], *steps[-LAST:])
    return {
        "id": trajectory.id,
        "run": run,
        "task": line(trajectory.task.id),
        "goal": texts.add(trajectory.task.goal, room.text),
        "category": line(trajectory.task.category or "(none)"),
        "sample": trajectory.sample,
        "attempt": trajectory.attempt,
        "seed": trajectory.task.seed,
        "outcome": outcome_of(trajectory),
        "stop": trajectory.stop,
        "reward": trajectory.reward,
        "score": trajectory.score,
        "seconds": round(trajectory.seconds, 3),
        "started_at": round(trajectory.started_at, 3),
        "tokens": [trajectory.usage.prompt_tokens, trajectory.usage.completion_tokens, trajectory.usage.cached_tokens],
        "cost": trajectory.usage.cost_usd,
        "parent": trajectory.parent,
        "length": len(steps),
        "final": texts.add(trajectory.final_observation, room.text),
        "steps": [_step(step, texts, room) for step in shown],
        **_judged(trajectory, texts, room),
    }


def line(text: str) -> str:
    """Return a short text for one line."""
    flat = visible(" ".join(text[: LINE + 1].split()))
    return flat if len(text) <= LINE else flat[: LINE - 1] + "…"


def _judged(trajectory: Trajectory, texts: Texts, room: Room) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if trajectory.failure is not None:
        failure = trajectory.failure
        found["failure"] = [failure.boundary, line(failure.kind), texts.add(failure.message, room.text)]
    if trajectory.verdict is not None:
        verdict = trajectory.verdict
        found["verdict"] = {
            "passed": verdict.passed,
            "score": verdict.score,
            "confidence": verdict.confidence,
            "judge": line(verdict.judge),
            "critique": texts.add(verdict.critique, room.text),
            "evidence": [_call(call, texts, room) for call in verdict.evidence],
        }
    return found


def _step(step: Step, texts: Texts, room: Room) -> dict[str, Any]:
    """Return a step; what is empty is left out, since most of it is."""
    usage = step.usage
    found: dict[str, Any] = {
        "completion": None if step.completion == (step.action or "") else texts.add(step.completion, room.text),
        "validity": None if step.validity == "valid" else step.validity,
        "reward": step.reward,
        "tokens": [usage.prompt_tokens, usage.completion_tokens, usage.cached_tokens] if usage.tokens else None,
        "cost": usage.cost_usd,
        "model": line(step.model),
        "policy": line(step.policy_version),
        "role": None if step.role == "solver" else line(step.role),
        "segment": step.segment,
        "model_s": round(step.model_seconds, 4),
        "environment_s": round(step.environment_seconds, 6),
        "ends": "terminated" if step.terminated else "truncated" if step.truncated else None,
        "recalled": [line(ident) for ident in step.recalled],
        "withheld": [line(ident) for ident in step.withheld],
        "calls": [_call(call, texts, room) for call in step.tool_calls],
        "rounds": [[texts.add(one.completion, room.text), list(one.calls)] for one in step.rounds],
        "prompt": [[message.role, texts.add(_said(message.content, message.tool_calls), room.prompt)]
                   for message in step.messages] if room.prompt else None,
        "unshown": len(step.messages) if not room.prompt else 0,
        "info": line(json.dumps(step.info, ensure_ascii=False, default=str)) if step.info else None,
    }  # fmt: skip
    if step.admissible is not None:
        found["offered"] = len(step.admissible)
        found["admissible"] = [texts.add(option, LINE) for option in step.admissible[: room.offered]]
    kept = {name: value for name, value in found.items() if value not in (None, [], "", 0)}
    action = None if step.action is None else texts.add(step.action, room.text)
    return {"index": step.index, "observation": texts.add(step.observation, room.text), "action": action, **kept}


def _call(call: ToolCall, texts: Texts, room: Room) -> dict[str, Any]:
    arguments = call.arguments if isinstance(call.arguments, str) else json.dumps(call.arguments, ensure_ascii=False)
    return {
        "id": call.id,
        "name": line(call.name),
        "arguments": texts.add(arguments, room.text),
        "result": None if call.result is None else texts.add(call.result, room.text),
        "error": None if call.error is None else texts.add(call.error, room.text),
        "truncated": call.truncated,
        "ran": call.ran,
        "seconds": round(call.seconds, 4),
    }


def _said(content: str, calls: tuple[ToolCall, ...]) -> str:
    """Return a message of a prompt with the calls it asked for."""
    asked = [f"[calls {call.name} {json.dumps(call.arguments, ensure_ascii=False)}]" for call in calls]
    return "\n".join([*([content] if content else []), *asked])
