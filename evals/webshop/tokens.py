"""The words of a text as Lucene's EnglishAnalyzer sees them, so that a search here ranks as a search there.

The chain: words by the rules of Unicode Standard Annex 29 (as StandardTokenizer reads them), the possessive `'s` off,
lower case, 33 stop words out, Martin Porter's stemmer with his own later changes. Rules and classes were compared with
a real Lucene (9.5, in Anserini 0.22.1), character by character.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from . import wordbreak as wb
from .porter import stem

STOP_WORDS = frozenset(
    ("a", "an", "and", "are", "as", "at", "be", "but", "by", "for", "if", "in", "into", "is", "it", "no", "not",
     "of", "on", "or", "such", "that", "the", "their", "then", "there", "these", "they", "this", "to", "was",
     "will", "with")
)  # fmt: skip
"""Lucene's English stop words, 33."""
LONGEST = 255
"""Longest token in UTF-16 units; what is longer is cut there, and the rest is read as if it began a text."""
SHORT = 40
"""Longest piece of text (between two blanks) that is remembered."""
REMEMBERED = 1_000_000
"""Pieces, and stems, remembered before that memory starts anew: some 200 MB each at most."""


def _grammar() -> re.Pattern[str]:
    """Return the pattern of a token over class letters; the group `skip` matches what is no token.

    Every repetition is possessive or ends in what it cannot give back, so that matching takes linear time.
    """
    unkeyed = f"{wb.EXTEND}{wb.TAG}{wb.END_TAG}{wb.COMPLEX_MARK}{wb.EMOJI_MODIFIER}"
    inside = f"{unkeyed}{wb.KEYCAP}"
    any_mark = f"[{inside}{wb.ZWJ}{wb.EMOJI_STYLE}{wb.TEXT_STYLE}]*+"
    idle = f"[{wb.EXTEND}{wb.TAG}{wb.END_TAG}{wb.KEYCAP}{wb.EMOJI_STYLE}{wb.TEXT_STYLE}]*+"

    def one(*kinds: str) -> str:
        return f"[{''.join(kinds)}]{any_mark}"

    letter = one(wb.LETTER, wb.EMOJI_LETTER, wb.HEBREW)
    between_letters = one(wb.MID_LETTER, wb.MID_BOTH, wb.QUOTE)
    between_digits = one(wb.MID_NUMBER, wb.MID_BOTH, wb.QUOTE)
    digit, kana, joiner, hebrew = one(wb.DIGIT), one(wb.KATAKANA), one(wb.JOINER), one(wb.HEBREW)
    stretch = "|".join(
        (
            f"{hebrew}{one(wb.QUOTE)}(?!{letter})",
            f"{hebrew}{one(wb.DOUBLE_QUOTE)}{hebrew}",
            f"{letter}(?:{between_letters}{letter})*+",
            f"{digit}(?:{between_digits}{digit})*+",
        )
    )
    body = f"(?:(?:{kana})++|(?:{stretch})++)"
    word = f"(?:{joiner}){{0,{LONGEST}}}+{body}(?:(?:{joiner})++{body})*+(?:{joiner})*+"
    picture = f"[{wb.EMOJI}{wb.EMOJI_BASE}{wb.EMOJI_LETTER}]"
    drawn = f"[{wb.EMOJI}{wb.EMOJI_BASE}{wb.EMOJI_LETTER}{wb.EMOJI_MODIFIER}]"
    mark = f"(?:[{inside}]|{wb.ZWJ}++(?!{drawn}))*+"
    toned = f"(?:{wb.ZWJ}*+{wb.EMOJI_BASE}{mark})?+{wb.EMOJI_MODIFIER}{mark}"
    plain = f"{wb.ZWJ}*+{picture}{mark}{wb.EMOJI_STYLE}?+"
    tags = f"{wb.TAG}++{wb.END_TAG}"
    emoji = f"(?:{toned}|{plain})(?:{tags}|(?:{wb.ZWJ}(?:{toned}|{plain}))++)?+"
    rest = (
        f"{wb.FLAG}{any_mark}{wb.FLAG}{any_mark}",
        f"{wb.KEYCAP_BASE}(?=[{unkeyed}{wb.ZWJ}]*+{wb.EMOJI_STYLE}?+{wb.KEYCAP})[{inside}{wb.ZWJ}]*+"
        f"(?:{wb.EMOJI_STYLE}{wb.KEYCAP}[{inside}{wb.ZWJ}]*+)?+",
        f"(?:{one(wb.COMPLEX, wb.COMPLEX_MARK)})++",
        one(wb.HAN),
        one(wb.HIRAGANA),
        f"(?P<skip>(?:{wb.JOINER}{idle})++|{wb.ZWJ}++)",
    )
    # A letter that is also a picture begins a word, unless a joiner ties a picture to it that is no letter.
    tied = f"{wb.EMOJI_LETTER}{mark}{wb.EMOJI_STYLE}?+{wb.ZWJ}[{wb.EMOJI}{wb.EMOJI_BASE}]"
    return re.compile("|".join((f"(?!{tied}){word}", emoji, *rest)))


