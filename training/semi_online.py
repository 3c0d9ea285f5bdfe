"""Semi-online replay: expert attempts, walked through as if the world were there (UI-S1, 2025).

At each step of an expert's attempt the policy acts on the expert's observation, with its own earlier answers in the
history. While it does what the expert did, the recorded observations are what a world would have shown. Where it does
something else they are not: the expert's action is put in its place (a patch), so often as is allowed, and then the
attempt ends.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from ..core import Message, Reply, Step, Trajectory, Usage, Verdict, content_id
from ..errors import TrainingError
from .credit.episode import Advantages, Episode
from .credit.statistics import Spread, spread


class Acted(NamedTuple):
    """What a policy answered, and the action in it."""

    action: str | None
    reply: Reply


class Policy(Protocol):
    """Who decides."""

    def __call__(self, messages: Sequence[Message], admissible: Sequence[str] | None, /) -> Awaitable[Acted]: ...


Matches = Callable[[Step, str | None], bool]
"""Whether an action does what the expert's did at this step."""


def same_action(step: Step, action: str | None) -> bool:
    """Say whether two actions are the same words, whatever their case and spacing."""
    return action is not None and step.action is not None and _plain(action) == _plain(step.action)


async def replay(
    expert: Trajectory,
    policy: Policy,
    *,
    patches: int = 0,
    sample: int = 0,
    run_id: str = "",
    matches: Matches = same_action,
) -> Trajectory:
    """Walk a policy along an expert's attempt and return what it did, with reward 1 for each match.

    What was sampled at a mismatch stays in the record as it was sampled, and later prompts hold the expert's answer
    instead. The judgement of each step is in `verdict.step_scores`: 1 for a match, -1 for none.

    Args:
        expert: a solved attempt with its prompts.
        policy: answers a prompt.
        patches: how many mismatches the expert's action stands in for; -1 for all. 0 ends at the first one.
        sample: which of several attempts at this expert's.
        run_id: what the record calls its run.
        matches: decides whether an action is the expert's.

    Raises:
        TrainingError: the expert's attempt has no steps, or its prompts were not recorded.
    """
    if not expert.steps or not all(step.messages for step in expert.steps):
        raise TrainingError(
            f"expert attempt {expert.id} has no steps with prompts.", hint="Replay attempts that Lamarck recorded."
        )
    steps: list[Step] = []
    said: list[str] = []
    scores: list[float] = []
    left = patches
    for step in expert.steps:
        messages = prompt_with(step.messages, said)
        acted = await policy(messages, step.admissible)
        right = matches(step, acted.action)
        last = step is expert.steps[-1]
        over = last or not (right or left)
        ending = {"terminated": last, "truncated": over and not last}
        steps.append(_step(step, messages, acted, right).model_copy(update=ending))
        scores.append(1.0 if right else -1.0)
        if over:
            break
        if not right:
            left -= 1
        said.append(acted.reply.text if right else step.completion or step.action or "")
    return _record(expert, steps, scores, patches=patches, sample=sample, run_id=run_id)


def _record(
    expert: Trajectory, steps: Sequence[Step], scores: Sequence[float], *, patches: int, sample: int, run_id: str
) -> Trajectory:
    matched = sum(score > 0 for score in scores)
    ident = content_id("semi-online", expert.id, run_id, sample, patches, [one.policy_version for one in steps[:1]])
    return Trajectory(
        id=ident,
        run_id=run_id or expert.run_id,
        task=expert.task,
        group_id=content_id("semi-online", run_id, expert.id),
        sample=sample,
        parent=expert.id,
        steps=tuple(steps),
        stop="terminated" if len(steps) == len(expert.steps) else "truncated",
        reward=float(matched),
        success=matched == len(expert.steps),
        score=matched / len(expert.steps),
        verdict=Verdict(
            passed=matched == len(expert.steps),
            score=matched / len(expert.steps),
            step_scores=tuple(scores),
            judge="expert",
        ),
        usage=sum((one.usage for one in steps), Usage()),
        started_at=steps[0].started_at,
        meta={"expert": expert.id, "expert_steps": len(expert.steps), "patches": patches},
    )


def prompt_with(messages: Sequence[Message], said: Sequence[str]) -> tuple[Message, ...]:
    """Return the expert's prompt with the policy's own answers in the place of the expert's.

    The prompt shows the latest decisions as turns of the assistant; these are the last ones of `said`. What went
    before stands there as one line per action, and the actions are the expert's either way. Turns that are calls of
    tools stay as they are.
    """
    turns = [place for place, message in enumerate(messages) if message.role == "assistant"]
    own = dict(zip(reversed(turns), reversed(said), strict=False))
    return tuple(
        message.model_copy(update={"content": own[place]}) if place in own and not message.tool_calls else message
        for place, message in enumerate(messages)
    )


