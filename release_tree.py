"""The tree of releases, and what is not the same in two of them. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from .core import Release
from .promotions import Decided, Promotion, heads
from .release_memory import MemoryChange


@dataclass(frozen=True)
class Node:
    """A release in its tree."""

    release: Release
    depth: int
    """Releases above it that are here."""
    changed: tuple[str, ...]
    """Parts that are not its parent's: model, adapter, memory, tools, prompts, settings."""
    decision: str | None
    """What the gate said of it last."""
    head: bool
    was_head: bool


@dataclass(frozen=True)
class Change:
    """What is not the same in two releases."""

    old: Release
    new: Release
    settings: dict[str, tuple[Any, Any]]
    """Dotted keys of how they play, with both values."""
    memory: MemoryChange
    tools: tuple[tuple[str, ...], tuple[str, ...]]
    """Names that are gone, and names that are new."""
    prompts: tuple[str, ...]


def grown(releases: Iterable[Release], rows: Sequence[Promotion], reports: Iterable[Decided]) -> list[Node]:
    """Return all releases, each behind its parent, siblings in the order in which they are given."""
    known = {release.id: release for release in releases}
    line, decided = heads(rows), {report.candidate: report.decision for report in reports}
    been = {row.release_id for row in rows}
    below: dict[str | None, list[Release]] = {}
    for release in known.values():
        below.setdefault(release.parent if release.parent in known else None, []).append(release)
    nodes: list[Node] = []
    waiting = [(release, 0) for release in reversed(below.get(None, []))]
    while waiting:
        release, depth = waiting.pop()
        nodes.append(
            Node(
                release=release,
                depth=depth,
                changed=changed_parts(known.get(release.parent or ""), release),
                decision=decided.get(release.id),
                head=bool(line) and line[-1] == release.id,
                was_head=release.id in been,
            )
        )
        waiting += [(child, depth + 1) for child in reversed(below.get(release.id, []))]
    return nodes


def changed_parts(parent: Release | None, release: Release) -> tuple[str, ...]:
    """Return which parts of a release are not its parent's; nothing where the parent is not known."""
    if parent is None:
        return ()
    was, now = _parts(parent), _parts(release)
    return tuple(name for name in was if was[name] != now[name])


def _parts(release: Release) -> dict[str, object]:
    items, _, made = (release.memory_snapshot or "").partition("+")
    beside = ("tools", "base_weights")
    return {
        "model": (release.base_model, release.settings.get("base_weights")),
        "adapter": release.adapter,
        "memory": items,
        "tools": (release.tools, release.settings.get("tools"), made),
        "prompts": release.prompts,
        "settings": {key: value for key, value in release.settings.items() if key not in beside},
    }
