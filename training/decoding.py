"""Whether token ids and text belong together: the check for a wrong tokenizer and for damaged ids."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

from ..core import Step
from .texts import Tokenizer

_TAG = re.compile(r"</?think>")


def decodes(step: Step, tokenizer: Tokenizer) -> bool:
    """Say whether the ids of a step's answers decode to their texts; see `misspelled`."""
    return misspelled(step, tokenizer) is None


def misspelled(step: Step, tokenizer: Tokenizer) -> tuple[tuple[int, ...], str] | None:
    """Return the first answer of a step whose ids do not decode to its text, as ids and text; None where all do.

    A step without ids has nothing to disagree. Ids may go on where the text has ended: with the token that ends
    answers, with a stop string that was cut off, with tool calls that the server keeps apart. White space, case and
    thinking tags do not count, as servers differ in them. Where a server has named an option, its ids may spell it
    within JSON or in other words, so half of the option's words are enough.
    """
    answers = [(entry.token_ids, entry.completion) for entry in step.rounds]
    for ids, text in [*answers, (step.token_ids, step.completion)]:
        decoded = _decoded(ids, tokenizer)
        if decoded is None:
            return ids, text
        if ids and not _plain(decoded).startswith(_plain(text)) and not _names(step, text, decoded):
            return ids, text
    return None


def _names(step: Step, text: str, decoded: str) -> bool:
    """Say whether ids that a server answered with name the option it was understood to choose."""
    if step.choice is None or step.choice.score_kind != "none":
        return False
    words, spelled = text.casefold().split(), _plain(decoded)
    return 2 * sum(_plain(word) in spelled for word in words) >= len(words)


def _decoded(ids: Sequence[int], tokenizer: Tokenizer) -> str | None:
    """Return the text of ids without special tokens, or None where one of them is no token at all."""
    try:
        # Fast tokenizers leave out ids that they do not know without a word.
        if any(not 0 <= token < len(tokenizer) for token in ids):
            return None
        return tokenizer.decode(list(ids), skip_special_tokens=True)
    except (OverflowError, IndexError, KeyError, TypeError, ValueError):
        return None


def _plain(text: str) -> str:
    return "".join(unicodedata.normalize("NFKC", _TAG.sub("", text)).casefold().split())