class Analyzer:
    """Cuts texts into stemmed words; remembers what it has seen, so one is made for an index and kept.

    Threads may share one: the worst that can happen is that two of them stem the same word.
    """

    def __init__(self) -> None:
        self._classes = wb.Classes()
        self._grammar = _grammar()
        self._pieces: dict[str, tuple[str, ...]] = {}
        self._stems: dict[str, str] = {}

    def __call__(self, text: str) -> list[str]:
        """Return the words of a text in order, stop words left out; any text will do."""
        found: list[str] = []
        pieces = self._pieces
        # A blank always ends a word, so what stands between two blanks can be looked up whole.
        for piece in text.split(" "):
            words = pieces.get(piece)
            if words is None:
                words = tuple(self._words(piece))
                if len(piece) <= SHORT:
                    if len(pieces) >= REMEMBERED:
                        pieces.clear()
                    pieces[piece] = words
            found += words
        return found

    def _words(self, text: str) -> Iterator[str]:
        for token in self.raw(text):
            word = _lower(token[:-2] if token[-2:] in _POSSESSIVES else token)
            if word not in STOP_WORDS:
                yield self._stem(word)

    def raw(self, text: str) -> Iterator[str]:
        """Yield the tokens themselves, as StandardTokenizer does: nothing cut off, lowered or left out."""
        classes = text.translate(self._classes)
        for match in self._grammar.finditer(classes):
            if match.lastgroup == "skip":
                continue
            token = text[match.start() : match.end()]
            if len(token) <= LONGEST // 2 or _units(token) <= LONGEST:
                yield token
            else:
                yield from self._cut(token, match.group())

    def _cut(self, token: str, classes: str) -> Iterator[str]:
        at = 0
        while at < len(token):
            last = min(at + LONGEST, len(token))
            while _units(token[at:last]) > LONGEST:
                last -= (_units(token[at:last]) - LONGEST + 1) // 2
            match = self._grammar.match(classes, at, last)
            if match is None:
                at += 1
                continue
            if match.lastgroup != "skip":
                yield token[at : match.end()]
            at = match.end()

    def _stem(self, word: str) -> str:
        found = self._stems.get(word)
        if found is None:
            if len(self._stems) >= REMEMBERED:
                self._stems.clear()
            found = self._stems[word] = stem(word)
        return found


_POSSESSIVES = frozenset(mark + s for mark in "'\u2019\uff07" for s in "sS")


def _lower(token: str) -> str:
    """Lower each character by itself, as Java does: no final sigma, and a dotted capital I becomes a plain one."""
    if token.isascii():
        return token.lower()
    return "".join(character.lower()[0] for character in token)


def _units(text: str) -> int:
    return len(text) if text.isascii() else len(text) + sum(character > "\uffff" for character in text)
