"""Texts of a report: clipped, with what cannot be seen made visible, and each of them kept once."""

from __future__ import annotations

import html
import json
import math
import re
from dataclasses import dataclass, field
from typing import NamedTuple

# What a reader cannot see, or what makes text look other than it is: controls, invisible and bidirectional marks,
# lone surrogates. Tab and newline are text.
_UNSEEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff]")
# What may end a script element or begin a comment in HTML.
_BREAKS = re.compile("[<>&]")


def visible(text: str) -> str:
    """Return a text in which everything that would be invisible or misleading stands as a sign or a number."""
    return _UNSEEN.sub(_sign, text.replace("\r\n", "\n"))


def _sign(found: re.Match[str]) -> str:
    code = ord(found[0])
    if code < 0x20:
        return chr(0x2400 + code)
    return "\u2421" if code == 0x7F else f"\u27e8U+{code:04X}\u27e9"


def escaped(text: object) -> str:
    """Return a text for use in HTML, in elements and in quoted attributes."""
    return html.escape(visible(str(text)))


def script_json(value: object) -> str:
    """Return JSON that can stand in a script element: nothing in it ends the element or begins a comment.

    JSON knows no NaN and no infinity; they become null.
    """
    try:
        text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    except ValueError:
        text = json.dumps(_finite(value), ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return _BREAKS.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def _finite(value: object) -> object:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _finite(entry) for key, entry in value.items()}
    return [_finite(entry) for entry in value] if isinstance(value, list | tuple) else value


class Mark(NamedTuple):
    """How far the texts had got."""

    entries: int
    chars: int


@dataclass
class Texts:
    """Texts that are named by number; a prompt repeats most of what stood in the one before."""

    entries: list[str | list[object]] = field(default_factory=list)
    """Each a text, or `[text, whole length in characters]` where it was clipped."""
    chars: int = 0
    """Characters kept so far."""
    _known: dict[tuple[str, int], int] = field(default_factory=dict, repr=False)

    def add(self, text: str, limit: int) -> int:
        """Return the number of a text of which at most `limit` characters are kept."""
        key = (text, min(limit, len(text)))
        number = self._known.get(key)
        if number is None:
            number = self._known[key] = len(self.entries)
            kept = visible(text[:limit])
            self.chars += len(kept)
            self.entries.append(kept if limit >= len(text) else [kept, len(text)])
        return number

    def mark(self) -> Mark:
        """Return how far the texts have got."""
        return Mark(len(self.entries), self.chars)

    def back_to(self, mark: Mark) -> None:
        """Forget what was added since."""
        del self.entries[mark.entries :]
        self.chars = mark.chars
        while self._known and next(reversed(self._known.values())) >= mark.entries:
            self._known.popitem()
