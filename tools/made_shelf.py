"""What became of all made tools: a pure fold over their log."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

from ..errors import ConfigError
from .made import Example, MadeTool

Event = Literal["proposed", "refused", "admitted", "called", "failed", "deprecated", "revived", "merged"]
Status = Literal["active", "deprecated", "merged"]
RAN: tuple[Event, ...] = ("called", "failed")
RECENT = 100
"""Latest calls of a version that are kept in mind."""


class LogEntry(NamedTuple):
    """One row of the log."""

    seq: int
    at: float
    event: Event
    name: str
    version: int
    """0 where there is none."""
    tool_id: str
    run_id: str
    trajectory_id: str
    call_id: str | None
    """With the trajectory's id, what makes a row unique; None for what no call brought about."""
    payload: Mapping[str, Any]


@dataclass(frozen=True)
class Wear:
    """When a tool has failed too often."""

    window: int = 10
    """Latest calls that count."""
    failures: int = 5
    """Failures among them with which it is given up."""
    least: int = 5
    """Fewest calls before it is judged."""

    def __post_init__(self) -> None:
        if not 1 <= self.failures <= self.window <= RECENT or not 1 <= self.least <= self.window:
            raise ConfigError(f"a window of {self.window} calls with {self.failures} failures cannot be judged.")

    def worn(self, version: Version) -> bool:
        """Say whether a version has failed too often."""
        latest = version.recent[-self.window :]
        return len(latest) >= self.least and sum(latest) >= self.failures


@dataclass(frozen=True)
class Version:
    """One version of a tool."""

    tool: MadeTool
    version: int
    seq: int
    """Where in the log it was admitted."""
    status: Status = "active"
    reason: str = ""
    """Why it was deprecated."""
    examples: tuple[Example, ...] = ()
    """What it did in its trial."""
    sources: tuple[str, ...] = ()
    """Trajectories that wrote it, or wrote the same again."""
    calls: int = 0
    failures: int = 0
    recent: tuple[bool, ...] = ()
    """Of its latest calls since it was admitted or revived, whether each failed."""


class Alias(NamedTuple):
    """Another name of a tool."""

    name: str
    """The tool's own."""
    arguments: Mapping[str, str]
    """From the arguments under this name to the tool's."""


class Found(NamedTuple):
    """What a name stands for."""

    version: Version
    arguments: Mapping[str, str]
    """New names of arguments; empty where the name is the tool's own."""


@dataclass(frozen=True)
class Shelf:
    """All made tools at one point of the log."""

    seq: int = 0
    """Up to where the log was read."""
    versions: Mapping[str, tuple[Version, ...]] = field(default_factory=lambda: MappingProxyType({}))
    """By name, oldest first."""
    aliases: Mapping[str, Alias] = field(default_factory=lambda: MappingProxyType({}))
    proposed: int = 0
    refused: int = 0

    def newest(self, name: str) -> Version | None:
        """Return the newest active version of a tool, or None."""
        return next((v for v in reversed(self.versions.get(name, ())) if v.status == "active"), None)

    def active(self) -> list[Version]:
        """Return the version of each tool that is used, in the order in which the tools came."""
        found = [newest for name in self.versions if (newest := self.newest(name)) is not None]
        return sorted(found, key=lambda version: self.versions[version.tool.name][0].seq)

    def find(self, name: str) -> Found | None:
        """Return what a name stands for, old names too, or None."""
        alias = self.aliases.get(name, Alias(name, {}))
        for version in reversed(self.versions.get(alias.name, ())):
            # A later version may have other arguments than the one this name came to.
            if version.status == "active" and set(alias.arguments.values()) <= set(version.tool.arguments):
                return Found(version, alias.arguments)
        return None

    def version(self, name: str, number: int) -> Version | None:
        """Return one version of a tool, or None."""
        return next((v for v in self.versions.get(name, ()) if v.version == number), None)


def fold(shelf: Shelf, entries: Iterable[LogEntry]) -> Shelf:
    """Return the shelf after more of the log; entries it has seen change nothing.

    Args:
        shelf: where the log was read up to `shelf.seq`.
        entries: in the order of their numbers.
    """
    draft = _Draft(shelf)
    for entry in entries:
        if entry.seq > draft.seq:
            draft.take(entry)
    return draft.shelf()


class _Draft:
    """A shelf that is being folded."""

    def __init__(self, shelf: Shelf) -> None:
        self.seq = shelf.seq
        self._versions = dict(shelf.versions)
        self._aliases = dict(shelf.aliases)
        self._proposed, self._refused = shelf.proposed, shelf.refused

    def shelf(self) -> Shelf:
        versions, aliases = MappingProxyType(self._versions), MappingProxyType(self._aliases)
        return Shelf(self.seq, versions, aliases, self._proposed, self._refused)

    def take(self, entry: LogEntry) -> None:
        self.seq = entry.seq
        if entry.event == "proposed":
            self._proposed += 1
        elif entry.event == "refused":
            self._refused += 1
        elif entry.event == "admitted":
            self._admit(entry)
        elif entry.event == "merged":
            self._merge(entry)
        else:
            self._change(entry)

    def _admit(self, entry: LogEntry) -> None:
        self._aliases.pop(entry.name, None)
        version = Version(
            tool=MadeTool.model_validate(entry.payload["tool"]),
            version=entry.version,
            seq=entry.seq,
            examples=tuple(Example.model_validate(example) for example in entry.payload.get("examples", ())),
            sources=_added((), entry.trajectory_id),
        )
        self._versions[entry.name] = (*self._versions.get(entry.name, ()), version)

    def _change(self, entry: LogEntry) -> None:
        old = self._version(entry)
        if old is None:
            return
        if entry.event in RAN:
            failed = entry.event == "failed"
            recent = (*old.recent, failed)[-RECENT:]
            self._put(replace(old, calls=old.calls + 1, failures=old.failures + failed, recent=recent))
        elif entry.event == "deprecated":
            self._put(replace(old, status="deprecated", reason=str(entry.payload.get("reason", ""))))
        elif entry.event == "revived":
            # It starts anew, or its next failure would end it again at once.
            self._put(replace(old, status="active", reason="", recent=()))

    def _merge(self, entry: LogEntry) -> None:
        kept = self._version(entry)
        if kept is None:
            return
        alias, names = str(entry.payload.get("alias", "")), dict(entry.payload.get("arguments", {}))
        gone = self._versions.get(alias, ()) if entry.payload.get("absorbed") else ()
        sources = _added(kept.sources, entry.trajectory_id, *(s for version in gone for s in version.sources))
        calls, failures = (sum(getattr(version, key) for version in gone) for key in ("calls", "failures"))
        self._put(replace(kept, sources=sources, calls=kept.calls + calls, failures=kept.failures + failures))
        if gone:
            self._versions[alias] = tuple(replace(v, status="merged", reason=f"merged into {entry.name}") for v in gone)
        if alias:
            self._aliases[alias] = Alias(entry.name, names)
            for other, known in list(self._aliases.items()):
                if known.name == alias:
                    through = {key: names.get(value, value) for key, value in known.arguments.items()}
                    self._aliases[other] = Alias(entry.name, through)

    def _version(self, entry: LogEntry) -> Version | None:
        return next((v for v in self._versions.get(entry.name, ()) if v.version == entry.version), None)

    def _put(self, new: Version) -> None:
        known = self._versions[new.tool.name]
        self._versions[new.tool.name] = tuple(new if v.version == new.version else v for v in known)


def _added(sources: tuple[str, ...], *more: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(source for source in (*sources, *more) if source))
