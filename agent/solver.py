"""Deciding: from an episode's state to the next action, by one of four protocols."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic import JsonValue

from ..core import Message, Reply, Round, Sampling, ToolCall, Usage
from ..errors import ConfigError
from .actions import is_open, parse_action
from .context import EpisodeContext
from .episode_state import EpisodeState
from .loops import fruitless, remaining
from .prompting import act_tool, build_messages, call_id, submit_tool
from .react import STOP, parse_react

ACTING = ("act", "submit")
NOT_RUN = "not run: the answer that asked for it acted as well."
NUDGE = "You have tried that several times with the same result. Try something else."


async def decide(context: EpisodeContext, state: EpisodeState) -> dict[str, Any]:
    """Ask the model for the next action; return the update of the state.

    The update holds either `pending` (a decision) or `tool_messages` (tools to run before deciding).

    Raises:
        ModelError: the model gave no usable answer.
        ConfigError: protocol `choice` with an environment that offers no admissible actions.
    """
    messages = compose(context, state)
    context.messages = messages
    drawn = {"seed": context.step_seed(state["index"])}
    if (most := context.limit(state).tokens) is not None:
        written = Usage.model_validate(state["usage"]) + Usage.model_validate(state["spent"])
        drawn["max_tokens"] = max(1, min(context.sampling.max_tokens, most - written.completion_tokens))
    sampling = context.sampling.model_copy(update=drawn)
    if context.solver.protocol == "choice":
        return {"pending": await _choose(context, state, messages, sampling)}
    return await _chat(context, state, messages, sampling)


def compose(context: EpisodeContext, state: EpisodeState) -> tuple[Message, ...]:
    """Return the prompt for this state: history, what was recalled, tool results so far."""
    recalled = "\n\n".join(part for part in (state["recalled"]["text"], state["critique"]) if part)
    messages = build_messages(
        context.prompts,
        context.task,
        state["history"],
        protocol=context.solver.protocol,
        submit=context.hooks.submit,
        admissible=state["admissible"],
        recalled=recalled,
        nudge=state["nudge"],
    )
    return messages + tuple(Message.model_validate(m) for m in state["tool_messages"])


async def _choose(
    context: EpisodeContext, state: EpisodeState, messages: tuple[Message, ...], sampling: Sampling
) -> dict[str, Any]:
    # What a form leaves open cannot be chosen, only written.
    options = [option for option in state["admissible"] or () if not is_open(option)]
    if not options:
        raise ConfigError(
            f"task {context.task.id}: its environment offers no admissible actions to choose among.",
            hint="Set solver.protocol to text or tools.",
        )
    if context.solver.on_loop == "avoid":
        options = remaining(options, state["tried"], context.solver.loop_limit)
    reply = await context.llm.choose(messages, options, sampling=sampling, session=context.session)
    index = reply.choice.index if reply.choice is not None else options.index(reply.text)
    context.reply = reply
    return _decision(reply, options[index], "valid")


async def _chat(
    context: EpisodeContext, state: EpisodeState, messages: tuple[Message, ...], sampling: Sampling
) -> dict[str, Any]:
    protocol, hooks = context.solver.protocol, context.hooks
    toolset = await context.tools(state)
    left = calls_left(context, state)
    tools = list(toolset.specs()) if toolset is not None and left else []
    if protocol == "tools":
        tools.append(submit_tool() if hooks.submit else act_tool(state["admissible"]))
    if protocol == "react":
        sampling = sampling.model_copy(update={"stop": STOP})
    reply = await context.llm.chat(messages, sampling=sampling, tools=tools, session=context.session)
    context.reply = reply
    act = acting(reply, state) if protocol == "tools" else None
    if act is not None:
        others = [call for call in reply.tool_calls if call.name not in ACTING]
        dropped = [call.model_copy(update={"error": NOT_RUN, "ran": False}).model_dump(mode="json") for call in others]
        known = {"tool_calls": [*state["tool_calls"], *dropped]} if dropped else {}
        return {"pending": _parsed(reply, acted(act), state, protocol), **known}
    if reply.tool_calls and toolset is not None and left:
        return {
            "tool_messages": [*state["tool_messages"], _asked(reply)],
            "rounds": [*state["rounds"], round_of(reply, reply.tool_calls).model_dump(mode="json")],
            "spent": _spent(state, reply.usage),
        }
    return {"pending": _parsed(reply, reply.text, state, protocol)}


def calls_left(context: EpisodeContext, state: EpisodeState) -> int:
    """Return how many tool calls may still be made before the next action."""
    budget = context.hooks.budget
    return max(0, min(budget.per_step - len(state["tool_calls"]), budget.per_episode - state["called"]))


def acting(reply: Reply, state: EpisodeState) -> ToolCall | None:
    """Return the first call of an answer that acts; one without an id gets the one that later prompts would give it."""
    call = next((call for call in reply.tool_calls if call.name in ACTING), None)
    if call is None or call.id:
        return call
    return call.model_copy(update={"id": call_id(len(state["history"]["recent"]))})


def acted(call: ToolCall) -> str:
    """Return the command in an `act` call, whatever shape the model gave its arguments."""
    if isinstance(call.arguments, dict):
        value = written(call)
        return f"<action>{value}</action>" if value else ""
    return call.arguments


def written(call: ToolCall) -> JsonValue:
    """Return the command as it stands in the arguments of an acting call; None where they are not as asked for."""
    found = call.arguments if isinstance(call.arguments, dict) else {}
    return found.get("action", found.get("answer"))


def _parsed(reply: Reply, text: str, state: EpisodeState, protocol: str) -> dict[str, Any]:
    parsed = (parse_react if protocol == "react" else parse_action)(text, state["admissible"])
    return _decision(reply, parsed.action, parsed.validity)


def _decision(reply: Reply, action: str | None, validity: str) -> dict[str, Any]:
    return {"reply": reply.model_dump(mode="json"), "action": action, "validity": validity}


def _asked(reply: Reply) -> dict[str, Any]:
    message = Message(role="assistant", content=reply.text, tool_calls=reply.tool_calls)
    return message.model_dump(mode="json")


def _spent(state: EpisodeState, usage: Usage) -> dict[str, Any]:
    return (Usage.model_validate(state["spent"]) + usage).model_dump()


def loop_notice(context: EpisodeContext, tried: list[list[str]]) -> str:
    """Return what to tell the model when its latest action is fruitless, or nothing."""
    if context.solver.on_loop != "nudge" or not tried:
        return ""
    return NUDGE if tried[-1][0] in fruitless(tried, context.solver.loop_limit) else ""


def round_of(reply: Reply, calls: Sequence[ToolCall]) -> Round:
    """Return an answer that asked for tools, as it stands on a step before the one that acts."""
    return Round(
        completion=reply.text,
        calls=tuple(call.id for call in calls),
        prompt_token_ids=reply.prompt_token_ids,
        token_ids=reply.token_ids,
        logprobs=reply.logprobs,
        entropies=reply.entropies,
    )
