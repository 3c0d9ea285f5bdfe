"""What a model was asked as a proposer, as attempts that it can be trained on like on any others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ...core import Origin, Step, Task, Trajectory, content_id
from ...roles import PROPOSER
from .proposer import Asked, Outcome, Proposal
from .rewards import azr_composite, earned

MALFORMED = frozenset({"format", "fields", "too_short", "too_long"})
"""Refusals for which an answer counts as none at all."""


def episodes(
    proposal: Proposal,
    outcomes: Sequence[Outcome],
    *,
    by: str,
    run_id: str,
    reward: str = "azr",
    at: float = 0.0,
) -> tuple[Trajectory, ...]:
    """Return an attempt for each answer whose worth is known, rewarded as Absolute Zero does (2505.03335).

    A task earns its reward, an answer that is no valid task -0.5, one that is none -1. A task that was not played, and
    one whose check failed, says nothing about its proposer and is left out. Attempts at one category share a group,
    which is the baseline per kind of task that is used there.

    Args:
        proposal: with what was asked.
        outcomes: what came of its tasks.
        by: name of the proposer.
        run_id: the run these attempts belong to.
        reward: of a task; see `REWARDS`.
        at: when it was asked, in Unix time.

    Raises:
        ConfigError: there is no such reward.
    """
    worth = earned(outcomes, reward)
    categories = {task.id: task.category for task in proposal.tasks}
    found = []
    for number, asked in enumerate(proposal.asked):
        value = _value(asked, worth)
        if value is None:
            continue
        category = categories.get(asked.task_id or "", asked.refusal.category if asked.refusal else "")
        found.append(_attempt(asked, value, f"{PROPOSER}/{by}/{category}", run_id, number, at))
    return tuple(found)


def _value(asked: Asked, worth: Mapping[str, float]) -> float | None:
    if asked.refusal is None:
        return worth.get(asked.task_id or "")
    if asked.refusal.reason in ("model", "unchecked"):
        return None
    return azr_composite(0.0, well_formed=asked.refusal.reason not in MALFORMED, valid=False)


def _attempt(asked: Asked, value: float, kind: str, run_id: str, number: int, at: float) -> Trajectory:
    reply, question = asked.reply, asked.messages[-1].content
    ident = content_id(run_id, kind, number, question, reply.text)
    step = Step(
        index=0,
        observation=question,
        messages=asked.messages,
        completion=reply.text,
        action=reply.text,
        validity="valid" if asked.refusal is None else "unparseable",
        reward=value,
        terminated=True,
        prompt_token_ids=reply.prompt_token_ids,
        token_ids=reply.token_ids,
        logprobs=reply.logprobs,
        entropies=reply.entropies,
        model=reply.model,
        policy_version=reply.policy_version,
        role=PROPOSER,
        usage=reply.usage,
        model_seconds=reply.seconds,
    )
    return Trajectory(
        id=ident,
        run_id=run_id,
        task=Task(id=kind, goal="propose a task", environment=PROPOSER, split="train", category=kind, origin=Origin()),
        group_id=f"{run_id}/{kind}",
        sample=number,
        steps=(step,),
        final_observation=asked.task_id or (asked.refusal.reason if asked.refusal else ""),
        stop="terminated",
        reward=value,
        success=value > 0,
        usage=reply.usage,
        started_at=at,
        meta={"role": PROPOSER},
    )
