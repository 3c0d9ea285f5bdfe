"""One step of an episode: carrying a decision out, recording it, and seeing whether that was the end."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, NamedTuple

from ..core import Message, Reply, Round, Step, Stop, ToolCall, Usage
from .context import EpisodeContext
from .episode_state import EpisodeState
from .hooks import Recalled
from .loops import repeats
from .observed import Observed
from .prompting import Turn
from .solver import acting, compose, decide, written

NO_ACTION = "Your answer held no command. Give exactly one command."


class Taken(NamedTuple):
    """A step together with what the world showed after it."""

    step: Step
    observed: Observed


async def take(context: EpisodeContext, state: EpisodeState) -> Taken:
    """Give the decided action to the world and store the step, or follow a stored one."""
    if state["index"] < len(context.recorded):
        stored = context.recorded[state["index"]]
        return Taken(stored, await _world_step(context, state, stored.action))
    pending = state["pending"]
    assert pending is not None
    if "reply" not in pending:
        # The checkpoint followed a stored step that this process was not given: decide it now.
        pending = (await decide(context, state))["pending"]
    started = time.time()
    clock = time.perf_counter()
    observed = await _world_step(context, state, pending["action"])
    seconds = time.perf_counter() - clock
    taken = _step(context, state, pending, observed, started, seconds)
    await context.recorder.step(state["trajectory_id"], taken)
    return Taken(taken, observed)


async def _world_step(context: EpisodeContext, state: EpisodeState, action: str | None) -> Observed:
    if action is None:
        # Nothing to give to the world: the turn is lost or was a thought, the world unchanged.
        admissible = tuple(state["admissible"]) if state["admissible"] is not None else None
        return Observed(state["observation"], admissible=admissible, effective=False)
    return await context.world.step(action)


def _step(
    context: EpisodeContext,
    state: EpisodeState,
    pending: dict[str, Any],
    observed: Observed,
    started: float,
    seconds: float,
) -> Step:
    reply = context.reply or Reply.model_validate(pending["reply"])
    messages = context.messages or compose(context, state)
    context.reply, context.messages = None, ()
    validity = pending["validity"]
    recalled = seen(Recalled.of(state["recalled"]), messages, shown_at_all=context.prompts.shows("first", "recalled"))
    if validity == "valid" and pending["action"] is not None and not observed.effective:
        validity = "no_effect"
    return Step(
        index=state["index"],
        observation=state["observation"],
        admissible=tuple(state["admissible"]) if state["admissible"] is not None else None,
        messages=messages,
        completion=reply.text,
        action=pending["action"],
        validity=validity,
        act=acting(reply, state) if context.solver.protocol == "tools" else None,
        tool_calls=tuple(ToolCall.model_validate(call) for call in state["tool_calls"]),
        rounds=tuple(Round.model_validate(entry) for entry in state["rounds"]),
        choice=reply.choice,
        reward=observed.reward,
        terminated=observed.terminated,
        truncated=observed.truncated,
        info={**observed.info, **_outcome(observed)},
        prompt_token_ids=reply.prompt_token_ids,
        token_ids=reply.token_ids,
        logprobs=reply.logprobs,
        entropies=reply.entropies,
        model=reply.model,
        policy_version=reply.policy_version,
        recalled=recalled.ids,
        withheld=recalled.withheld,
        recalled_text=recalled.text,
        usage=reply.usage + Usage.model_validate(state["spent"]),
        started_at=started,
        model_seconds=reply.seconds,
        environment_seconds=seconds,
    )


def seen(recalled: Recalled, messages: Sequence[Message], *, shown_at_all: bool) -> Recalled:
    """Return what of the recalled the model saw: all of it or, where a user's own prompts leave it out, nothing.

    What was not shown has no part in what came of the step, and neither has what was left out by lot: the prompt would
    not have held it either.
    """
    text = shown(recalled.text, messages) if shown_at_all else ""
    ids = recalled.ids if text else ()
    return Recalled(text, ids, recalled.withheld if shown_at_all else ())


def turn_of(step: Step, observation: str) -> Turn:
    """Return a step as later prompts show it, with what they shall say it led to.

    A call is kept as the model wrote it where it says what was done, so that the next prompt goes on from the answer.
    """
    turn = Turn(action=step.action if step.action is not None else step.completion[:100], observation=observation)
    if step.act is not None and step.action is not None and written(step.act) == step.action:
        turn["call"] = step.act.model_dump(mode="json", include={"id", "name", "arguments"})
    return turn


def shown(text: str, messages: Sequence[Message]) -> str:
    """Return what was recalled as it stands in a prompt; nothing where a user's own prompts leave it out."""
    text = text.strip()
    return text if any(text in message.content for message in messages) else ""


def _outcome(observed: Observed) -> dict[str, Any]:
    known = {"success": observed.success, "score": observed.score}
    return {key: value for key, value in known.items() if value is not None}


def stop_reason(context: EpisodeContext, state: dict[str, Any], observed: Observed) -> Stop | None:
    """Return why the episode is over after this step, or None."""
    solver, usage = context.solver, state["usage"]
    if observed.terminated:
        return "terminated"
    if observed.truncated:
        return "truncated"
    limit, fresh = context.limit(state), state["index"] - (state["fork_at"] or 0)
    if state["index"] >= solver.max_steps or (limit.steps is not None and fresh >= limit.steps):
        return "max_steps"
    if limit.tokens is not None and usage["completion_tokens"] >= limit.tokens:
        return "max_tokens"
    if solver.max_tokens and usage["prompt_tokens"] + usage["completion_tokens"] >= solver.max_tokens:
        return "max_tokens"
    if solver.max_cost_usd and usage["cost_usd"] >= solver.max_cost_usd:
        return "max_cost"
    if solver.max_seconds and state["seconds"] >= solver.max_seconds:
        return "max_seconds"
    if solver.loop_stop and repeats(state["tried"]) >= solver.loop_stop:
        return "loop"
    return None
