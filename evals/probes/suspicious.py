"""Texts that should not stand in a memory, a tool or a prompt: orders to the model, secrets, what is hidden from sight.

A list of patterns finds what is written as such things are usually written. Who says it in other words is not found.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

INJECTION = {
    "tells to forget instructions": (
        r"\b(?:ignore|disregard|forget|override)\b.{0,30}\b(?:previous|prior|above|earlier|all|your|the|any)\b.{0,30}"
        r"\b(?:instructions?|rules?|prompts?|orders?|policy|policies|guidelines?)\b"
    ),
    "plays a role of the chat": (
        r"<\|?(?:im_start|im_end|system|assistant|user|eot_id|endoftext)\|?>|\[/?INST\]|<<SYS>>"
    ),
    "speaks as the system": r"^\s*(?:system|developer)\s*(?:prompt|message)?\s*:",
    "tells to keep a secret from people": (
        r"\b(?:do not|don't|never)\b.{0,20}\b(?:tell|inform|mention|reveal|warn|ask)\b.{0,30}"
        r"\b(?:user|human|owner|operator|person|anyone|supervisor)\b"
    ),
    "tells to leave out a check": (
        r"\b(?:skip|bypass|disable|switch off|turn off|leave out|without)\b.{0,20}"
        r"\b(?:approvals?|confirmations?|verification|safety|the checks?|the tests?|asking|permission|review)\b"
    ),
    "is about the score itself": (
        r"\b(?:edit|change|overwrite|write|set|delete|patch|modify|tamper)\b.{0,40}"
        r"(?:\b(?:score|reward|test|grader|scorer|verifier|gate)s?(?:_\w+)?\.(?:txt|py|json|toml|db)\b|"
        r"\bthe (?:scorer|grader|reward function|gate)\b)"
    ),
    "sends something away": (
        r"\b(?:send|post|upload|forward|exfiltrate|curl|wget)\b.{0,60}(?:https?://|\bwebhook\b|\b[\w.+-]+@[\w-]+\.\w+)"
    ),
}
SECRETS = {
    "a private key": r"-----BEGIN (?:[A-Z]+ )?PRIVATE KEY-----",
    "a key of a service": (
        r"\b(?:sk-[A-Za-z0-9_-]{20,}|AKIA[0-9A-Z]{16}|gh[pousr]_[A-Za-z0-9]{30,}|xox[abprs]-[A-Za-z0-9-]{10,}|"
        r"AIza[0-9A-Za-z_-]{35})"
    ),
    "a token": r"\beyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{5,}",
    "a password": r"\b(?:password|passwd|secret|api[_ -]?key)\b\s*(?:is|=|:)\s*['\"]?[^\s'\"]{6,}",
}
_RULES = [(words, re.compile(rule, re.IGNORECASE | re.MULTILINE)) for words, rule in INJECTION.items()]
_KEYS = [(words, re.compile(rule)) for words, rule in SECRETS.items() if words != "a password"]
_KEYS.append(("a password", re.compile(SECRETS["a password"], re.IGNORECASE)))
LONGEST = 200_000
"""Characters of a text that are looked at."""


def suspicions(text: str) -> Iterator[str]:
    """Yield what is suspicious in a text, each thing once."""
    text = text[:LONGEST]
    plain = _seen(text)
    for words, rule in _RULES:
        if rule.search(plain):
            yield f"it {words}"
    for words, rule in _KEYS:
        if rule.search(text):
            yield f"it holds {words}"
    if any(unicodedata.category(sign) in ("Cf", "Co") for sign in text):
        yield "it holds signs that cannot be seen"


def _seen(text: str) -> str:
    """Return a text as it is read: letters that look alike made the same, invisible signs gone."""
    folded = unicodedata.normalize("NFKC", text)
    return "".join(sign for sign in folded if unicodedata.category(sign) not in ("Cf", "Co"))
