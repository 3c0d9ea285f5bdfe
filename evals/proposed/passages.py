"""The passages of a folder of documents, and questions about them that need no model: a word that is left out."""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from ...errors import ConfigError
from ...tools.search import LARGEST, SUFFIXES, passages

GAP = "____"
ASKED = re.compile(r'Which word or number belongs in the gap\? "(.*)"\Z', re.DOTALL)
_SENTENCE = re.compile(r"(?<=[.!?])\s+")
_WORD = re.compile(r"[^\W_]+(?:[-'.,:/][^\W_]+)*")
SHORTEST, WIDEST = 8, 60
"""Words of a sentence with a gap."""


class Passage(NamedTuple):
    """A passage and the document it stands in."""

    document: str
    text: str


def passages_of(folder: str | Path) -> list[Passage]:
    """Return all passages, cut as the search tool cuts them, in a stable order.

    Raises:
        ConfigError: there are none.
    """
    root = Path(folder)
    found = [
        Passage(path.relative_to(root).as_posix(), passage)
        for path in sorted(root.rglob("*"))
        if path.suffix.lower() in SUFFIXES and path.is_file() and root.resolve() in path.resolve().parents
        if path.stat().st_size <= LARGEST
        for passage in passages(path.read_text(encoding="utf-8", errors="replace"))
    ]
    if not found:
        raise ConfigError(f"there are no documents in {folder}.", hint=f"It takes {', '.join(sorted(SUFFIXES))}.")
    return found


class Question(NamedTuple):
    """A question with the answer it asks for."""

    question: str
    answer: str


def with_gap(passage: Passage, generator: random.Random) -> Question | None:
    """Return a sentence of a passage without one of its names or numbers; None where there is no such sentence."""
    found = []
    for sentence in _SENTENCE.split(" ".join(passage.text.split())):
        words = list(_WORD.finditer(sentence))
        if not SHORTEST <= len(words) <= WIDEST or GAP in sentence or '"' in sentence:
            continue
        for word in words[1:]:
            telling = word[0][0].isdigit() or (word[0][0].isupper() and len(word[0]) > 2)
            if telling and sum(other[0].casefold() == word[0].casefold() for other in words) == 1:
                found.append((sentence, word))
    if not found:
        return None
    sentence, word = generator.choice(found)
    text = f"{sentence[: word.start()]}{GAP}{sentence[word.end() :]}"
    return Question(f'Which word or number belongs in the gap? "{text}"', word[0])


class GapAnswerer:
    """Answers questions with a gap by looking for the sentence in the given passages; it needs no model."""

    async def answer(self, question: str, texts: Sequence[str], generator: random.Random) -> str | None:
        """Return what stands in the gap in these texts, or None where they do not say it, or say several things."""
        asked = ASKED.match(question)
        if asked is None:
            return None
        before, _, after = asked[1].partition(GAP)
        pattern = re.compile(re.escape(before) + r"(" + _WORD.pattern + r")" + re.escape(after))
        found = {match[1] for text in texts for match in pattern.finditer(" ".join(text.split()))}
        return found.pop() if len(found) == 1 else None
