"""Rows to train on, made of the token ids as they were sampled.

Two forms. One row per step: the prompt as it was sent, and the answer. One row per episode: what was sent later goes
on from what was sent before, so the later answers follow in the same row, and everything between them (observations,
tool results) is masked. Where a prompt does not go on from the one before (it was rebuilt, shortened, or other things
were recalled), a new row begins: no row ever claims that the model saw what it did not see.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from ..core import Step, Trajectory
from ..errors import TrainingError
from .segments import Segment, segments
from .strip import without_recalled
from .texts import Tokenizer as Tokenizer
from .texts import answer, named, text_segments

Form = Literal["step", "episode"]
MIXED = "with token ids at some answers only"
"""Why an attempt is left out that `rows_of` refuses as `mixed`."""
CALLS = "with tool calls, which the chat template of this tokenizer cannot write"
LEFT_OUT = {"mixed": MIXED, "tool_calls": CALLS}
"""What `rows_of` may refuse in one attempt while others are fine: kind of the error -> why it is left out."""


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
    stripped: bool = False
    """What was recalled was taken out of the prompt, so `logprobs` are those of another prompt, with it: the row is
    off-policy however fresh it is."""

    @property
    def on_record(self) -> bool:
        """Whether the behaviour policy's log-probabilities are known."""
        return bool(self.logprobs)

    def advantages(self, of_steps: Sequence[float]) -> tuple[float, ...]:
        """Return the advantage of each token from those of the steps, 0 where it was read: (N,)."""
        return tuple(of_steps[step] * known for step, known in zip(self.steps, self.loss_mask, strict=True))


def step_rows(trajectory: Trajectory) -> list[Row]:
    """Return one row per sampled answer; a step with two rounds of tools has three.

    Steps without token ids give no row.
    """
    return [_row(trajectory, step, segment) for step, segment in _sampled(trajectory)]


def episode_rows(trajectory: Trajectory) -> list[Row]:
    """Return as few rows as the prompts allow: one where each goes on from the last."""
    return _merged(step_rows(trajectory))


def text_rows(trajectory: Trajectory, tokenizer: Tokenizer) -> list[Row]:
    """Return one row per answer that has text but no token ids, tokenised here and without log-probabilities.

    For trajectories of other models and from files. A step with neither answer nor action gives no row.

    Raises:
        TrainingError: a step has token ids, and tokenising its text again could give others; or the tokenizer's chat
            template cannot write the prompt.
    """
    return [_row(trajectory, step, segment) for step, segment in _told(trajectory, tokenizer)]


def rows_of(
    trajectory: Trajectory, *, form: Form = "episode", tokenizer: Tokenizer | None = None, strip: bool = False
) -> list[Row]:
    """Return the rows of a trajectory, from its token ids where it has them and else from its text.

    Args:
        trajectory: with ids at all answers or at none.
        form: one row per answer, or as few rows as the prompts allow.
        tokenizer: needed for text, and to strip.
        strip: take what was recalled out of the prompts; rows that held some are marked `stripped`.

    Raises:
        TrainingError: it has ids at some answers and only text at others, a tokenizer is missing, lengths do not
            fit, or a prompt cannot be written or stripped; says which trajectory and step.
    """
    sampled = has_ids(trajectory)
    bare = _bare(trajectory, tokenizer) if strip else trajectory
    if sampled:
        found = _sampled(bare)
    elif any(answer(step) is not None for step in bare.steps):
        found = _told(bare, _needed(tokenizer, trajectory, "has text but no token ids"))
    else:
        return []
    # Only a step that held some has lost it.
    held = {old.index for old, new in zip(trajectory.steps, bare.steps, strict=True) if old is not new}
    rows = [_row(trajectory, step, segment, stripped=step.index in held) for step, segment in found]
    return rows if form == "step" else _merged(rows)


def has_ids(trajectory: Trajectory) -> bool:
    """Say whether a trajectory's answers came with token ids.

    Raises:
        TrainingError: some did and some did not.
    """
    with_ids = [step.index for step in trajectory.steps if segments(step)]
    without = [step.index for step in trajectory.steps if _lacks_ids(step)]
    if with_ids and without:
        raise TrainingError(
            f"trajectory {trajectory.id} has token ids at step {with_ids[0]} and only text at step {without[0]}.",
            hint="Leave it out, or play it again with a model that gives ids at every step.",
            kind="mixed",
        )
    return bool(with_ids)


def _lacks_ids(step: Step) -> bool:
    told = any((entry.completion or entry.calls) and not entry.token_ids for entry in step.rounds)
    return told or (not step.token_ids and answer(step) is not None)


def _bare(trajectory: Trajectory, tokenizer: Tokenizer | None) -> Trajectory:
    steps = []
    for step in trajectory.steps:
        if step.recalled or step.recalled_text:
            with named(trajectory, step):
                step = without_recalled(step, _needed(tokenizer, trajectory, "is to be stripped of what was recalled"))
        steps.append(step)
    return trajectory.model_copy(update={"steps": tuple(steps)})


def _needed(tokenizer: Tokenizer | None, trajectory: Trajectory, why: str) -> Tokenizer:
    if tokenizer is None:
        raise TrainingError(
            f"trajectory {trajectory.id} {why}, which takes a tokenizer.",
            hint="Name the model it is for (--model embedded, or a folder).",
            kind="no_tokenizer",
        )
    return tokenizer


def _told(trajectory: Trajectory, tokenizer: Tokenizer) -> Iterator[tuple[Step, Segment]]:
    for step in trajectory.steps:
        if segments(step):
            raise TrainingError(
                f"step {step.index} of trajectory {trajectory.id} has token ids as sampled.",
                hint="Use step_rows or episode_rows; text is never tokenised again where ids are there.",
            )
        with named(trajectory, step):
            found = text_segments(step, tokenizer)
        yield from ((step, segment) for segment in found)


def _sampled(trajectory: Trajectory) -> Iterator[tuple[Step, Segment]]:
    for step in trajectory.steps:
        for segment in segments(step):
            if segment.logprobs and len(segment.logprobs) != len(segment.token_ids):
                raise TrainingError(
                    f"step {step.index} of trajectory {trajectory.id} has {len(segment.logprobs)} log-probabilities "
                    f"for {len(segment.token_ids)} tokens."
                )
            yield step, segment


def _row(trajectory: Trajectory, step: Step, segment: Segment, *, stripped: bool = False) -> Row:
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
        stripped=stripped,
    )


def _merged(rows: Sequence[Row]) -> list[Row]:
    found: list[Row] = []
    for row in rows:
        if found and (longer := _joined(found[-1], row)) is not None:
            found[-1] = longer
        else:
            found.append(row)
    return found


def _joined(row: Row, after: Row) -> Row | None:
    """Return one row for both, or None where the second prompt does not go on from the first row."""
    seen = row.prompt_ids + row.completion_ids
    if after.prompt_ids[: len(seen)] != seen or row.on_record != after.on_record:
        return None
    if (row.model, row.policy_version, row.stripped) != (after.model, after.policy_version, after.stripped):
        # Another policy sampled it, or this one behind another prompt: one row has one version.
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
        stripped=row.stripped,
    )
