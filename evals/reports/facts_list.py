"""Facts as a list of names and values."""

from __future__ import annotations

from collections.abc import Mapping

from .texts import escaped

CODE = frozenset({"repeat with", "run", "run id", "evaluation", "release", "adapter", "memory", "folder"})
"""Facts that are ids, paths or commands."""


def facts_list(facts: Mapping[str, str]) -> str:
    """Return the facts in their order."""
    return f"<dl>{''.join(f'<dt>{escaped(key)}</dt><dd>{_fact(key, value)}</dd>' for key, value in facts.items())}</dl>"


def _fact(name: str, value: str) -> str:
    return f"<code>{escaped(value)}</code>" if name in CODE else escaped(value)
