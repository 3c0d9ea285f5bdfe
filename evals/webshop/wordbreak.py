"""What each character is to a word breaker: Unicode's Word_Break classes, worked out from `unicodedata` on demand.

The classes are those of Unicode Standard Annex 29 as Lucene's StandardTokenizer uses them (Unicode 12). Python ships no
Word_Break table. The general category and the name say nearly all of it; the rest is listed here. Letters that Unicode
got after version 12 count as letters here and as nothing in Lucene.
"""

from __future__ import annotations

import functools
import unicodedata
from collections.abc import Iterable

LETTER, HEBREW, KATAKANA, DIGIT, JOINER = "A", "H", "K", "N", "U"
MID_LETTER, MID_NUMBER, MID_BOTH, QUOTE, DOUBLE_QUOTE = "L", "M", "B", "Q", "D"
EXTEND, ZWJ, EMOJI_STYLE, TEXT_STYLE, KEYCAP, TAG, END_TAG = "E", "Z", "V", "v", "k", "t", "T"
HAN, HIRAGANA, COMPLEX, COMPLEX_MARK = "J", "h", "C", "c"
EMOJI, EMOJI_BASE, EMOJI_MODIFIER, EMOJI_LETTER, FLAG, KEYCAP_BASE = "P", "b", "f", "e", "R", "#"
OTHER = "."


def _points(ranges: str) -> Iterable[int]:
    for part in ranges.split():
        first, _, last = part.partition("-")
        yield from range(int(first, 16), int(last or first, 16) + 1)


