"""Starts, steps and memory of each world that works here, each in a child process of its own."""

from __future__ import annotations

import gc
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

from ..agent.tasksets import load_taskset
from ..errors import ConfigError, LamarckError
from .worlds.conformance_play import Play, explored
from .worlds.conformance_report import Failed
from .worlds.conformance_subject import Subject

TASKS = 12
STEPS = 20
"""Steps of an episode, where the world does not end it earlier."""
WALKS = 3
"""Ways in which each task is played while memory is watched."""
OPEN = 20
"""Episodes that are open at once; fewer where each takes long to open."""
SECONDS = 3.0
"""How long each figure is measured."""


class World(NamedTuple):
    """A row of the table: a taskset with its options."""

    taskset: str
    options: Mapping[str, Any]


def worlds(data_alfworld: str | None = None, data_webshop: str | None = None) -> dict[str, World]:
    """Return the rows there are, by name; those that need data are there in any case, and say so."""
    rows = {
        "household": World("household", {}),
        "alfworld": World("alfworld", {"data": data_alfworld} if data_alfworld else {}),
        "webshop": World("webshop", {}),
        "questions": World("questions", {}),
        "gymnasium": World("gymnasium", {"id": "FrozenLake-v1"}),
        "hotpotqa": World("hotpotqa", {}),
        "mbpp": World("mbpp", {}),
        "textworld": World("textworld", {}),
        "scienceworld": World("scienceworld", {}),
    }
    return rows | ({"webshop-data": World("webshop", {"data": data_webshop})} if data_webshop else {})


def bench_worlds(
    *,
    data_alfworld: str | None = None,
    data_webshop: str | None = None,
    only: Sequence[str] = (),
    seconds: float = SECONDS,
    progress: Callable[[str, int, int], None] = lambda label, done, total: None,
) -> dict[str, dict[str, Any]]:
    """Measure every world; one that is not installed, or has no data, has `absent` with what to do about it.

    A start is `reset` of a task that was played before, a step includes the admissible actions. Environments are called
    directly: what a child process or a thread of the runner costs is not in these figures.

    Args:
        data_alfworld: an ALFWorld data folder.
        data_webshop: the folder of WebShop's files; adds the row `webshop-data` beside the generated shop.
        only: names of rows, all of them if empty.
        seconds: how long each figure is measured.
        progress: told which world is measured, its number and how many there are.

    Raises:
        ConfigError: there is no such row.
    """
    rows = worlds(data_alfworld, data_webshop)
    unknown = sorted(set(only) - set(rows))
    if unknown:
        raise ConfigError(f"there is no world {unknown[0]!r} to measure; there are: {', '.join(rows)}.")
    wanted = [name for name in rows if not only or name in only]
    found = {}
    for number, name in enumerate(wanted):
        progress(name, number, len(wanted))
        found[name] = _in_child(rows[name], seconds)
    return found


def _in_child(world: World, seconds: float) -> dict[str, Any]:
    """Measure one world in a fresh process, so that no other world's memory is counted."""
    command = [sys.executable, "-m", "lamarck.evals.bench_worlds", world.taskset, json.dumps(dict(world.options))]
    try:
        done = subprocess.run([*command, str(seconds)], capture_output=True, text=True, timeout=600, check=False)
    except subprocess.TimeoutExpired:
        return {"absent": "no figures after 600 s."}
    if done.returncode:
        return {"absent": (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]}
    return dict(json.loads(done.stdout.strip().splitlines()[-1]))


def measure(name: str, options: Mapping[str, Any], seconds: float = SECONDS) -> dict[str, Any]:
    """Measure one world in this process.

    Returns:
        `open_s` (taskset, its first tasks and one environment), `starts_per_s`, `steps_per_s`, `memory_mib` of the
        process and all its children with one episode open, `kib_per_open_episode`, and `kib_per_1000_episodes` by which
        memory grew over `episodes` episodes of the same tasks.

    Raises:
        ConfigError: the taskset is not installed, or has no data.
        Failed: the world broke.
    """
    clock = time.perf_counter()
    taskset = load_taskset(name, options)
    splits = list(taskset.splits())
    split = "valid_seen" if "valid_seen" in splits else splits[0]
    subject = Subject(taskset, split, episodes=TASKS, steps=STEPS)
    try:
        with subject.play() as play:
            tasks = len(subject.tasks)
            play.reset(subject.tasks[0])
            opened = time.perf_counter() - clock
            timed = _timed(subject, play, seconds)
            memory = memory_of_tree()
            grown = _grown(subject, play, 3 * seconds)
            each = _per_open_episode(subject, seconds)
    finally:
        subject.close()
    rates = {"starts_per_s": round(timed[0], 1), "steps_per_s": round(timed[1], 1)}
    sizes = {"memory_mib": round(memory / 2**20, 1), "kib_per_open_episode": round(each / 1024, 1)}
    return {"split": split, "tasks": tasks, "open_s": round(opened, 2), **rates, **sizes, **grown}


