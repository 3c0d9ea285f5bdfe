"""Checks of many episodes: at once, one after the other for long, and how fast."""

from __future__ import annotations

import asyncio
import gc
import os
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from ...agent.hosting import World, WorldPool
from ...agent.tasksets import open_pool
from ...errors import LamarckError
from .conformance_elsewhere import OBJECT_ONLY
from .conformance_play import Play, Walk, difference, explore, follow, moment
from .conformance_report import Failed, NotJudged, Seen, Spot
from .conformance_subject import Subject

AT_ONCE = 4
TIMEOUT_S = 60.0
LEAK_S = 20.0
"""The leak check plays for this long at most, and for at least ten episodes."""
SETTLE_S = 1.0
"""How long threads and child processes that were told to end may take to do so."""
SLACK_BYTES = 8 << 20
PER_EPISODE_BYTES = 100 << 10


def concurrency(subject: Subject) -> Seen:
    """Episodes played at once, through the pool that runs them in earnest, are the same as when played alone."""
    with subject.play() as play:
        rows = (subject.tasks * AT_ONCE)[: max(AT_ONCE, min(len(subject.tasks), 2 * AT_ONCE))]
        walks = [explore(play, task, subject.policy(task), subject.steps) for task in rows]
    if subject.concurrency == "process" and subject.make is None:
        raise NotJudged(f"{OBJECT_ONLY}.")
    for walk in walks:
        with subject.play() as play:
            if difference(walk, follow(play, walk.task, walk.actions)) is not None:
                raise NotJudged("the same actions do not bring the same episode, see seeding and determinism.")
    return subject.awaited(_concurrency(subject, walks))


async def _concurrency(subject: Subject, walks: Sequence[Walk]) -> Seen:
    try:
        together = await _pooled(subject, walks)
    except LamarckError as error:
        raise Failed(f"{AT_ONCE} episodes at once: {error.message}", walks[0].spot()) from None
    for walk, other in zip(walks, together, strict=True):
        differs = difference(walk, other)
        if differs is not None:
            detail = f"with {AT_ONCE} episodes at once, after {differs[0]} steps, {differs[1]}."
            raise Failed(detail, walk.spot(differs[0]))
    steps = sum(len(walk.actions) for walk in walks)
    return Seen(f"{subject.concurrency}: {len(walks)} episodes, {AT_ONCE} at once, {steps} steps, the same as alone")


async def _pooled(subject: Subject, walks: Sequence[Walk]) -> list[Walk]:
    """Play walks through a pool, each step giving way to the other episodes."""
    pool = open_pool(subject.taskset, make=subject.make, size=AT_ONCE, timeout_s=TIMEOUT_S)
    room = asyncio.Semaphore(AT_ONCE)

    async def one(walk: Walk) -> Walk:
        async with room, pool.lease() as world:
            return await _followed(subject, world, walk)

    try:
        # Not a task group: it would cancel the siblings, and hide the first error in a group of them.
        return list(await asyncio.gather(*(one(walk) for walk in walks)))
    finally:
        await _closed(pool)


async def _closed(pool: WorldPool) -> None:
    try:
        await pool.close()
    except LamarckError as error:
        raise Failed(f"the pool does not close: {error.message}") from None


async def _followed(subject: Subject, world: World, walk: Walk) -> Walk:
    subject.announce(walk.spot(0))
    moments = [moment(await world.reset(walk.task, walk.task.seed))]
    for number, action in enumerate(walk.actions, 1):
        await asyncio.sleep(0)
        if moments[-1].ended:
            break
        subject.announce(walk.spot(number))
        moments.append(moment(await world.step(action)))
    return Walk(walk.task, walk.actions[: len(moments) - 1], tuple(moments))


class Held(NamedTuple):
    """What this process holds at one time."""

    files: int
    threads: int
    children: int
    memory: int
    """Resident bytes."""


def held() -> Held:
    """Return what this process holds now."""
    me = Path("/proc/self")
    pages = int((me / "statm").read_text(encoding="ascii").split()[1])
    files = sum(1 for _ in (me / "fd").iterdir()) - 1
    return Held(files, threading.active_count(), len(_children()), pages * os.sysconf("SC_PAGE_SIZE"))


