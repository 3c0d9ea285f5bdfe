"""The trial of a tool: its tests in fresh sandboxes, and the same results in every run.

What a test expects never enters a sandbox in which the tool runs: results come out and are compared on our side, and
checks with `assert` run in other sandboxes, on results that were brought there as data.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from pydantic import JsonValue

from ..errors import ConfigError, ToolError
from ..sandboxes.pool import Pool
from .made import Example, MadeTool, canonical, refused, shown
from .made_judge import JUDGE, Ruling, written_calls
from .made_run import Outcome, RunLimits, run_code
from .made_types import Signature

ZONES = ("AAA12", "BBB-14")
"""Time zones 26 hours apart: whatever the time is, the dates differ."""
NEAR = 1e-9


@dataclass(frozen=True)
class TrialLimits:
    """How a tool is tried."""

    run: RunLimits = field(default_factory=RunLimits)
    seeds: tuple[tuple[int, ...], ...] = ((1, 2), (3, 4))
    """For each fresh sandbox the seeds of hashes under which all tests run in it, each time in the other order."""
    calls: int = 24
    """Most calls of the tool in one check whose arguments are not written out."""
    least_inputs: int = 4
    """Fewest inputs on which two tools must agree before they are taken for one."""
    least_outputs: int = 2
    """Fewest different results among them."""

    def __post_init__(self) -> None:
        if len(self.seeds) < 2 or not all(self.seeds) or self.calls < 1:
            raise ConfigError("a trial needs two sandboxes, a run in each, and at least one call.")


class Trial:
    """Tries tools.

    Args:
        pool: where sandboxes come from. One lease is held at a time, so that trials never wait for each other in a
            circle; while episodes hold leases of the same pool, there must be one more than they hold.
        limits: of each trial.
    """

    def __init__(self, pool: Pool, limits: TrialLimits | None = None) -> None:
        self._pool = pool
        self._limits = limits or TrialLimits()

    async def run(self, tool: MadeTool, called: Signature) -> tuple[Example, ...]:
        """Try a tool; return what it did.

        Raises:
            ToolError: kind `tests` or `determinism`; the message says what was seen.
            SandboxError: the sandbox failed, which says nothing about the tool.
        """
        found = await self._ask_checks(tool, called)
        given = [called.arguments(test.arguments) for test in tool.tests if test.arguments is not None]
        for arguments in given:
            found.setdefault(canonical(arguments), None)
        inputs = {key: _data(key) for key in found}
        for box, seeds in enumerate(self._limits.seeds):
            async with self._pool.lease() as lease:
                for run, seed in enumerate(seeds):
                    env = {"PYTHONHASHSEED": str(seed), "TZ": ZONES[box % len(ZONES)]}
                    keys = list(inputs) if (box + run) % 2 == 0 else list(reversed(inputs))
                    for key in keys:
                        limits = self._limits.run
                        now = await run_code(lease, tool.name, tool.code, inputs[key], limits=limits, env=env)
                        found[key] = _compared(tool.name, inputs[key], found[key], now)
                    if box == run == 0:
                        _compare_expected(tool, called, found)
        return tuple(_example(inputs[key], outcome) for key, outcome in found.items() if outcome is not None)

    async def alike(self, one: MadeTool, known: Sequence[Example], other: MadeTool, seen: Sequence[Example]) -> bool:
        """Say whether two tools of one shape do the same on the inputs of both.

        Args:
            one: a tool.
            known: what it did in its trial.
            other: another tool; its arguments stand in the same order.
            seen: what that one did.
        """
        limits = self._limits
        if one.shape() != other.shape():
            return False
        mine = {canonical(_moved(example.arguments, one, other)): example for example in known}
        theirs = {canonical(example.arguments): example for example in seen}
        both = [(mine[key], theirs[key]) for key in mine if key in theirs]
        if any((e.output, e.raised) != (that.output, that.raised) for e, that in both):
            return False
        union = mine | theirs
        if len(union) < limits.least_inputs or len({e.output for e in union.values()}) < limits.least_outputs:
            return False
        asked = [(other, _data(key), mine[key]) for key in mine if key not in theirs]
        asked += [(one, _moved(e.arguments, other, one), e) for key, e in theirs.items() if key not in mine]
        async with self._pool.lease() as lease:
            for subject, arguments, example in asked:
                done = await run_code(lease, subject.name, subject.code, arguments, limits=limits.run)
                if not _same_example(example, done):
                    return False
        return True

    async def _ask_checks(self, tool: MadeTool, called: Signature) -> dict[str, Outcome | None]:
        """Let the checks say which calls they make, make those, and see what the checks say to the results."""
        checks = {number: test.check for number, test in enumerate(tool.tests, 1) if test.check.strip()}
        found: dict[str, Outcome | None] = {}
        table: dict[str, JsonValue] = {}
        if not checks:
            return found
        wanted = [arguments for check in checks.values() for arguments in written_calls(tool, check)]
        for _ in range(self._limits.calls + 1):
            await self._answer(tool, called, wanted, table, found)
            rulings = await self._judged(tool, list(checks.values()), table)
            wanted = [ruling.wanted for ruling in rulings if ruling.wanted is not None]
            if not wanted:
                for number, ruling in zip(checks, rulings, strict=True):
                    if ruling.message:
                        raise refused("tests", f"the check of test {number} failed: {ruling.message}")
                return found
        raise refused(
            "tests", f"a check calls {tool.name} more than {self._limits.calls} times with computed arguments."
        )

    async def _judged(self, tool: MadeTool, checks: list[str], table: Mapping[str, JsonValue]) -> list[Ruling]:
        arguments: dict[str, JsonValue] = {
            "tool": tool.name,
            "names": list(tool.arguments),
            "checks": list(checks),
            "table": dict(table),
        }
        limits = replace(self._limits.run, arguments_chars=4_000_000)
        async with self._pool.lease() as lease:
            done = await run_code(lease, "judge", JUDGE, arguments, limits=limits)
            # Never used again: what it was sent could still be found in its memory after a reset.
            lease.sandbox.spoiled = True
        if not done.ok:
            raise refused("tests", f"the checks failed: {done.message}.")
        return Ruling.read(done.value, len(checks))

    async def _answer(
        self,
        tool: MadeTool,
        called: Signature,
        wanted: Sequence[Mapping[str, JsonValue]],
        table: dict[str, JsonValue],
        found: dict[str, Outcome | None],
    ) -> None:
        """Make the calls that checks want, and put into the table what a check gets for each."""
        async with self._pool.lease() as lease:
            for arguments in wanted:
                if (key := canonical(arguments)) in table:
                    continue
                try:
                    checked = called.arguments(arguments)
                except ToolError as error:
                    table[key] = {"raised": "TypeError", "message": error.message}
                    continue
                done = await run_code(lease, tool.name, tool.code, checked, limits=self._limits.run)
                if not done.ok and done.why != "raised":
                    raise refused("tests", f"{_called(tool.name, checked)}: {done.message}.")
                found[canonical(checked)] = done
                table[key] = {"value": done.value} if done.ok else {"raised": done.type, "message": done.message}


def same(expected: JsonValue, found: JsonValue) -> bool:
    """Say whether a result is what was expected: equal JSON, numbers to nine digits, 2 and 2.0 alike."""
    if isinstance(expected, bool) or isinstance(found, bool):
        return expected is found
    if isinstance(expected, int | float) and isinstance(found, int | float):
        if isinstance(expected, int) and isinstance(found, int):
            return expected == found
        try:
            return math.isclose(expected, found, rel_tol=NEAR, abs_tol=NEAR)
        except OverflowError:
            return False
    if isinstance(expected, list) and isinstance(found, list):
        return len(expected) == len(found) and all(same(one, other) for one, other in zip(expected, found, strict=True))
    if isinstance(expected, dict) and isinstance(found, dict):
        return expected.keys() == found.keys() and all(same(expected[key], found[key]) for key in expected)
    return expected == found


def _compare_expected(tool: MadeTool, called: Signature, found: Mapping[str, Outcome | None]) -> None:
    for number, test in enumerate(tool.tests, 1):
        if test.arguments is None:
            continue
        arguments = called.arguments(test.arguments)
        done = found[canonical(arguments)]
        if done is None or not done.ok:
            seen = done.message if done is not None else "nothing"
            raise refused("tests", f"test {number}: {_called(tool.name, arguments)} failed: {seen}.")
        if not same(test.expected, done.value):
            was, wanted = shown(done.value), shown(test.expected)
            raise refused("tests", f"test {number}: {_called(tool.name, arguments)} is {was}; expected {wanted}.")


def _compared(name: str, arguments: Mapping[str, JsonValue], before: Outcome | None, now: Outcome) -> Outcome:
    """Return a call's outcome, the same as in all earlier runs."""
    if now.why not in ("", "raised") and (before is None or not before.ok):
        raise refused("tests", f"{_called(name, arguments)}: {now.message}.")
    if before is None or (before.why == now.why and before.type == now.type and same_text(before, now)):
        return now
    was, then = (shown(done.value) if done.ok else done.message for done in (before, now))
    where = "It must not depend on chance, time, the order of sets, files or earlier calls."
    raise refused("determinism", f"{_called(name, arguments)} is {was} in one run and {then} in another. {where}")


def same_text(one: Outcome, other: Outcome) -> bool:
    """Say whether two results are the very same JSON."""
    return canonical(one.value) == canonical(other.value)


def _example(arguments: Mapping[str, JsonValue], done: Outcome) -> Example:
    output = canonical(done.value) if done.ok else done.type
    return Example(arguments=dict(arguments), output=output, raised=not done.ok)


def _same_example(example: Example, done: Outcome) -> bool:
    if example.raised:
        return done.why == "raised" and done.type == example.output
    return done.ok and canonical(done.value) == example.output


def _moved(arguments: Mapping[str, JsonValue], one: MadeTool, other: MadeTool) -> dict[str, JsonValue]:
    """Return one tool's arguments under the names that another has for them."""
    names = dict(zip(one.arguments, other.arguments, strict=True))
    return {names[name]: value for name, value in arguments.items()}


def _data(key: str) -> dict[str, JsonValue]:
    found: dict[str, JsonValue] = json.loads(key)
    return found


def _called(name: str, arguments: Mapping[str, JsonValue]) -> str:
    return f"{name}({shown(dict(arguments))})"
