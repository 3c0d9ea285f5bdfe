"""How releases look on the terminal and in JSON."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any, NamedTuple

from rich.console import RenderableType
from rich.markup import escape
from rich.table import Table
from rich.tree import Tree

from ..release_tree import Change, Node
from ..releases import Releases
from ..rundir import flatten
from .memory_place import when


class Differences(NamedTuple):
    """What `lamarck release diff` prints."""

    as_dict: dict[str, Any]
    lines: list[RenderableType]


def node(one: Node) -> dict[str, Any]:
    """Return a release of the tree for `--json`."""
    release = one.release
    return {
        "id": release.id,
        "parent": release.parent,
        "depth": one.depth,
        "created_at": release.created_at,
        "base_model": release.base_model,
        "adapter": release.adapter,
        "memory": release.memory_snapshot,
        "changed": list(one.changed),
        "decision": one.decision,
        "head": one.head,
        "was_head": one.was_head,
    }


def drawn(home: str, nodes: list[Node]) -> Tree:
    """Return the tree of releases."""
    root = Tree(escape(home))
    last: dict[int, Tree] = {-1: root}
    for one in nodes:
        last[one.depth] = last[one.depth - 1].add(_line(one))
    if not nodes:
        root.add("no releases yet")
    return root


def _line(one: Node) -> str:
    release = one.release
    if one.depth or release.parent is None:
        what = ", ".join(one.changed) or ("the first" if release.parent is None else "nothing")
        changed = what if release.parent is None else f"changes {what}"
    else:
        changed = f"grown from {release.parent[:12]}, which is not here"
    said = {None: "not judged", "promote": "gate: promote", "refuse": "gate: refuse", "not_yet": "gate: not yet"}
    mark = "  [bold green]HEAD[/]" if one.head else "  [dim]was head[/]" if one.was_head else ""
    id_style = "bold" if one.head else "cyan"
    parts = [f"[{id_style}]{release.id[:12]}[/]", f"gen {one.depth}", when(release.created_at), changed]
    return "  ".join([*parts, said[one.decision]]) + mark


def described(releases: Releases, which: str) -> dict[str, Any]:
    """Return all there is to say of a release.

    Raises:
        ConfigError: there is no such release.
    """
    release = releases.get(which)
    damaged = releases.verify(release.id)
    one = next(found for found in releases.tree() if found.release.id == release.id)
    reports = releases.log.reports(release.id)
    return {
        **node(one),
        "folder": str(releases.folder(release.id)),
        "whole": damaged is None,
        "damaged": damaged,
        "gate_report": release.gate_report,
        "skills": list(release.skills),
        "tools": list(release.tools),
        "prompts": dict(release.prompts),
        "settings": dict(release.settings),
        "player": releases.player(release.id).flat() if damaged is None else {},
        "reports": [report.model_dump(mode="json") | {"said": report.lines()} for report in reports],
        "promotions": [row._asdict() for row in releases.log.rows() if row.release_id == release.id],
    }


def shown(found: Mapping[str, Any]) -> Iterator[RenderableType]:
    """Yield what `lamarck release show` prints."""
    yield f"[bold]release {found['id']}[/]" + ("  [bold green]HEAD[/]" if found["head"] else "")
    whole = "whole" if found["whole"] else f"[red]damaged: {escape(found['damaged'])}[/]"
    table = Table.grid(padding=(0, 2))
    table.add_row("files", escape(found["folder"]))
    table.add_row("", whole)
    table.add_row("made", when(found["created_at"]))
    table.add_row("parent", (found["parent"] or "none") + (f", changes {', '.join(found['changed'])}" * found["depth"]))
    table.add_row("model", escape(found["base_model"]))
    table.add_row("adapter", found["adapter"] or "none")
    table.add_row("memory", found["memory"] or "none")
    table.add_row("tools", escape(", ".join(found["tools"])) or "none")
    table.add_row("prompts", ", ".join(f"{name} {text[:8]}" for name, text in found["prompts"].items()))
    yield table
    for report in found["reports"]:
        yield f"gate report {report['id'][:12]}, {when(report['created_at'])}"
        for line in report["said"]:
            yield f"  {escape(line)}"
    for row in found["promotions"]:
        because = f": {escape(row['reason'])}" if row["reason"] else ""
        yield f"promotion {row['number']}, {when(row['at'])}: by {row['action']}{because}"
    settings = Table("setting", "value", title="how it plays", title_justify="left")
    for key, value in sorted(found["player"].items()):
        if value is not None:
            settings.add_row(key, escape(str(value)))
    yield settings


def differences(change: Change) -> Differences:
    """Return what is not the same in two releases, for reading and for `--json`."""
    old, new = change.old, change.new
    parts = {
        "base_model": (old.base_model, new.base_model),
        "adapter": (old.adapter, new.adapter),
        "memory": (old.memory_snapshot, new.memory_snapshot),
    }
    as_dict = {
        "old": old.id,
        "new": new.id,
        **{name: {"same": a == b, "old": a, "new": b} for name, (a, b) in parts.items()},
        "items": asdict(change.memory),
        "tools": {"removed": list(change.tools[0]), "added": list(change.tools[1]), "made": change.memory.tools},
        "prompts": list(change.prompts),
        "settings": {key: list(pair) for key, pair in change.settings.items()},
    }
    lines: list[RenderableType] = [f"{old.id[:12]} -> {new.id[:12]}"]
    for name, (a, b) in parts.items():
        word = "same" if a == b else f"{(a or 'none')[:24]} -> {(b or 'none')[:24]}"
        lines.append(f"{name.replace('base_', '')}: {escape(word)}")
    lines += _items(change)
    made = ["made tools changed"] if change.memory.tools else []
    tools = [*(f"-{name}" for name in change.tools[0]), *(f"+{name}" for name in change.tools[1]), *made]
    lines.append(f"tools: {escape(', '.join(tools)) or 'same'}")
    lines.append(f"prompts: {', '.join(change.prompts) or 'same'}")
    lines.append("settings: same" if not change.settings else _settings(change))
    return Differences(as_dict, lines)


def _items(change: Change) -> list[RenderableType]:
    memory = change.memory
    if not (memory.added or memory.removed or memory.changed):
        return []
    table = Table("item", "value", "for", title_justify="left")
    table.title = f"items: {memory.added} added, {memory.removed} removed, {memory.changed} changed"
    for line in memory.top:
        was, now = (f"{value:+.2f}" if value is not None else "" for value in (line["before"], line["after"]))
        applies = line["applies"] if len(line["applies"]) <= 80 else line["applies"][:77] + "..."
        table.add_row(line["id"][:8], f"{was or 'new'} -> {now or 'gone'}", escape(applies))
    return [table]


def _settings(change: Change) -> Table:
    table = Table("setting", "old", "new")
    for key, (a, b) in flatten(dict(change.settings)).items():
        table.add_row(key, escape(str(a)), escape(str(b)))
    return table
