"""What of a step is trained on: the tokens the model sampled, never those that tools or the world wrote."""

from __future__ import annotations

from dataclasses import dataclass

from ..core import Step


@dataclass(frozen=True)
class Segment:
    """One sampled answer behind its prompt. A step with two rounds of tools has three."""

    prompt_token_ids: tuple[int, ...]
    """The prompt as sent, tool results and all."""
    token_ids: tuple[int, ...]
    """The answer as sampled."""
    logprobs: tuple[float, ...] = ()
    """Natural log-probability of each of `token_ids` under the policy that sampled them."""

    @property
    def input_ids(self) -> tuple[int, ...]:
        """Prompt and answer: (n,)."""
        return self.prompt_token_ids + self.token_ids

    @property
    def loss_mask(self) -> tuple[int, ...]:
        """1 where a token was sampled, 0 where it was read: (n,)."""
        return (0,) * len(self.prompt_token_ids) + (1,) * len(self.token_ids)


def segments(step: Step) -> list[Segment]:
    """Return the sampled answers of a step in order; those without token ids (of servers that give none) are left out.

    Tool results stand in the prompt of the round that follows them, so they are masked without being looked for.
    """
    found = [Segment(r.prompt_token_ids, r.token_ids, r.logprobs) for r in step.rounds if r.token_ids]
    if step.token_ids:
        found.append(Segment(step.prompt_token_ids, step.token_ids, step.logprobs))
    return found


def trained_messages(step: Step) -> tuple[bool, ...]:
    """Say of each message of a step's prompt whether the model wrote it in this step: (len(messages),).

    For training on text, where there are no token ids. Answers of earlier steps are in the prompt as well, and are
    trained on with their own step.
    """
    ids = {ident for entry in step.rounds for ident in entry.calls}
    asked = [
        at
        for at, message in enumerate(step.messages)
        if message.role == "assistant" and message.tool_calls and {call.id for call in message.tool_calls} <= ids
    ]
    # Ids need not be unique: some servers give none, and earlier calls in the prompt are numbered too.
    own = set(asked[max(0, len(asked) - len(step.rounds)) :])
    return tuple(at in own for at in range(len(step.messages)))
