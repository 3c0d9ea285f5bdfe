"""The attack suite: what hostile code may try, tried on a backend, and judged from outside.

A row holds when the host saw that it did. Payloads run inside and report what they could do; they gain nothing by
lying, and one that does not report counts as got through.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ..errors import LamarckError
from . import (
    attacks_calls,
    attacks_escape,
    attacks_files,
    attacks_network,
    attacks_protocol,
    attacks_reset,
    attacks_resources,
    cgroups,
)
from .attacks_host import Host, processes
from .attacks_target import LIMITS, Attack, Escape, Target, Unjudged, truthful
from .result import Guarantee
from .sandbox import Backend

ATTACKS: tuple[Attack, ...] = (
    *attacks_resources.ATTACKS,
    *attacks_escape.ATTACKS,
    *attacks_calls.ATTACKS,
    *attacks_network.ATTACKS,
    *attacks_files.ATTACKS,
    *attacks_reset.ATTACKS,
    *attacks_protocol.ATTACKS,
)
SETTLE_S = 5.0
"""How long what ended may take to disappear, in seconds."""
LANES = 3
"""How many attacks run at a time: most of them wait for a time-out."""
KEPT = 12
"""How many connections to its engine a backend may keep; far fewer than there were sandboxes."""
LAG_S = 2.0
"""How long a sandbox may keep the host's event loop from turning, in seconds."""


@dataclass(frozen=True)
class Row:
    """What came of one attack."""

    name: str
    what: str
    held: bool | None
    """None: not promised by this backend, or not tried on one that promises nothing."""
    seen: str
    seconds: float

    def line(self) -> str:
        """Return it in words."""
        held = {True: "held", False: "GOT THROUGH", None: "-"}[self.held]
        return f"{self.name:20} {held:12} {self.seconds:5.2f} s  {self.seen}"