@dataclass(frozen=True)
class SemiOnline:
    """Advantage of semi-online attempts: A = A_step + weight * A_episode.

    The step part compares R_t = sum over k >= t of gamma^(k-t) r_k with the other attempts at the same step of the
    same expert's attempt; the episode part compares whole returns, once per attempt. Both are divided by the standard
    deviation of what is compared. A return does not reach over a mismatch: what comes after a patch is the expert's
    merit, and a mismatch counts for itself only. So does the published code (`compute_step_discounted_returns`, gamma
    .5, both weights 1, `mean_std_norm`); its episode part takes the reward of the single step instead, over all step
    rows, which is not what the paper's formula says and not done here. A step that only one attempt reached has step
    advantage 0.
    """

    gamma: float = 0.5
    weight: float = 1.0
    eps: float = 1e-6
    name: str = "semi_online"

    def advantages(self, groups: Sequence[Sequence[Episode]]) -> Advantages:
        """Return one number per step.

        Raises:
            TrainingError: an episode does not say which steps matched.
        """
        return [self._group(group) for group in groups]

    def _group(self, group: Sequence[Episode]) -> list[tuple[float, ...]]:
        returns = []
        for episode in group:
            if len(episode.labels) != len(episode.rewards):
                raise TrainingError(f"episode {episode.id} does not say which of its steps matched an expert's.")
            returns.append(matched_returns(episode.rewards, [label > 0 for label in episode.labels], self.gamma))
        totals = spread([episode.total for episode in group])
        longest = max(map(len, returns), default=0)
        at = [spread([one[t] for one in returns if t < len(one)]) for t in range(longest)]
        return [
            tuple(
                self._normal(value, at[t]) + self.weight * self._normal(episode.total, totals)
                for t, value in enumerate(one)
            )
            for episode, one in zip(group, returns, strict=True)
        ]

    def _normal(self, value: float, by: Spread) -> float:
        return (value - by.mean) / (by.std + self.eps)


def matched_returns(rewards: Sequence[float], matched: Sequence[bool], gamma: float) -> tuple[float, ...]:
    """Return R_t of each step, cut at mismatches: (T,).

    Args:
        rewards: of each step, (T,).
        matched: whether each step did what the expert did, (T,).
        gamma: discount.
    """
    after, found = 0.0, []
    for reward, right in zip(reversed(rewards), reversed(matched), strict=True):
        after = reward + gamma * after if right else 0.0
        found.append(after if right else reward)
    return tuple(reversed(found))


class Reach(NamedTuple):
    """How far a policy gets along expert attempts: UI-S1's SOP, a proxy for its success in the world."""

    progress: float
    """Mean share of the expert's steps that were matched before the first mismatch."""
    success: float
    """Share of attempts without a mismatch."""

    @property
    def score(self) -> float:
        """Mean of both."""
        return (self.progress + self.success) / 2


def reach(attempts: Sequence[Trajectory]) -> Reach:
    """Return how far semi-online attempts got; patches do not help here.

    Raises:
        TrainingError: there are none, or one is not of `replay`.
    """
    shares = []
    for attempt in attempts:
        steps = attempt.meta.get("expert_steps")
        if not isinstance(steps, int) or attempt.verdict is None:
            raise TrainingError(f"attempt {attempt.id} is no semi-online replay of an expert's.")
        scores = attempt.verdict.step_scores
        first = next((t for t, score in enumerate(scores) if score < 0), len(scores))
        shares.append(first / steps)
    if not shares:
        raise TrainingError("there is no semi-online attempt to measure.")
    return Reach(sum(shares) / len(shares), sum(share == 1.0 for share in shares) / len(shares))


def _step(step: Step, messages: tuple[Message, ...], acted: Acted, right: bool) -> Step:
    reply = acted.reply
    return Step(
        index=step.index,
        observation=step.observation,
        admissible=step.admissible,
        messages=messages,
        completion=reply.text,
        action=acted.action,
        validity="valid" if acted.action is not None else "unparseable",
        choice=reply.choice,
        reward=float(right),
        info={"expert": step.action, "matched": right},
        prompt_token_ids=reply.prompt_token_ids,
        token_ids=reply.token_ids,
        logprobs=reply.logprobs,
        entropies=reply.entropies,
        model=reply.model,
        policy_version=reply.policy_version,
        usage=reply.usage,
        started_at=time.time() - reply.seconds,
        model_seconds=reply.seconds,
    )


def _plain(text: str) -> str:
    return " ".join(text.casefold().split())
