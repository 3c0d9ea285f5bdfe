"""The log of made tools in the store: append-only, each row once, safe for several processes that write at once."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import sqlalchemy as sa

from ..errors import ToolError
from ..store import Store
from ..store_tables import TOOL_LOG
from .made import Example, MadeTool, refused
from .made_normal import normal_form
from .made_shelf import RAN, Event, LogEntry, Shelf, Version, Wear, fold

COLUMNS = ", ".join(LogEntry._fields)
ENDS: tuple[Event, ...] = ("admitted", "merged", "refused")
"""What a proposal can come to."""


class Source(NamedTuple):
    """What brought an event about. Trajectory and call together are written once."""

    run_id: str = ""
    trajectory_id: str = ""
    call_id: str | None = None
    """None where it was no call; such events are written as often as they are asked for."""


class Draft(NamedTuple):
    """A row before it has a number."""

    event: Event
    name: str = ""
    version: int = 0
    tool_id: str = ""
    payload: Mapping[str, Any] = {}


class ToolLog:
    """Reads and writes the log.

    Args:
        store: where it is.
        wear: when a tool has failed too often.
        clock: Unix time, for tests.
    """

    def __init__(self, store: Store, *, wear: Wear | None = None, clock: Callable[[], float] = time.time) -> None:
        self._store = store
        self._wear = wear or Wear()
        self._clock = clock
        self._shelf = Shelf()
        self._forms: dict[str, str] = {}

    @property
    def local(self) -> bool:
        """Whether writing takes less time than handing it to another thread."""
        return self._store.local

    def entries(self, *, after: int = 0, upto: int | None = None) -> list[LogEntry]:
        """Return rows in the order of their numbers, those after `after` up to and with `upto`."""
        query, values = f"SELECT {COLUMNS} FROM tool_log WHERE seq > ?", [after]
        if upto is not None:
            query, values = f"{query} AND seq <= ?", [after, upto]
        return [_entry(row) for row in self._store.select(f"{query} ORDER BY seq", values)]

    def shelf(self, upto: int | None = None) -> Shelf:
        """Return all made tools as they are now, or as they were when the log ended at `upto`."""
        if upto is not None and upto < self._shelf.seq:
            return fold(Shelf(), self.entries(upto=upto))
        shelf = fold(self._shelf, self.entries(after=self._shelf.seq, upto=upto))
        return self._keep(shelf)

    def known(self, tool: MadeTool, shelf: Shelf) -> Version | None:
        """Return the version whose code is the same but for names and words, the active one first."""
        found = [v for versions in shelf.versions.values() for v in versions if self.same_code(v.tool, tool)]
        return min(found, key=lambda version: (version.status != "active", -version.seq), default=None)

    def same_code(self, one: MadeTool, other: MadeTool) -> bool:
        """Say whether two tools are the same but for names and words."""
        return self._form(one) == self._form(other) and one.shape() == other.shape()

    # Proposals.

    def propose(self, source: Source, name: str, payload: Mapping[str, Any]) -> LogEntry | None:
        """Write that a tool was proposed; return what this very proposal has come to before, if it has."""
        before = self._store.select(
            f"SELECT {COLUMNS} FROM tool_log WHERE trajectory_id = ? AND call_id = ? "
            "AND event IN ('admitted', 'merged', 'refused') ORDER BY seq LIMIT 1",
            [source.trajectory_id, source.call_id],
        )
        if before:
            return _entry(before[0])
        self._write(source, ("proposed",), lambda shelf: [Draft("proposed", name, payload=payload)])
        return None

    def refuse(self, source: Source, name: str, error: ToolError) -> None:
        """Write that a proposal was refused."""
        payload = {"check": error.kind, "seen": error.message}
        self._write(source, ENDS, lambda shelf: [Draft("refused", name, payload=payload)])

    def admit(self, source: Source, tool: MadeTool, examples: Sequence[Example]) -> LogEntry:
        """Write that a tool was admitted, as the next version of its name; return that row.

        Where another process was faster with the same code, the row says `merged`.
        """
        payload = {
            "tool": tool.model_dump(mode="json"),
            "examples": [example.model_dump(mode="json") for example in examples],
        }

        def rows(shelf: Shelf) -> list[Draft]:
            known = self.known(tool, shelf)
            if known is not None and known.status == "active":
                return [merge_row(shelf, known, tool, "code")]
            number = max((version.version for version in shelf.versions.get(tool.name, ())), default=0) + 1
            return [Draft("admitted", tool.name, number, tool.id, payload)]

        return self._write(source, ENDS, rows)[0]

    def merge(self, source: Source, kept: Version, tool: MadeTool, by: str) -> LogEntry:
        """Write that a proposal is what a tool already does; return that row.

        Args:
            source: of the proposal.
            kept: the version that stays.
            tool: the proposal.
            by: `code` or `behaviour`, by which they are alike.
        """
        return self._write(source, ENDS, lambda shelf: [merge_row(shelf, kept, tool, by)])[0]

    def absorb(self, kept: Version, other: Version, by: str) -> bool:
        """Write that a tool goes into another one, with its counts; calls by its name still work.

        Returns False where another process has changed one of them in the meantime.
        """

        def rows(shelf: Shelf) -> list[Draft]:
            for version in (kept, other):
                now = shelf.newest(version.tool.name)
                if now is None or now.version != version.version:
                    return []  # another process has changed it
            row = merge_row(shelf, kept, other.tool, by)
            return [row._replace(payload={**row.payload, "alias": other.tool.name, "absorbed": True})]

        return bool(self._write(Source(), (), rows))

    # Calls.

    def ran(self, source: Source, version: Version, why: str = "", payload: Mapping[str, Any] | None = None) -> None:
        """Write that a tool was called, or failed by its own fault; give it up where that was once too often.

        Args:
            source: the call.
            version: which was called.
            why: it failed; empty where it did not.
            payload: more to be kept.
        """
        name, number = version.tool.name, version.version
        event: Event = "failed" if why else "called"
        row = Draft(event, name, number, version.tool.id, {**(payload or {}), **({"why": why} if why else {})})

        def rows(shelf: Shelf) -> list[Draft]:
            now = fold(shelf, [LogEntry(shelf.seq + 1, 0.0, event, name, number, "", "", "", None, {})])
            after = now.version(name, number)
            if after is None or after.status != "active" or not self._wear.worn(after):
                return [row]
            latest = after.recent[-self._wear.window :]
            reason = f"{sum(latest)} of its latest {len(latest)} calls failed; last: {row.payload.get('seen', why)}"
            return [row, row._replace(event="deprecated", payload={"reason": reason})]

        self._write(source, RAN, rows)

    # By hand.

    def deprecate(self, name: str, version: int, reason: str) -> bool:
        """Take a version out of use; return whether it was in use."""
        return self._set(name, version, "deprecated", {"reason": reason})

    def revive(self, name: str, version: int, reason: str) -> bool:
        """Bring a version back into use; return whether it was out of use."""
        return self._set(name, version, "revived", {"reason": reason})

    def roll_back(self, name: str, version: int) -> None:
        """Make a version the one that is used: take all newer ones out of use, and bring it back if need be.

        Raises:
            ToolError: there is no such version.
        """

        def rows(shelf: Shelf) -> list[Draft]:
            wanted = shelf.version(name, version)
            if wanted is None:
                numbers = ", ".join(str(v.version) for v in shelf.versions.get(name, ())) or "none"
                raise ToolError(f"tool {name} has no version {version}; it has: {numbers}.", kind="missing")
            reason = {"reason": f"rolled back to version {version}"}
            newer = [v for v in shelf.versions[name] if v.version > version and v.status == "active"]
            drafts = [Draft("deprecated", name, v.version, v.tool.id, reason) for v in newer]
            if wanted.status != "active":
                drafts.append(Draft("revived", name, version, wanted.tool.id, reason))
            return drafts

        self._write(Source(), (), rows)

    def _set(self, name: str, number: int, event: Event, payload: Mapping[str, Any]) -> bool:
        def rows(shelf: Shelf) -> list[Draft]:
            found = shelf.version(name, number)
            if found is None or (found.status == "active") != (event == "deprecated"):
                return []
            return [Draft(event, name, number, found.tool.id, payload)]

        return bool(self._write(Source(), (), rows))

    def _write(self, source: Source, once: Sequence[Event], rows: Callable[[Shelf], list[Draft]]) -> list[LogEntry]:
        """Append rows in one transaction, after looking at the log as it is then.

        Args:
            source: of the rows.
            once: where this call has brought about one of these events, nothing is written and that row returned.
            rows: made of the shelf; called again where another process was faster.
        """

        def write(connection: sa.Connection) -> list[LogEntry]:
            if connection.dialect.name == "postgresql":
                # Numbers must become visible in their order; SQLite has but one writer anyway.
                connection.exec_driver_sql("LOCK TABLE tool_log IN EXCLUSIVE MODE")
            query = sa.select(TOOL_LOG).order_by(TOOL_LOG.c.seq)
            if source.call_id is not None and once:
                mine = (TOOL_LOG.c.trajectory_id == source.trajectory_id, TOOL_LOG.c.call_id == source.call_id)
                found = connection.execute(query.where(*mine, TOOL_LOG.c.event.in_(once))).all()
                if found:
                    return [_entry(row) for row in found]
            later = connection.execute(query.where(TOOL_LOG.c.seq > self._shelf.seq)).all()
            shelf = self._keep(fold(self._shelf, [_entry(row) for row in later]))
            now = self._clock()
            made = [
                LogEntry(shelf.seq + number, now, *draft[:4], *source, draft.payload)
                for number, draft in enumerate(rows(shelf), 1)
            ]
            values = [{**entry._asdict(), "payload": json.dumps(dict(entry.payload))} for entry in made]
            if values:
                connection.execute(sa.insert(TOOL_LOG), values)
            return made

        return self._store.write("the log of made tools", write)

    def _keep(self, shelf: Shelf) -> Shelf:
        """Remember how far the log was read; it never goes back."""
        if shelf.seq > self._shelf.seq:
            self._shelf = shelf
        return shelf

    def _form(self, tool: MadeTool) -> str:
        key = tool.code
        if key not in self._forms:
            self._forms[key] = normal_form(tool)
        return self._forms[key]


def merge_row(shelf: Shelf, kept: Version, tool: MadeTool, by: str) -> Draft:
    """Return the row that merges a tool into another; its name becomes another name, unless it is in use."""
    name = kept.tool.name
    alias = tool.name if tool.name != name and shelf.newest(tool.name) is None else ""
    names = dict(zip(tool.arguments, kept.tool.arguments, strict=True))
    payload = {"alias": alias, "arguments": names, "tool": tool.id, "by": by}
    return Draft("merged", name, kept.version, kept.tool.id, payload)


def given_up(version: Version) -> ToolError:
    """Return the error for a proposal whose code was tried before and given up."""
    name = f"{version.tool.name} (version {version.version})"
    return refused("known", f"the same code was {name}, which was given up: {version.reason}. Write it otherwise.")


def _entry(row: Any) -> LogEntry:
    return LogEntry._make([*row[:-1], json.loads(row[-1])])