def _episodes(subject: Subject, play: Play, seconds: float, walks: int = 0) -> Iterator[tuple[float, list[float]]]:
    """Play the tasks over and over for some seconds, each at least once; yield seconds of `reset` and of each step.

    A task is always played in new ways, or in `walks` ways over and over.
    """
    until, number = time.perf_counter() + seconds, 0
    while number < len(subject.tasks) or time.perf_counter() < until:
        task = subject.tasks[number % len(subject.tasks)]
        turn = number // len(subject.tasks)
        chance = subject.policy(task, str(turn % walks if walks else turn))
        clock = time.perf_counter()
        now = play.reset(task)
        start, steps = time.perf_counter() - clock, list[float]()
        while not now.ended and len(steps) < subject.steps:
            action = explored(now, task, chance)
            clock = time.perf_counter()
            now = play.step(action)
            steps.append(time.perf_counter() - clock)
        yield start, steps
        number += 1
        if number >= 3 and time.perf_counter() > until + 5 * seconds:
            # A world this slow is not played in full.
            return


def _timed(subject: Subject, play: Play, seconds: float) -> tuple[float, float]:
    """Return starts and steps per second, the first round left out: it fills caches, and compiles games."""
    for _ in _episodes(subject, play, 0.0):
        pass
    starts, steps = list[float](), list[float]()
    for start, laps in _episodes(subject, play, seconds):
        starts.append(start)
        steps += laps
    return len(starts) / sum(starts), len(steps) / sum(steps) if steps else 0.0


def _grown(subject: Subject, play: Play, seconds: float) -> dict[str, Any]:
    """Return by how much memory grows with episodes that were all played before, so that caches have no part in it."""
    for _ in _episodes(subject, play, seconds / 3, walks=WALKS):
        pass
    gc.collect()
    before, count = memory_of_tree(), 0
    for _ in _episodes(subject, play, seconds, walks=WALKS):
        count += 1
    gc.collect()
    return {"episodes": count, "kib_per_1000_episodes": round((memory_of_tree() - before) / 1024 / count * 1000, 1)}


def _per_open_episode(subject: Subject, seconds: float) -> float:
    """Return bytes per episode of several that are open, each in an object of its own and some steps old."""
    with ExitStack() as stack:
        gc.collect()
        before, count, clock = memory_of_tree(), 0, time.perf_counter()
        while count < OPEN and (count < 3 or time.perf_counter() - clock < 2 * seconds):
            play = stack.enter_context(subject.play())
            task = subject.tasks[count % len(subject.tasks)]
            chance, now = subject.policy(task), play.reset(task)
            for _ in range(5):
                if not now.ended:
                    now = play.step(explored(now, task, chance))
            count += 1
        gc.collect()
        return (memory_of_tree() - before) / count


def memory_of_tree() -> int:
    """Return the resident bytes of this process and of all its descendants: an engine may live in one of them.

    Pages that several of them share are counted for each.
    """
    parents: dict[int, int] = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                text = (folder / "stat").read_text(encoding="utf-8", errors="replace")
            except OSError:
                continue
            parents[int(folder.name)] = int(text.rsplit(")", 1)[1].split()[1])
    mine, new = {os.getpid()}, True
    while new:
        more = {pid for pid, parent in parents.items() if parent in mine and pid not in mine}
        mine, new = mine | more, bool(more)
    return sum(map(_resident, mine))


def _resident(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0


def main() -> None:
    """Measure the world that the arguments name and print the figures as the last line."""
    try:
        figures = measure(sys.argv[1], json.loads(sys.argv[2]), float(sys.argv[3]))
    except (Failed, LamarckError) as error:
        figures = {"absent": str(error)}
    print(json.dumps(figures))  # noqa: T201 - read by the parent


if __name__ == "__main__":
    main()
