"""The tools an agent has made, as a toolset: it calls them, and makes new ones with `make_tool`."""

from __future__ import annotations

import asyncio
import functools
import hashlib
import json
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar, get_args

from ..core import ToolCall, ToolSpec
from ..errors import ToolError
from ..sandboxes.pool import Pool
from .made import NAME, Check, MadeTool, refused
from .made_check import check, signature_of
from .made_log import Source, ToolLog, given_up
from .made_merge import like
from .made_proposal import MAKE, ProposedTest, answer, make_tool, read_tests, refusal
from .made_rules import Rules
from .made_run import Box, Outcome, run_code
from .made_shelf import Found, LogEntry, Shelf
from .made_trial import Trial, TrialLimits
from .tool import MAX_CHARS, as_text, capped, tool

T = TypeVar("T")
Replay = Callable[[MadeTool], Awaitable[bool | None]]
"""Says whether the tasks that gave rise to a tool are solved with it; None where there is nothing to replay."""
LIST = "list_tools"


@dataclass(frozen=True)
class MadeSettings:
    """How tools are made and used."""

    rules: Rules = field(default_factory=Rules)
    trial: TrialLimits = field(default_factory=TrialLimits)
    replay_s: float = 600.0
    """Longest replay, in seconds."""
    make_s: float = 1200.0
    """Longest way of a proposal through all checks, in seconds."""
    upto: int | None = None
    """Use the tools as they were when the log ended there, and make none; None for the tools as they are."""


