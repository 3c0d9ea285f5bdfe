"""Martin Porter's stemmer with the two rules that he changed later, as Lucene has it.

Porter, "An algorithm for suffix stripping", Program 14(3), 1980, steps 1a to 5b. Changed since: `bli` becomes `ble`
(in the paper `abli` becomes `able`), and `logi` becomes `log`. nltk has the same (`MARTIN_EXTENSIONS`) and the tests
compare with it; but to import nltk takes longer than to open a shop.
"""

from __future__ import annotations

from collections.abc import Mapping

STEP_2 = {
    "ational": "ate", "tional": "tion", "enci": "ence", "anci": "ance", "izer": "ize", "bli": "ble", "alli": "al",
    "entli": "ent", "eli": "e", "ousli": "ous", "ization": "ize", "ation": "ate", "ator": "ate", "alism": "al",
    "iveness": "ive", "fulness": "ful", "ousness": "ous", "aliti": "al", "iviti": "ive", "biliti": "ble",
    "logi": "log",
}  # fmt: skip
STEP_3 = {"icate": "ic", "ative": "", "alize": "al", "iciti": "ic", "ical": "ic", "ful": "", "ness": ""}
STEP_4 = dict.fromkeys(
    ("al", "ance", "ence", "er", "ic", "able", "ible", "ant", "ement", "ment", "ent", "ion", "ou", "ism", "ate",
     "iti", "ous", "ive", "ize"), ""
)  # fmt: skip


def stem(word: str) -> str:
    """Return the stem of a word in lower case; words of two letters and less stay as they are."""
    if len(word) <= 2 and word < "\U00010000":  # Java counts a letter beyond as two.
        return word
    word = _step_1(word)
    for rules, least in ((STEP_2, 1), (STEP_3, 1), (STEP_4, 2)):
        ending = _ending(word, rules)
        rest = word[: len(word) - len(ending)]
        if ending and _measure(rest) >= least and (ending != "ion" or rest[-1] in "st"):
            word = rest + rules[ending]
    return _step_5(word)


def _step_1(word: str) -> str:
    """Take off plurals, -ed and -ing; turn a last y into i."""
    if word.endswith(("sses", "ies")):
        word = word[:-2]
    elif word.endswith("s") and not word.endswith("ss"):
        word = word[:-1]
    if word.endswith("eed"):
        word = word[:-1] if _measure(word[:-3]) else word
    elif ending := next((ending for ending in ("ed", "ing") if word.endswith(ending)), ""):
        rest = word[: -len(ending)]
        if "v" in _shape(rest):
            word = _mended(rest)
    if word.endswith("y") and "v" in _shape(word[:-1]):
        word = word[:-1] + "i"
    return word


def _mended(word: str) -> str:
    """Put right what lost its -ed or -ing: hop(p), conflat(e), fil(e)."""
    if word.endswith(("at", "bl", "iz")):
        return word + "e"
    if word[-2:-1] == word[-1] and word[-1] not in "lsz" and _shape(word)[-1] == "c":
        return word[:-1]
    return word + "e" if _measure(word) == 1 and _is_short(word) else word


def _step_5(word: str) -> str:
    """Take off a last e, and one of two last l."""
    if word.endswith("e"):
        rest = word[:-1]
        measure = _measure(rest)
        if measure > 1 or (measure == 1 and not _is_short(rest)):
            word = rest
    return word[:-1] if word.endswith("ll") and _measure(word[:-1]) > 1 else word


def _ending(word: str, rules: Mapping[str, str]) -> str:
    """Return the longest ending of a word that there is a rule for, or nothing."""
    return next((word[-size:] for size in range(min(7, len(word)), 1, -1) if word[-size:] in rules), "")


def _shape(word: str) -> str:
    """Return `v` for each vowel and `c` for all else; a y behind a consonant is a vowel."""
    shape, before = "", "v"
    for letter in word:
        before = "v" if letter in "aeiou" or (letter == "y" and before == "c") else "c"
        shape += before
    return shape


def _measure(word: str) -> int:
    """Return Porter's m: how often a consonant follows a vowel."""
    return _shape(word).count("vc")


def _is_short(word: str) -> bool:
    """Say whether a word ends consonant, vowel, consonant, the last not w, x or y (Porter's *o)."""
    return _shape(word).endswith("cvc") and word[-1] not in "wxy"