@dataclass(frozen=True)
class Report:
    """What came of all attacks on a backend."""

    backend: str
    mode: str
    guarantee: Guarantee
    rows: tuple[Row, ...]
    seconds: float

    def sentence(self) -> str:
        """Return what came of it, in one line."""
        tried = sum(row.held is not None for row in self.rows)
        skipped = f", {len(self.rows) - tried} not promised or not tried" if tried < len(self.rows) else ""
        through = f"{len(self.escapes)} got through" if self.escapes else "all held"
        return f"{self.backend}: {tried} attacks in {self.seconds:.0f} s, {through}{skipped}."

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON takes it."""
        return {**asdict(self), "escapes": [row.name for row in self.escapes]}

    @property
    def escapes(self) -> tuple[Row, ...]:
        """The rows that did not hold."""
        return tuple(row for row in self.rows if row.held is False)


async def attack(
    backend: Backend, *, only: Sequence[str] = (), progress: Callable[[str], None] | None = None
) -> Report:
    """Attack a backend.

    Args:
        backend: whose sandboxes are attacked.
        only: attacks whose name holds one of these; all if empty.
        progress: told each row, in words.

    Raises:
        SandboxError: the backend does not work at all.
        ValueError: no name holds what is in `only`.
    """
    chosen = [entry for entry in ATTACKS if not only or any(word in entry.name for word in only)]
    if not chosen:
        raise ValueError(f"there is no attack with {' or '.join(only)} in its name.")
    began = time.monotonic()
    probe = await backend.probe()
    async with await backend.create(LIMITS) as sandbox:  # what is opened once and kept is open from here on
        await truthful(sandbox)
    before = Traces.look("")
    async with Host() as host:
        target = Target(backend, probe, host)
        rows = await _side_by_side([entry for entry in chosen if not entry.alone], target, LANES, progress)
        rows += await _side_by_side([entry for entry in chosen if entry.alone], target, 1, progress)
    for ending in (_left_behind(before, host.mark), _alive(target)):
        rows.append(await ending)
        if progress is not None:
            progress(rows[-1].line())
    return Report(backend.name, probe.mode, probe.guarantee, tuple(rows), time.monotonic() - began)


async def _side_by_side(
    entries: Sequence[Attack], target: Target, lanes: int, progress: Callable[[str], None] | None
) -> list[Row]:
    free = asyncio.Semaphore(lanes)

    async def one(entry: Attack) -> Row:
        async with free:
            row = await _judge(entry, target)
        if progress is not None:
            progress(row.line())
        return row

    return list(await asyncio.gather(*map(one, entries)))


async def _judge(entry: Attack, target: Target) -> Row:
    if not target.confined and not entry.unconfined:
        return Row(entry.name, entry.what, None, "not tried: nothing would hold it", 0.0)
    if target.confined and entry.needs and not getattr(target.probe.capabilities, entry.needs):
        return Row(entry.name, entry.what, None, f"not promised without {entry.needs}", 0.0)
    began = time.monotonic()
    with _lag() as lag:
        held, seen = await _tried(entry, target)
    if held and lag[0] > LAG_S:
        held, seen = False, f"the host stood still for {lag[0]:.1f} s; {seen}"
    return Row(entry.name, entry.what, held, seen, time.monotonic() - began)


async def _tried(entry: Attack, target: Target) -> tuple[bool, str]:
    try:
        async with asyncio.timeout(entry.limit_s):
            return True, await entry.try_(target)
    except Escape as error:
        return False, str(error)
    except TimeoutError:
        return False, f"the host waited for more than {entry.limit_s:g} s"
    except Unjudged as error:
        return False, f"could not be judged: {error}"
    except LamarckError as error:
        return False, f"could not be judged: {type(error).__name__} ({error.kind}): {error.message[:200]}"
    except Exception as error:  # noqa: BLE001 - a row that is broken is a row that did not hold
        return False, f"could not be judged: {error!r:.200}"


@contextlib.contextmanager
def _lag() -> Iterator[list[float]]:
    """Measure the longest time for which the event loop did not turn."""
    worst, last = [0.0], time.monotonic()

    def turn() -> None:
        nonlocal last
        worst[0] = max(worst[0], time.monotonic() - last)
        last = time.monotonic()

    async def tick() -> None:
        while True:
            await asyncio.sleep(0.02)
            turn()

    task = asyncio.create_task(tick())
    try:
        yield worst
    finally:
        turn()
        task.cancel()


# --- what is left when all is over ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Traces:
    """What sandboxes leave on the host."""

    processes: frozenset[int]
    groups: frozenset[str]
    mounts: Counter[str]
    files: Counter[str]

    @classmethod
    def look(cls, mark: str) -> Traces:
        """Return what is there now; of processes, those with a mark."""
        ours = f"{cgroups.PREFIX}-{cgroups.owner_tag()}-"
        # Not by a glob: others' groups may go while it looks, which `os.walk` does not mind.
        groups = (f"{at}/{name}" for at, names, _ in os.walk(cgroups.ROOT) for name in names if name.startswith(ours))
        mounts = Path("/proc/self/mountinfo").read_text().splitlines()
        return cls(
            frozenset(processes(mark)) if mark else frozenset(),
            frozenset(groups),
            Counter(line.split()[4] for line in mounts if cgroups.PREFIX in line),  # others mount things too
            Counter(_open_files()),
        )

    def more_than(self, other: Traces) -> str:
        """Return what is here and not there, in words."""
        found: dict[str, list[Any]] = {
            "processes": sorted(self.processes - other.processes),
            "control groups": sorted(self.groups - other.groups),
            "mounts": sorted((self.mounts - other.mounts).elements()),
            "open files": sorted((self.files - other.files).elements()),
        }
        if set(found["open files"]) == {"socket"} and len(found["open files"]) <= KEPT:
            del found["open files"]
        return "; ".join(f"{len(what)} {name}: {what!s:.120}" for name, what in found.items() if what)


def _open_files() -> Iterator[str]:
    for path in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):
            name = str(path.readlink())
            # Sockets and pipes have a new number each; how many there are is what counts.
            yield name.partition(":")[0] if name.startswith(("socket:", "pipe:", "anon_inode:")) else name


async def _left_behind(before: Traces, mark: str) -> Row:
    began = time.monotonic()
    while left := Traces.look(mark).more_than(before):
        if time.monotonic() - began > SETTLE_S:
            break
        await asyncio.sleep(0.1)
    seen = left or "no process, control group, mount or open file more than before"
    return Row("left-behind", "leave something on the host", not left, seen, time.monotonic() - began)


async def _alive(target: Target) -> Row:
    return await _judge(Attack("host-alive", "leave the backend unable to work", _works, unconfined=True), target)


async def _works(target: Target) -> str:
    async with await target.backend.create(LIMITS) as sandbox:
        return f"a new sandbox starts; {await truthful(sandbox)}"