class MadeToolset:
    """The made tools for one episode.

    `specs` has the newest active version of each tool; a tool that was just made is among them at once. `call` also
    takes the old names of tools that were merged into others. All calls and proposals stand in the log, each once: an
    episode that is replayed, or goes on in another process, doubles nothing.

    Args:
        log: of all made tools.
        lease: gives the episode's sandbox, in which tools are called; asked at the first call.
        pool: of the sandboxes in which new tools are tried; one at a time is leased, beside the episode's own.
        run_id: for the log.
        trajectory_id: for the log; with a call's id and content it names the call.
        settings: rules, limits and the point of the log to read up to.
        replay: last check of a new tool, or None.
    """

    def __init__(
        self,
        log: ToolLog,
        lease: Callable[[], Awaitable[Box]],
        pool: Pool,
        *,
        run_id: str,
        trajectory_id: str,
        settings: MadeSettings | None = None,
        replay: Replay | None = None,
    ) -> None:
        self._log = log
        self._lease = lease
        self._settings = settings or MadeSettings()
        self._trial = Trial(pool, self._settings.trial)
        self._run_id, self._trajectory_id = run_id, trajectory_id
        self._replay = replay
        self._make = make_tool(self._settings.make_s)
        self._list = tool(name=LIST)(self._listed)
        self._past: Shelf | None = None
        # Each proposal is tried in a sandbox of its own beside the episode's; one at a time, or they would wait for
        # each other in a pool that has room for one.
        self._turn = asyncio.Lock()

    def specs(self) -> Sequence[ToolSpec]:
        """Return what the model is told: the made tools, and how to make and list them."""
        own = [self._list.spec] if self._settings.upto is not None else [self._make.spec, self._list.spec]
        return [*own, *(version.tool.spec for version in self._shelf().active() if self._usable(version.tool.name))]

    def knows(self, name: str) -> bool:
        """Say whether a call of this name is for these tools, also an old name that `specs` does not have."""
        made = self._usable(name) and self._shelf().find(name) is not None
        return made or name == LIST or (name == MAKE and self._settings.upto is None)

    async def call(self, call: ToolCall) -> ToolCall:
        """Run a call and return it with its result or error.

        Raises:
            SandboxError, StoreError: infrastructure failed; the log holds no result of the call then.
        """
        if call.name == LIST:
            return await self._list.call(call)
        if call.name == MAKE and self._settings.upto is None:
            function = functools.partial(self._propose, self._source(call))
            return await replace(self._make, function=function).call(call)
        started = time.monotonic()
        try:
            text, truncated = capped(await self._use(call), MAX_CHARS)
            update: dict[str, Any] = {"result": text, "error": None, "truncated": truncated}
        except ToolError as error:
            update = {"result": None, "error": capped(str(error), MAX_CHARS)[0]}
        return call.model_copy(update={**update, "seconds": time.monotonic() - started})

    # Calls.

    async def _use(self, call: ToolCall) -> str:
        found = (await self._do(self._shelf)).find(call.name) if self._usable(call.name) else None
        if found is None:
            raise ToolError(self._missing(call.name))
        if not isinstance(call.arguments, Mapping):
            raise ToolError(f"the arguments of {call.name} are not a JSON object: {call.arguments[:80]!r}.")
        made = found.version.tool
        given = {found.arguments.get(name, name): value for name, value in call.arguments.items()}
        arguments = signature_of(made).arguments(given)
        limits = self._settings.trial.run
        done = await run_code(await self._lease(), made.name, made.code, arguments, limits=limits)
        if not done.ok and not done.own_fault:
            raise ToolError(
                f"{call.name} could not be started in the sandbox ({done.message}).",
                hint="Something that was left running there may have used it up.",
            )
        await self._do(lambda: self._log.ran(self._source(call), found.version, done.why, _kept(call, found, done)))
        if not done.ok:
            raise ToolError(f"{call.name} failed: {done.message}.")
        return as_text(done.value)

    def _missing(self, name: str) -> str:
        last = next(reversed(self._shelf().versions.get(name, ())), None)
        if last is not None and last.status == "deprecated":
            return f"{name} was given up: {last.reason}. Do without it, or make a better one."
        there = ", ".join(spec.name for spec in self.specs())
        return f"there is no tool {name[:80]!r}; there are: {there}."

    # Proposals.

    async def _propose(self, source: Source, name: str, description: str, code: str, tests: list[ProposedTest]) -> str:
        label = name if NAME.fullmatch(name) else ""
        most = self._settings.rules.code_chars
        payload = {"description": description[:1000], "code": code[:most], "tests": len(tests)}
        before = await self._do(lambda: self._log.propose(source, label, payload))
        if before is None:
            try:
                async with self._turn:
                    before = await self._examine(source, name, description, code, tests)
            except ToolError as error:
                seen = error if error.kind in get_args(Check) else refused("tests", error.message)
                await self._do(lambda: self._log.refuse(source, label, seen))
                raise ToolError(refusal(label, seen.kind, seen.message)) from None
        return answer(name, before)

    async def _examine(
        self, source: Source, name: str, description: str, code: str, tests: list[ProposedTest]
    ) -> LogEntry:
        """Bring a proposal through all checks; return the row of the log it ends in.

        Raises:
            ToolError: it is refused; the kind says by which check.
        """
        made, called = check(name, description, code, read_tests(tests), self._settings.rules)
        shelf = await self._do(self._log.shelf)
        known = self._log.known(made, shelf)
        if known is not None and known.status == "active":
            return await self._do(lambda: self._log.merge(source, known, made, "code"))
        if known is not None and known.status == "deprecated":
            raise given_up(known)
        examples = await self._trial.run(made, called)
        kept = await like(self._trial, made, examples, shelf.active())
        if kept is not None:
            return await self._do(lambda: self._log.merge(source, kept, made, "behaviour"))
        await self._replayed(made)
        return await self._do(lambda: self._log.admit(source, made, examples))

    async def _replayed(self, made: MadeTool) -> None:
        if self._replay is None:
            return
        try:
            solved = await asyncio.wait_for(self._replay(made), self._settings.replay_s)
        except ToolError as error:
            raise refused("replay", error.message) from None
        except TimeoutError:
            raise refused("replay", f"the replay took longer than {self._settings.replay_s:g} s.") from None
        if solved is False:
            raise refused("replay", "the tasks that gave rise to it are not solved with it.")

    # The rest.

    async def _listed(self, name: str = "") -> str:
        """List the tools that were made so far with their use, or show the code of one.

        Args:
            name: whose code to show; all are listed if it is not given.
        """
        shelf = await self._do(self._shelf)
        if not name:
            rows = [
                {
                    "name": version.tool.name,
                    "version": version.version,
                    "calls": version.calls,
                    "failures": version.failures,
                    "description": version.tool.description,
                }
                for version in shelf.active()
            ]
            return "\n".join(json.dumps(row, ensure_ascii=False) for row in rows) or "no tools were made so far"
        found = shelf.find(name)
        if found is None:
            raise ToolError(self._missing(name))
        return f"# {found.version.tool.name}, version {found.version.version}\n{found.version.tool.code}"

    def _shelf(self) -> Shelf:
        upto = self._settings.upto
        if upto is None:
            return self._log.shelf()
        if self._past is None or self._past.seq < upto:
            self._past = self._log.shelf(upto)
        return self._past

    def _usable(self, name: str) -> bool:
        return name not in self._settings.rules.reserved

    def _source(self, call: ToolCall) -> Source:
        # Some models have no ids for their calls; the number of a call within an answer then stands for one. Escaped,
        # because what a model writes may hold what no database and no hash takes.
        content = json.dumps([call.name, call.arguments], sort_keys=True)
        digest = hashlib.sha256(content.encode()).hexdigest()[:12]
        return Source(self._run_id, self._trajectory_id, f"{json.dumps(call.id)[1:-1][:100]}:{digest}")

    async def _do(self, work: Callable[[], T]) -> T:
        return work() if self._log.local else await asyncio.to_thread(work)


def _kept(call: ToolCall, found: Found, done: Outcome) -> dict[str, Any]:
    """Return what the log keeps of a call beside its name."""
    kept: dict[str, Any] = {"seconds": round(done.seconds, 4)}
    if call.name != found.version.tool.name:
        kept["alias"] = call.name
    if not done.ok:
        kept["seen"] = done.message
    return kept
