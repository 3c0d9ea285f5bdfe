"""Prompts without what memory added to them, so that the weights learn to do without it.

The answers stay as they were sampled, with the log-probabilities they had when the text was there: such rows are
off-policy, and are marked so (`Row.stripped`). AgentEvolver (2025, its self-navigating part) clips their ratio at
1 + 0.6 where that of others is clipped at 1 + 0.28.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from ..core import Message, Step
from ..errors import TrainingError
from .texts import Tokenizer, prompt_ids


def without_recalled(step: Step, tokenizer: Tokenizer) -> Step:
    """Return a step whose prompts do not hold what was recalled; the same step where nothing was.

    Where there are token ids, those of the text are cut out and every other one stays as it was sent, also what the
    stored messages do not show (descriptions of tools). The chat template is asked only where the text lies.

    Raises:
        TrainingError: the step does not say what was recalled, or the text is not found in its prompt.
    """
    messages = bare_messages(step)
    if messages is step.messages:
        return step
    changed: dict[str, object] = {"messages": messages, "recalled_text": ""}
    if step.prompt_token_ids or any(entry.prompt_token_ids for entry in step.rounds):
        cut = _Cut(prompt_ids(step.messages, tokenizer), prompt_ids(messages, tokenizer))
        changed["prompt_token_ids"] = cut.out_of(step.prompt_token_ids)
        changed["rounds"] = tuple(
            entry.model_copy(update={"prompt_token_ids": cut.out_of(entry.prompt_token_ids)}) for entry in step.rounds
        )
    return step.model_copy(update=changed)


def bare_messages(step: Step) -> tuple[Message, ...]:
    """Return a step's prompt without what was recalled.

    It is taken out of the first message that holds it as paragraphs of its own, else of the first that holds it at
    all: a short text may well occur in observations, and in the words around it. What the model itself has said stays
    as it is.

    Raises:
        TrainingError: the step does not say what was recalled, or the text is not in its prompt.
    """
    text = step.recalled_text
    if not text and step.recalled:
        raise TrainingError(
            "it names what was recalled and does not hold its text, which older versions did not keep.",
            hint="Train on it without samples.strip_recalled.",
            kind="no_recalled_text",
        )
    if not text:
        return step.messages
    words = re.escape(text)
    for pattern in (rf"\A{words}(?:\n\n|\Z)|\n\n{words}(?=\n\n|\Z)", words):
        for at, message in enumerate(step.messages):
            content = message.content if message.role == "assistant" else re.sub(pattern, "", message.content)
            if content != message.content:
                bare = message.model_copy(update={"content": content})
                return (*step.messages[:at], bare, *step.messages[at + 1 :])
    raise TrainingError("what was recalled does not stand in its prompt.", kind="no_recalled_text")


class _Cut:
    """What sets two tokenised prompts apart: one stretch of ids, and what takes its place.

    Words may be parted otherwise where the text was, so a few ids may come in for it.
    """

    def __init__(self, full: tuple[int, ...], bare: tuple[int, ...]) -> None:
        most = min(len(full), len(bare))
        self._at = next((n for n in range(most) if full[n] != bare[n]), most)
        rest = most - self._at
        after = next((n for n in range(rest) if full[-1 - n] != bare[-1 - n]), rest)
        self._gone = full[self._at : len(full) - after]
        self._put = bare[self._at : len(bare) - after]

    def out_of(self, ids: tuple[int, ...]) -> tuple[int, ...]:
        """Return ids without the stretch.

        Raises:
            TrainingError: it is not in them, or more than once.
        """
        if not ids:
            return ids
        size = len(self._gone)
        places = [self._at] if ids[self._at : self._at + size] == self._gone else _places(ids, self._gone)
        if len(places) != 1:
            raise TrainingError(
                "its prompt was sent with other tokens than this tokenizer makes of it, so that what was recalled "
                "is not found in them.",
                hint="Take the model that sampled it, or train without samples.strip_recalled.",
                kind="other_tokens",
            )
        return ids[: places[0]] + self._put + ids[places[0] + size :]


def _places(ids: Sequence[int], wanted: Sequence[int]) -> list[int]:
    size = len(wanted)
    return [at for at in range(len(ids) - size + 1) if ids[at] == wanted[0] and ids[at : at + size] == wanted]
