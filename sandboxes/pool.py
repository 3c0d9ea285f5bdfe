"""Warm sandboxes, ready before they are asked for, and never more than the machine can bear."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator
from dataclasses import asdict, dataclass
from types import TracebackType

from ..errors import SandboxError
from .lease import RETRIED, Kept, Lease
from .limits import Limits, Policy
from .result import ExecResult
from .sandbox import Backend

log = logging.getLogger("lamarck.sandboxes")
STARTING = 4
"""Sandboxes that are started at once."""


@dataclass(frozen=True)
class PoolLimits:
    """How many sandboxes, and how long each is used."""

    warm: int = 2
    """Kept ready."""
    most: int = 32
    """Alive at once; who asks for more waits."""
    patience_s: float = 60.0
    """Longest wait for one, in seconds."""
    uses: int = 1000
    """Leases after which one is thrown away."""
    life_s: float = 3600.0
    """Seconds after which one is thrown away."""

    def __post_init__(self) -> None:
        if (
            not 0 <= self.warm <= self.most
            or self.most < 1
            or self.uses < 1
            or self.patience_s <= 0
            or self.life_s <= 0
        ):
            raise SandboxError(f"a pool of {self.warm} warm and at most {self.most} sandboxes is none.", kind="limits")


@dataclass
class PoolCounts:
    """What a pool has done so far."""

    started: int = 0
    leased: int = 0
    reused: int = 0
    thrown_away: int = 0
    retried: int = 0
    waited_s: float = 0.0
    """Seconds that all who asked have waited together."""


class Pool:
    """Sandboxes of one kind, shared by many tasks. Use it with `async with`.

    Each lease has a sandbox alone, and the next one finds nothing of it: what was used is reset, and what timed out,
    lost its state or ran out of memory is thrown away.

    Args:
        backend: makes the sandboxes; the pool does not close it.
        limits: of each sandbox.
        policy: of each sandbox.
        size: how many.
    """

    def __init__(
        self,
        backend: Backend,
        *,
        limits: Limits | None = None,
        policy: Policy | None = None,
        size: PoolLimits | None = None,
    ) -> None:
        self.backend = backend
        self.limits = limits or Limits()
        self.policy = policy or Policy()
        self.size = size or PoolLimits()
        self._counts = PoolCounts()
        self._idle: list[Kept] = []
        self._places = asyncio.Semaphore(self.size.most)
        self._starts = asyncio.Semaphore(STARTING)
        self._refills: set[asyncio.Task[None]] = set()
        self._closed = False
        self._empty = asyncio.Event()
        self._leases = 0

    async def __aenter__(self) -> Pool:
        self._refill()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await asyncio.shield(self.close())

    def counts(self) -> dict[str, float]:
        """Return what the pool has done so far."""
        return {**asdict(self._counts), "idle": len(self._idle), "in_use": self._leases}

    @contextlib.asynccontextmanager
    async def lease(self) -> AsyncIterator[Lease]:
        """Give a sandbox for as long as the block lasts.

        Raises:
            SandboxError: kind `busy`, none came free in time; kind `closed`; or what starting one raised.
        """
        kept = await self._take()
        lease = Lease(self.replace, kept)
        try:
            yield lease
        finally:
            await asyncio.shield(self._give_back(lease.kept))

    async def run(self, code: str, *, timeout_s: float | None = None) -> ExecResult:
        """Run code once, in a sandbox that has seen nothing else."""
        async with self.lease() as lease:
            return await lease.run(code, timeout_s=timeout_s)

    async def close(self) -> None:
        """Take no more leases, wait for those that are out, and kill what is left."""
        self._closed = True
        for refill in self._refills:
            refill.cancel()
        await asyncio.gather(*self._refills, return_exceptions=True)
        if self._leases:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._empty.wait(), self.size.patience_s)
        idle, self._idle = self._idle, []
        await asyncio.gather(*(kept.sandbox.kill() for kept in idle))

    async def fresh(self) -> Kept:
        """Start a sandbox.

        Raises:
            SandboxError: twice in a row it did not start.
        """
        async with self._starts:
            for attempt in (1, 2):
                try:
                    sandbox = await self.backend.create(self.limits, self.policy)
                    self._counts.started += 1
                    return Kept(sandbox, time.monotonic())
                except SandboxError as error:
                    if attempt == 2 or error.kind not in RETRIED:
                        raise
                    self._counts.retried += 1
                    log.warning("a sandbox did not start, trying once more: %s", error)
                    await asyncio.sleep(0.2)
        raise AssertionError

    async def replace(self, kept: Kept) -> Kept:
        """Throw a sandbox away and start another in its place."""
        self._counts.thrown_away += 1
        self._counts.retried += 1
        await kept.sandbox.kill()
        return await self.fresh()

    async def _take(self) -> Kept:
        began = time.monotonic()
        if self._closed:
            raise SandboxError("the sandbox pool is closed.", kind="closed")
        try:
            await asyncio.wait_for(self._places.acquire(), self.size.patience_s)
        except TimeoutError:
            raise SandboxError(
                f"no sandbox came free within {self.size.patience_s:g} s; {self.size.most} are in use.",
                hint="Raise sandbox.most, or run fewer episodes at once.",
                kind="busy",
            ) from None
        self._leases += 1
        self._empty.clear()
        try:
            kept = await self._ready()
        except BaseException:
            self._freed()
            raise
        self._counts.leased += 1
        self._counts.waited_s += time.monotonic() - began
        kept.uses += 1
        self._refill()
        return kept

    async def _ready(self) -> Kept:
        """Return a warm sandbox that answers, or a new one."""
        while self._idle or self._refills:
            if not self._idle:
                # One is on its way already; starting another beside it could be one too many.
                await asyncio.wait(self._refills, return_when=asyncio.FIRST_COMPLETED)
                continue
            kept = self._idle.pop()
            try:
                await kept.sandbox.ping()
            except SandboxError as error:
                self._counts.thrown_away += 1
                log.warning("a warm sandbox was dead: %s", error)
                await kept.sandbox.kill()
                continue
            self._counts.reused += kept.uses > 0
            return kept
        return await self.fresh()

    async def _give_back(self, kept: Kept) -> None:
        try:
            if not await self._clean(kept):
                self._counts.thrown_away += 1
                await kept.sandbox.kill()
        finally:
            self._freed()

    async def _clean(self, kept: Kept) -> bool:
        """Make a sandbox as new; say whether the next one may have it."""
        sandbox, old = kept.sandbox, time.monotonic() - kept.born > self.size.life_s
        if self._closed or old or kept.uses >= self.size.uses or not sandbox.alive or sandbox.spoiled:
            return False
        if len(self._idle) >= max(self.size.warm, 1):
            return False
        try:
            await sandbox.reset()
        except SandboxError:
            return False
        self._idle.append(kept)
        return True

    def _freed(self) -> None:
        self._leases -= 1
        self._places.release()
        if not self._leases:
            self._empty.set()
        self._refill()

    def _refill(self) -> None:
        """Start what is missing, beside whoever is working."""
        missing = min(self.size.warm, self.size.most - self._leases) - len(self._idle) - len(self._refills)
        for _ in range(0 if self._closed else max(0, missing)):
            task = asyncio.create_task(self._add())
            self._refills.add(task)
            task.add_done_callback(self._refills.discard)

    async def _add(self) -> None:
        try:
            kept = await self.fresh()
        except SandboxError as error:
            # Whoever asks next starts one for itself, and is told.
            log.warning("cannot refill the sandbox pool: %s", error)
            return
        if self._closed:
            await kept.sandbox.kill()
        else:
            self._idle.append(kept)
