"""What a model was asked as a judge, as attempts that it can be trained on like on any others."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ...core import Step, Trajectory, Usage, content_id
from ...roles import VERIFIER
from ..hooks import Judgement, Said
from ..solver import round_of
from .blinded import blind_task
from .verifier import says_something

RIGHT, WRONG, UNREADABLE = 1.0, -0.5, -1.0
"""What a verdict earns: 1 where it is what the outcome was, -0.5 where it is not, -1 where there is none to be read.
RISE (Liu et al. 2025, 2505.13445) pays its verification so; that a verdict of no confidence is a wrong one is ours."""
AGAIN = -0.5
"""What an answer costs that had to be asked for again. RISE asks once; this is ours."""


def episodes(judged: Trajectory, heard: Sequence[Judgement], *, run_id: str, first: int = 0) -> tuple[Trajectory, ...]:
    """Return an attempt for each judgement of an attempt whose outcome is known, rewarded by whether they agree.

    The judgements of all attempts at a task share a group, apart from the attempts themselves: its mean is the baseline
    of the verifier at this task.

    Args:
        judged: the attempt, with its outcome; where that is not known there is nothing to agree with.
        heard: what models were asked about it.
        run_id: the run these attempts belong to.
        first: number of the first of them among those of the task.
    """
    if judged.success is None or judged.failure is not None:
        return ()
    return tuple(
        _attempt(judged, judgement, judged.success, run_id, first + number) for number, judgement in enumerate(heard)
    )


def reward_of(judgement: Judgement, truth: bool) -> float:
    """Return what the last answer of a judgement earns: see `RIGHT`."""
    if judgement.said[-1].wrong or judgement.said[-1].calls:
        return UNREADABLE
    verdict = judgement.verdict
    return RIGHT if says_something(verdict) and verdict.passed == truth else WRONG


def _attempt(judged: Trajectory, judgement: Judgement, truth: bool, run_id: str, number: int) -> Trajectory:
    answers = list(_answers(judgement.said))
    last = len(answers) - 1
    value = reward_of(judgement, truth)
    steps = tuple(_step(at, said, value if at == last else AGAIN, at == last) for at, said in enumerate(answers))
    task = blind_task(judged.task)
    ident = f"{VERIFIER}/{task.id}"
    texts = [one.reply.text for one in judgement.said]
    return Trajectory(
        id=content_id(run_id, judged.id, number, texts),
        run_id=run_id,
        task=task.model_copy(update={"id": ident, "environment": VERIFIER}),
        group_id=f"{run_id}/{ident}",
        sample=number,
        release_id=judged.release_id,
        steps=steps,
        final_observation="",
        stop="terminated",
        reward=sum(step.reward for step in steps),
        success=value == RIGHT,
        usage=sum((step.usage for step in steps), Usage()),
        started_at=judged.started_at,
        meta={"role": VERIFIER, "judged": judged.id, "judge": judgement.verdict.judge},
    )


def _answers(said: Sequence[Said]) -> Iterator[tuple[Said, ...]]:
    """Yield each answer that was to be a verdict, behind those that asked for tools on its way."""
    rounds: list[Said] = []
    for one in said:
        rounds.append(one)
        if not one.calls:
            yield tuple(rounds)
            rounds = []
    if rounds:
        yield tuple(rounds)


def _step(index: int, said: Sequence[Said], reward: float, last: bool) -> Step:
    *rounds, answer = said
    reply = answer.reply
    return Step(
        index=index,
        observation=said[0].messages[-1].content,
        messages=answer.messages,
        completion=reply.text,
        action=reply.text,
        validity="unparseable" if answer.wrong or answer.calls else "valid",
        tool_calls=tuple(call for one in said for call in one.calls),
        rounds=tuple(round_of(one.reply, one.calls) for one in rounds),
        reward=reward,
        terminated=last,
        prompt_token_ids=reply.prompt_token_ids,
        token_ids=reply.token_ids,
        logprobs=reply.logprobs,
        entropies=reply.entropies,
        model=reply.model,
        policy_version=reply.policy_version,
        role=VERIFIER,
        usage=sum((one.reply.usage for one in said), Usage()),
        model_seconds=sum(one.reply.seconds for one in said),
    )