LISTED: dict[str, str] = {
    QUOTE: "27",
    DOUBLE_QUOTE: "22",
    MID_BOTH: "2E 2018 2019 2024 FE52 FF07 FF0E",
    MID_LETTER: "3A B7 387 5F4 2027 FE13 FE55 FF1A",
    MID_NUMBER: "2C 3B 37E 589 60C-60D 66C 7F8 2044 FE10 FE14 FE50 FE54 FF0C FF1B",
    JOINER: "5F 202F 203F 2040 2054 FE33 FE34 FE4D-FE4F FF3F",
    DIGIT: "66B",
    KEYCAP_BASE: "23 2A",
    EXTEND: "200C 1A7F FF9E FF9F",
    ZWJ: "200D",
    TEXT_STYLE: "FE0E",
    EMOJI_STYLE: "FE0F",
    KEYCAP: "20E3",
    TAG: "E0020-E007E",
    END_TAG: "E007F",
    FLAG: "1F1E6-1F1FF",
    EMOJI_MODIFIER: "1F3FB-1F3FF",
    EMOJI_LETTER: "2139 24C2 1F170 1F171 1F17E 1F17F",
    LETTER: "2C2-2C5 2D2-2D7 2DE 2DF 2ED 2EF-2FF 55B 55C 55E 5F3 24B6-24E9 3005 303B A720 A721 A789 A78A AB5B "
    "1F130-1F149 1F150-1F169 1F170-1F189",
    COMPLEX: "109E 109F 19DA 19DE 19DF 1AA0-1AA6 1AA8-1AAD AA77-AA79 AADE AADF 1173A 1173B 1173F",
    KATAKANA: "3031-3035 309B 309C 30A0 30FC FF70 32D0-32FE 3300-3357 1B000",
    HIRAGANA: "309D-309F 1F200 1B001",
    HAN: "2E80-2E99 2E9B-2EF3 2F00-2FD5 3007 3021-3029 3038-303A",
    OTHER: "200B",
}
"""Characters of a class that neither category nor name shows, as hexadecimal ranges."""
EMOJI_BASES = (
    "261D 26F9 270A-270D 1F385 1F3C2-1F3C4 1F3C7 1F3CA-1F3CC 1F442 1F443 1F446-1F450 1F466-1F469 1F46E 1F470-1F478 "
    "1F47C 1F481-1F483 1F485-1F487 1F4AA 1F574 1F575 1F57A 1F590 1F595 1F596 1F645-1F647 1F64B-1F64F 1F6A3 "
    "1F6B4-1F6B6 1F6C0 1F6CC 1F918-1F91C 1F91E 1F91F 1F926 1F930-1F939 1F93D 1F93E 1F9B5 1F9B6 1F9B8 1F9B9 "
    "1F9D1-1F9DD"
)
"""Emoji that a skin tone joins."""
EMOJIS = (
    "A9 AE 203C 2049 2122 2194-2199 21A9 21AA 231A 231B 2328 2388 23CF 23E9-23F3 23F8-23FA 25AA 25AB 25B6 25C0 "
    "25FB-25FE 2600-2605 2607-2612 2614-2685 2690-2705 2708-2712 2714 2716 271D 2721 2728 2733 2734 2744 2747 274C "
    "274E 2753-2755 2757 2763-2767 2795-2797 27A1 27B0 27BF 2934 2935 2B05-2B07 2B1B 2B1C 2B50 2B55 3030 303D 3297 "
    "3299 1F000-1F0FF 1F10D-1F10F 1F12F 1F16C-1F16F 1F18E 1F191-1F19A 1F1AD-1F1E5 1F201-1F20F 1F21A 1F22F "
    "1F232-1F23A 1F23C-1F23F 1F249-1F3FA 1F400-1F53D 1F546-1F64F 1F680-1F6FF 1F774-1F77F 1F7D5-1F7FF 1F80C-1F80F "
    "1F848-1F84F 1F85A-1F85F 1F888-1F88F 1F8AE-1F8FF 1F90C-1F93A 1F93C-1F945 1F947-1FFFD"
)
"""Pictures: Extended_Pictographic."""
SCRIPTS: tuple[tuple[str, str], ...] = (
    ("HEBREW ", HEBREW),
    ("KATAKANA ", KATAKANA),
    ("HALFWIDTH KATAKANA ", KATAKANA),
    ("HIRAGANA ", HIRAGANA),
    ("HENTAIGANA ", HIRAGANA),
    ("CJK UNIFIED", HAN),
    ("CJK COMPATIBILITY IDEOGRAPH", HAN),
    *((f"{script} ", COMPLEX) for script in ("THAI", "LAO", "MYANMAR", "KHMER", "TAI LE", "NEW TAI LUE", "TAI THAM")),
    ("TAI VIET ", COMPLEX),
    ("AHOM ", COMPLEX),
    ("TANGUT ", OTHER),
    ("NUSHU ", OTHER),
)
"""Scripts whose letters are not plain letters, by the beginning of a character's name."""


@functools.cache
def _listed() -> dict[int, str]:
    found: dict[int, str] = {}
    for points, kind in ((EMOJIS, EMOJI), (EMOJI_BASES, EMOJI_BASE)):
        found |= dict.fromkeys(_points(points), kind)
    # Letters first: some of them are pictures as well, and are listed again as such.
    for kind in (LETTER, *(kind for kind in LISTED if kind != LETTER)):
        found |= dict.fromkeys(_points(LISTED[kind]), kind)
    return found


class Classes(dict[int, str]):
    """Code point to class, one character each, for `str.translate`; filled as characters are met."""

    def __init__(self) -> None:
        super().__init__(_listed())

    def __missing__(self, point: int) -> str:
        found = self[point] = class_of(chr(point))
        return found


def class_of(character: str) -> str:
    """Return the class of a character that is not listed, from its general category and its name."""
    category = unicodedata.category(character)
    if category == "Nd":
        return DIGIT
    if category == "Cf":
        return EXTEND
    if category[0] not in "LMN" or category == "No":
        return OTHER
    name = unicodedata.name(character, "")
    script = next((kind for prefix, kind in SCRIPTS if name.startswith(prefix)), LETTER)
    if category[0] == "M":
        return COMPLEX_MARK if script == COMPLEX else EXTEND
    return script
