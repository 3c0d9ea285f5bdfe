"""Rows to train on, made of the token ids as they were sampled.

Two forms. One row per step: the prompt as it was sent, and the answer. One row per episode: what was sent later goes
on from what was sent before, so the later answers follow in the same row, and everything between them (observations,
tool results) is masked. Where a prompt does not go on from the one before (it was rebuilt, shortened, or other things
were recalled), a new row begins: no row ever claims that the model saw what it did not see.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from ..core import Step, Trajectory
from ..errors import TrainingError
from .segments import Segment, segments


@dataclass(frozen=True)
class Row:
    """A prompt and what followed it; N is the number of completion tokens."""

    trajectory_id: str
    group_id: str
    prompt_ids: tuple[int, ...]
    completion_ids: tuple[int, ...]
    """Answers as sampled and, in rows of whole episodes, what stood between them: (N,)."""
    loss_mask: tuple[int, ...]
    """1 where the token was sampled, 0 where it was read: (N,)."""
    logprobs: tuple[float, ...]
    """Natural log-probability of each token under the policy that sampled it, 0 where it was read: (N,); empty where
    nobody knows it, so that the row can be imitated but not weighed by importance."""
    steps: tuple[int, ...]
    """Index of the step each token belongs to: (N,). What was read belongs to the step it was read for."""
    model: str = ""
    policy_version: str = ""

    @property
    def on_record(self) -> bool:
        """Whether the behaviour policy's log-probabilities are known."""
        return bool(self.logprobs)

    def advantages(self, of_steps: Sequence[float]) -> tuple[float, ...]:
        """Return the advantage of each token from those of the steps, 0 where it was read: (N,)."""
        return tuple(of_steps[step] * known for step, known in zip(self.steps, self.loss_mask, strict=True))


class Tokenizer(Protocol):
    """What is needed of a tokenizer, in the words of transformers."""

    eos_token_id: int | None

    def apply_chat_template(self, conversation: list[dict[str, object]], **keywords: object) -> object: ...

    def encode(self, text: str, *, add_special_tokens: bool = True) -> list[int]: ...


def step_rows(trajectory: Trajectory) -> list[Row]:
    """Return one row per sampled answer; a step with two rounds of tools has three.

    Steps without token ids give no row.
    """
    return [_row(trajectory, step, segment) for step, segment in _sampled(trajectory)]


def episode_rows(trajectory: Trajectory) -> list[Row]:
    """Return as few rows as the prompts allow: one where each goes on from the last."""
    found: list[Row] = []
    for step, segment in _sampled(trajectory):
        row = _row(trajectory, step, segment)
        if found and (longer := _joined(found[-1], row)) is not None:
            found[-1] = longer
        else:
            found.append(row)
    return found


def text_rows(trajectory: Trajectory, tokenizer: Tokenizer) -> list[Row]:
    """Return one row per step that has text but no token ids, tokenised here and without log-probabilities.

    For trajectories of other models and from files. A step with neither answer nor action gives no row.

    Raises:
        TrainingError: a step has token ids; tokenising its text again could give others.
    """
    rows = []
    for step in trajectory.steps:
        if step.token_ids:
            raise TrainingError(
                f"step {step.index} of trajectory {trajectory.id} has token ids as sampled.",
                hint="Use step_rows or episode_rows; text is never tokenised again where ids are there.",
            )
        answer = step.completion or step.action
        if not answer or not step.messages:
            continue
        end = () if tokenizer.eos_token_id is None else (tokenizer.eos_token_id,)
        completion = (*tokenizer.encode(answer, add_special_tokens=False), *end)
        segment = Segment(_prompt_ids(step, tokenizer), completion)
        rows.append(_row(trajectory, step, segment))
    return rows


def _prompt_ids(step: Step, tokenizer: Tokenizer) -> tuple[int, ...]:
    conversation: list[dict[str, object]] = [{"role": m.role, "content": m.content} for m in step.messages]
    found = tokenizer.apply_chat_template(conversation, add_generation_prompt=True, tokenize=True, return_dict=False)
    assert isinstance(found, list)
    return tuple(found)


def _sampled(trajectory: Trajectory) -> Iterator[tuple[Step, Segment]]:
    for step in trajectory.steps:
        for segment in segments(step):
            if segment.logprobs and len(segment.logprobs) != len(segment.token_ids):
                raise TrainingError(
                    f"step {step.index} of trajectory {trajectory.id} has {len(segment.logprobs)} log-probabilities "
                    f"for {len(segment.token_ids)} tokens."
                )
            yield step, segment


def _row(trajectory: Trajectory, step: Step, segment: Segment) -> Row:
    n = len(segment.token_ids)
    return Row(
        trajectory_id=trajectory.id,
        group_id=trajectory.group_id,
        prompt_ids=segment.prompt_token_ids,
        completion_ids=segment.token_ids,
        loss_mask=(1,) * n,
        logprobs=segment.logprobs,
        steps=(step.index,) * n,
        model=step.model,
        policy_version=step.policy_version,
    )


def _joined(row: Row, after: Row) -> Row | None:
    """Return one row for both, or None where the second prompt does not go on from the first row."""
    seen = row.prompt_ids + row.completion_ids
    if after.prompt_ids[: len(seen)] != seen or row.on_record != after.on_record:
        return None
    if (row.model, row.policy_version) != (after.model, after.policy_version):
        # Another policy sampled it: one row has one version.
        return None
    read = after.prompt_ids[len(seen) :]
    return Row(
        trajectory_id=row.trajectory_id,
        group_id=row.group_id,
        prompt_ids=row.prompt_ids,
        completion_ids=(*row.completion_ids, *read, *after.completion_ids),
        loss_mask=(*row.loss_mask, *(0 for _ in read), *after.loss_mask),
        logprobs=(*row.logprobs, *(0.0 for _ in read), *after.logprobs) if row.on_record else (),
        steps=(*row.steps, *(after.steps[0] for _ in read), *after.steps),
        model=row.model,
        policy_version=row.policy_version,
    )
