"""Running the tool calls of one answer: several at once, within a budget, their results cut to what a prompt holds."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from ..core import ToolCall
from ..tools.tool import capped
from .context import EpisodeContext
from .episode_state import EpisodeState
from .hooks import EpisodeTools, ToolBudget
from .solver import calls_left

OVER = "no tool calls are left in this step; act now."


async def use_tools(context: EpisodeContext, state: EpisodeState) -> dict[str, Any]:
    """Run the calls of the latest answer; return the update of the state.

    Calls beyond the budget are answered with an error that says so. Every call stands on the step with its whole
    result; what the prompt holds of it may be less, with a note of how much was left out.

    Raises:
        SandboxError, ModelError, StoreError: infrastructure failed; calls that were under way are cancelled.
    """
    toolset, budget = await context.tools(state), context.hooks.budget
    assert toolset is not None
    asked = [ToolCall.model_validate(call) for call in state["tool_messages"][-1]["tool_calls"]]
    left = calls_left(context, state)
    done = await at_once(toolset, asked[:left], budget.parallel)
    done += [call.model_copy(update={"error": OVER, "ran": False}) for call in asked[left:]]
    # Results of one answer share the room, so that none of them is left out before it was seen.
    room = max(min(budget.result_chars, budget.prompt_chars // max(1, len(done))), 100)
    answers = [{"role": "tool", "content": capped(_said(call), room)[0], "tool_call_id": call.id} for call in done]
    return {
        "tool_messages": trimmed([*state["tool_messages"], *answers], budget),
        "tool_calls": [*state["tool_calls"], *(call.model_dump(mode="json") for call in done)],
        "called": state["called"] + min(left, len(asked)),
    }


async def at_once(toolset: EpisodeTools, calls: Sequence[ToolCall], width: int) -> list[ToolCall]:
    """Run calls, at most `width` of them at a time, and return them in their own order."""
    places = asyncio.Semaphore(width)

    async def one(call: ToolCall) -> ToolCall:
        async with places:
            return await toolset.call(call)

    tasks = [asyncio.create_task(one(call)) for call in calls]
    try:
        return list(await asyncio.gather(*tasks))
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def trimmed(messages: list[dict[str, Any]], budget: ToolBudget) -> list[dict[str, Any]]:
    """Return a step's tool messages with the oldest results left out where all together are too long."""
    over = sum(len(m["content"]) for m in messages if m["role"] == "tool") - budget.prompt_chars
    kept = []
    asked = max((number for number, message in enumerate(messages) if message["role"] == "assistant"), default=-1)
    for number, message in enumerate(messages):
        if over > 0 and message["role"] == "tool" and len(message["content"]) > 100 and number < asked:
            note = f"[{len(message['content']):,} characters of this result are left out here]"
            over -= len(message["content"]) - len(note)
            message = {**message, "content": note}
        kept.append(message)
    return kept


def _said(call: ToolCall) -> str:
    return call.error or call.result or ""
