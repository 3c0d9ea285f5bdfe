"""In what two evaluations are not the same, in lines."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...rundir import flatten

if TYPE_CHECKING:
    from .evaluation import Evaluation


def differences(old: Evaluation, new: Evaluation) -> list[str]:
    """Say in lines what is not the same in two evaluations, the release and its parts first."""
    lines = []
    told: set[str] = set()
    if old.release.id != new.release.id:
        was, now = (flatten(one.release.model_dump(mode="json", exclude={"id", "created_at"})) for one in (old, new))
        told = {key for key in was | now if was.get(key) != now.get(key)}
        lines += [f"release, {key}: {_short(was.get(key))} -> {_short(now.get(key))}" for key in sorted(told)]
    if old.version != new.version:
        lines.append(f"package version: {old.version} -> {new.version}")
    lines += changed_tasks(old, new)
    skip = {"id", "release", "version", "tasks", "files", "split_hash", "places", "created_at", "schema_version"}
    a, b = (flatten(one.model_dump(mode="json", exclude=skip)) for one in (old, new))
    changed = [key for key in sorted(a | b) if a.get(key) != b.get(key) and not _told(key, told)]
    return lines + [f"{key.removeprefix('settings.')}: {_short(a.get(key))} -> {_short(b.get(key))}" for key in changed]


def changed_policy(old: Evaluation, new: Evaluation) -> str | None:
    """Say that an adapter or the weights under it are others now, or None where they are the same."""
    was, now = old.release.adapter, new.release.adapter
    if was != now:
        names = [found[:12] if found is not None else None for found in (was, now)]
        return f"it was begun with adapter {names[0] or 'none'}, and model.adapter is {names[1] or 'none'} now"
    before, after = (one.release.settings.get("base_weights") for one in (old, new))
    if before != after:
        return f"the weights of model {old.release.base_model} were {before} and are {after} now"
    return None


def changed_tasks(old: Evaluation, new: Evaluation) -> list[str]:
    """Say which tasks are missing, new or changed, and whether another order can have told on what was learned."""
    gone = [ident for ident in old.tasks if ident not in new.tasks]
    fresh = [ident for ident in new.tasks if ident not in old.tasks]
    other = [ident for ident, name in old.tasks.items() if new.tasks.get(ident, name) != name]
    parts = ((gone, "missing"), (fresh, "new"), (other, "changed"))
    lines = [f"tasks: {len(ids)} {what}, the first is {ids[0]}" for ids, what in parts if ids]
    moved = not lines and old.learns and list(old.tasks) != list(new.tasks)
    return [*lines, *(["tasks: in another order, and the memory learned from one to the next"] if moved else [])]


def _told(key: str, told: set[str]) -> bool:
    """Say whether a setting was named with the release already, where `solver.history` is called `settings.history`."""
    name = key.removeprefix("settings.")
    return f"settings.{name}" in told or f"settings.{name.partition('.')[2]}" in told


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
