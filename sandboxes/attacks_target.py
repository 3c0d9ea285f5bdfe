"""What an attack has at hand: sandboxes of one backend, baits on the host, and words for what came of it."""

from __future__ import annotations

import ast
import contextlib
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from ..errors import SandboxError
from .attacks_host import Host
from .limits import MIB, Limits, Policy
from .result import Capabilities, ExecResult
from .sandbox import Backend, Probe, Sandbox

PAYLOADS = Path(__file__).parent / "inside" / "payloads"
LIMITS = Limits(wall_s=8.0, grace_s=0.3, cpu=1.0, memory=256 * MIB, pids=64, disk=64 * MIB, nofile=256)
MARK = "LAMARCK_ATTACK"
"""Environment variable that all processes of the suite's sandboxes carry, by which they are found on the host."""

MODULE = """
import sys
sys.modules["common"] = type(sys)("common")
exec({!r}, sys.modules["common"].__dict__)
"""


class Escape(Exception):
    """An attack got through."""


class Unjudged(Exception):
    """An attack did not go as it was meant to, so that nothing is known."""


@dataclass(frozen=True)
class Attack:
    """One thing that code may try.

    Args:
        name: of the row.
        what: it tries, in words.
        try_: does it; returns what was seen when it held, raises `Escape` when not.
        needs: the capability without which a backend does not promise that it holds.
        unconfined: harmless even where nothing holds it.
        alone: it measures the machine, so that nothing else may run meanwhile.
        limit_s: how long it may take, in seconds; after that the host was made to wait, and it did not hold.
    """

    name: str
    what: str
    try_: Callable[[Target], Awaitable[str]]
    needs: str = ""
    unconfined: bool = False
    alone: bool = False
    limit_s: float = 25.0

    def __post_init__(self) -> None:
        if self.needs and self.needs not in {entry.name for entry in fields(Capabilities)}:
            raise ValueError(f"attack {self.name} needs {self.needs}, which is no capability")


@dataclass(frozen=True)
class Target:
    """A backend under attack, and the host that it protects."""

    backend: Backend
    probe: Probe
    host: Host

    @property
    def confined(self) -> bool:
        """Whether it claims to hold anything."""
        return self.probe.guarantee != "none"

    @contextlib.asynccontextmanager
    async def sandbox(self, *payloads: str, policy: Policy | None = None, **limits: float) -> AsyncIterator[Sandbox]:
        """Give a fresh sandbox in which the functions of payloads are defined."""
        policy = policy if policy is not None else Policy()
        marked: Mapping[str, str] = {MARK: self.host.mark, **policy.env}
        sandbox = await self.backend.create(LIMITS.with_(**limits), replace(policy, env=marked))
        async with sandbox:
            if payloads:
                await arm(sandbox, *payloads)
            yield sandbox


async def arm(sandbox: Sandbox, *payloads: str) -> None:
    """Define the functions of payloads.

    Raises:
        Unjudged: that failed.
    """
    for name in ("common", *payloads):
        code = (PAYLOADS / f"{name}.py").read_text()
        done = await sandbox.run(MODULE.format(code) if name == "common" else code)
        if not done.ok:
            raise Unjudged(f"payload {name}: {how(done)}")


async def told(sandbox: Sandbox, code: str, *, timeout_s: float | None = None) -> Any:
    """Return the value of code that has to run to its end.

    Raises:
        Unjudged: it did not.
    """
    done = await sandbox.run(code, timeout_s=timeout_s)
    if not done.ok or done.truncated:
        raise Unjudged(how(done))
    try:
        return ast.literal_eval(done.value) if done.value is not None else None
    except (ValueError, SyntaxError, MemoryError, RecursionError) as error:
        raise Unjudged(f"a value that is none: {done.value!r:.80}") from error


async def truthful(sandbox: Sandbox) -> str:
    """Make sure that the next calls answer truly, or that the sandbox says that its state is lost, or has ended.

    Raises:
        Escape: it says something else.
    """
    said, lost = "the next call is true", 0
    for _ in range(4):
        left, right = secrets.randbelow(10**6), secrets.randbelow(10**6)
        try:
            done = await sandbox.run(f"{left} * {right}")
        except SandboxError as error:
            if sandbox.alive:
                raise Escape(f"a sandbox that failed ({error.kind}) still takes calls") from error
            return f"the sandbox has ended ({error.kind})"
        if done.value == str(left * right):
            continue
        lost += 1
        if not done.state_lost or lost > 2:
            raise Escape(f"the next call answered {done.value!r:.60} ({how(done)})")
        said = "its state is lost, the next call is true"
    return said


def short(found: Mapping[str, str]) -> str:
    """Return outcomes by how often they came."""
    counts: dict[str, int] = {}
    for outcome in found.values():
        counts[outcome] = counts.get(outcome, 0) + 1
    return f"{len(found)} tries: " + ", ".join(f"{name} {n}" for name, n in sorted(counts.items()))


async def refused(
    code: str,
    target: Target,
    *,
    payload: str = "escape",
    by: frozenset[str] | None = None,
    policy: Policy | None = None,
) -> str:
    """Judge tries by their outcomes.

    Args:
        code: its value is a dict of outcomes by what was tried.
        target: to attack.
        payload: that defines what the code calls.
        by: how each must be refused; if not given, none may be `ok`.
        policy: of the sandbox.

    Raises:
        Escape: something got through.
    """
    async with target.sandbox(payload, policy=policy) as sandbox:
        found: dict[str, Any] = await told(sandbox, code)
        if not isinstance(found, dict) or not found:
            raise Unjudged(f"{found!r:.80}")
        through = {k: v for k, v in found.items() if (v not in by if by is not None else v == "ok")}
        if through:
            raise Escape(f"{len(through)} of {len(found)} got through: {through!s:.150}")
        return f"{short(found)}; {await truthful(sandbox)}"


def how(done: ExecResult) -> str:
    """Return how a call ended, in short."""
    error = f" {done.error.type}: {done.error.message}" if done.error is not None else ""
    code = f" code {done.exit_code}" if done.exit_code else ""
    return f"{done.status}{code}{error}"[:160]