def _children() -> list[int]:
    """Return the living children of this process; one that has ended and waits to be read is none."""
    found = []
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        try:
            state, parent = (
                (folder / "stat").read_text(encoding="utf-8", errors="replace").rsplit(")", 1)[1].split()[:2]
            )
        except OSError:
            continue
        if int(parent) == os.getpid() and state != "Z":
            found.append(int(folder.name))
    return found


def leak(subject: Subject) -> Seen:
    """Files, threads, child processes and memory do not grow with episodes, and `close` gives back what was opened."""
    if not Path("/proc/self/statm").exists():
        raise NotJudged("this system has no /proc to read from.")
    _episodes(subject, 1)
    gc.collect()
    before = held()
    with subject.play() as play:
        _turns(subject, play, len(subject.tasks))
        gc.collect()
        warm = held()
        played, grown = _grown(subject, play, warm)
    _fail_if_more(warm, grown, f"after {played} more episodes in one object", slack=2)
    objects = _episodes(subject, 5)
    _fail_if_more(before, _settled(before), f"after {objects} objects were opened, played and closed", slack=0)
    figures = {"episodes": float(played), "bytes_per_episode": round((grown.memory - warm.memory) / played)}
    per = figures["bytes_per_episode"] / 1024
    if subject.concurrency != "process" and grown.memory - warm.memory > max(SLACK_BYTES, played * PER_EPISODE_BYTES):
        detail = (
            f"memory grew by {(grown.memory - warm.memory) / 2**20:.0f} MiB in {played} episodes of the same tasks."
        )
        raise Failed(detail, Spot(subject.tasks[0].id, subject.tasks[0].seed))
    recycled = " (the process is replaced from time to time)" if subject.concurrency == "process" else ""
    return Seen(f"{played} episodes: nothing left open, {per:+.1f} KiB of memory per episode{recycled}", figures)


def _turns(subject: Subject, play: Play, episodes: int) -> None:
    rows = subject.tasks
    for number in range(episodes):
        task = rows[number % len(rows)]
        explore(play, task, subject.policy(task, "leak"), subject.steps)


def _grown(subject: Subject, play: Play, warm: Held) -> tuple[int, Held]:
    """Play on in one object, the same tasks over and over, and return how many episodes and what is held then."""
    wanted, played, clock = max(40, 5 * len(subject.tasks)), 0, time.monotonic()
    while played < wanted and (played < 10 or time.monotonic() - clock < LEAK_S):
        _turns(subject, play, len(subject.tasks))
        played += len(subject.tasks)
    return played, _settled(warm, slack=2)


def _episodes(subject: Subject, objects: int) -> int:
    """Open objects one after the other, play an episode in each and close it; return how many."""
    for _ in range(objects):
        with subject.play() as play:
            _turns(subject, play, 1)
    return objects


def _settled(before: Held, slack: int = 0) -> Held:
    """Return what is held, after giving threads and children that were told to end the time to do so."""
    gc.collect()
    until, now = time.monotonic() + SETTLE_S, held()
    while time.monotonic() < until and any(b > a + slack for a, b in zip(before[:3], now[:3], strict=True)):
        time.sleep(0.05)
        now = held()
    return now


def _fail_if_more(before: Held, after: Held, when: str, *, slack: int) -> None:
    for name, a, b in zip(("open files", "threads", "child processes"), before[:3], after[:3], strict=True):
        if b > a + slack:
            raise Failed(f"{b} {name} {when}, {a} before.")


def speed(subject: Subject) -> Seen:
    """Starts and steps per second, one episode after the other; no figure fails."""
    with subject.play() as play:
        _turns(subject, play, 1)
        starts, start_s, steps, step_s = 0, 0.0, 0, 0.0
        for task in subject.tasks:
            clock = time.perf_counter()
            now = play.reset(task)
            start_s += time.perf_counter() - clock
            starts += 1
            walk = explore(play, task, subject.policy(task), subject.steps)
            play.reset(task)
            for action in walk.actions:
                clock = time.perf_counter()
                now = play.step(action)
                step_s += time.perf_counter() - clock
                steps += 1
                if now.ended:
                    break
    figures = {"starts_per_s": _rate(starts, start_s), "steps_per_s": _rate(steps, step_s)}
    return Seen(f"{figures['starts_per_s']:,.0f} starts/s, {figures['steps_per_s']:,.0f} steps/s", figures)


def _rate(count: int, seconds: float) -> float:
    return round(count / seconds, 1) if seconds else 0.0
