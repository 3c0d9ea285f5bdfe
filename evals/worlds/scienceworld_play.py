"""Episodes of ScienceWorld, in a simulator of their own: a Java process that is started and ended here."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
from collections.abc import Iterator
from typing import Any

from ...core import Task
from ...errors import EnvironmentFailure, boundary

UNLIMITED = 1_000_000
"""Steps after which the simulator would end an episode by itself; that is left to the environment."""
UNKNOWN = ("No known action matches that input", "Unknown action")
UNCLEAR = "Ambiguous request"
AFRESH = "reset task"
"""Begins the episode again under the agent's hands; the simulator knows it, and here it is no action."""
JAVA = "-XX:+UseSerialGC -XX:+IgnoreUnrecognizedVMOptions -XX:+UnlockExperimentalVMOptions -XX:hashCode=2"
"""Options of every simulator. It keeps things in sets that HotSpot orders by chance, so that rooms are told in another
order at each reset; with equal identity hashes (the last option) they stay in the order in which they were put there.
"""
_NUMBERED = re.compile(r"^\s*(\d+):", re.MULTILINE)
_PLACE = re.compile(r"\b(OBJ|LOC)\b")


class ScienceWorldEnvironment:
    """Plays the variation of whatever task it is reset with.

    Rewards are what a step added to the score, of 1 in all. An action that spoils the experiment ends the episode with
    score 0. The simulator also lists actions with things that are out of reach, in a closed cupboard for one, and then
    does not know them; and it names things that are alike at random, anew with each list.

    Args:
        max_steps: after this many steps the episode is truncated.
        forms: list forms of actions instead of the actions.
        heap_mb: for Java's heap, in MiB.
        gold: have the simulator work out a solution at each reset.
    """

    concurrency = "process"
    recycle_after = 100

    def __init__(self, max_steps: int, forms: bool = False, heap_mb: int = 512, gold: bool = False) -> None:
        self.max_steps = max_steps
        self._forms, self._heap_mb, self._gold = forms, heap_mb, gold
        self._world: Any = None
        self._steps = 0
        self._score = 0.0
        self._over = True
        self._known: dict[str, Any] = {}

    def reset(self, *, seed: int | None = None, task: Task | None = None) -> tuple[str, dict[str, Any]]:
        """Start the variation of `task`.

        Raises:
            EnvironmentFailure: the task is none of ScienceWorld's, or the simulator failed.
        """
        kind, number, simpler = (
            task.options.get(name) if task is not None else None for name in ("task", "variation", "simplifications")
        )
        if task is None or not isinstance(kind, str) or not isinstance(number, int) or not isinstance(simpler, str):
            raise EnvironmentFailure("a ScienceWorld environment is reset with a task of its own.", kind="contract")
        with boundary(EnvironmentFailure, f"task {task.id}: the ScienceWorld simulator"):
            if self._world is None:
                self._world = started(self._heap_mb)
            self._world.load(kind, number, simpler, generateGoldPath=self._gold)
            text, info = self._world.reset()
            self._known = self._told(text, int(info["score"]))
        self._steps, self._over = 0, False
        return f"{info['taskDesc'].strip()}\n\n{text.strip()}", self._known

    def step(self, action: str) -> tuple[str, float, bool, bool, dict[str, Any]]:
        """Give one command.

        Raises:
            EnvironmentFailure: there is no episode to step in, or the simulator failed.
        """
        if self._world is None or self._over:
            raise EnvironmentFailure("step without an episode under way: reset first.", kind="order")
        self._steps += 1
        truncated = self._over = self._steps >= self.max_steps
        if action.strip().casefold() == AFRESH:
            return f"{UNKNOWN[0]}.", 0.0, False, truncated, {**self._known, "effective": False}
        before = self._score
        with boundary(EnvironmentFailure, "the ScienceWorld simulator"):
            # Not by its Python wrapper, which lists actions each time: that takes long, and draws their names anew.
            server = self._world.server
            text, points = str(server.step(action)), round(100 * server.getScore())
            over = bool(server.getCompleted()) or points < 0
            if not text.startswith(UNKNOWN[0]):
                self._known = self._told(text, points)
        self._over = over or truncated
        told = {**self._known, "effective": not text.startswith(UNKNOWN)}
        return text.strip(), self._score - before, over, truncated and not over, told

    def gold(self) -> tuple[str, ...]:
        """Return the actions that solve the current task, none where the simulator was not asked for them."""
        return tuple(self._world.get_gold_action_sequence()) if self._gold and self._world is not None else ()

    def close(self) -> None:
        """End the simulator, and wait for its process."""
        world, self._world = self._world, None
        if world is not None:
            ended(world)

    def _told(self, text: str, points: int) -> dict[str, Any]:
        self._score = max(0, points) / 100
        if text.startswith(UNCLEAR):
            actions = _NUMBERED.findall(text)
        elif self._forms:
            actions = [_PLACE.sub("<object>", form) for form in self._world.get_possible_actions()]
        else:
            actions = self._world.get_valid_action_object_combinations()
        return {
            "admissible_actions": [action for action in actions if action != AFRESH],
            "success": points >= 100,
            "score": self._score,
        }


def started(heap_mb: int) -> Any:
    """Start a simulator that is the same each time, and whose heap is bounded: without a bound it takes about a GiB.

    Raises:
        EnvironmentFailure: Java does not start.
    """
    from scienceworld import ScienceWorldEnv

    with _java_options(f"-Xmx{heap_mb}m {JAVA}"):
        try:
            return ScienceWorldEnv("", envStepLimit=UNLIMITED)
        except ValueError as error:
            # Where Java says its port, there was nothing: it has ended.
            raise EnvironmentFailure(
                f"Java ended before the simulator had begun (heap_mb {heap_mb}).",
                hint="See whether `java -version` works, and whether there is memory for heap_mb.",
                kind="java",
            ) from error


def ended(world: Any) -> None:
    """End a simulator. Its own `close` does not wait for the process, and leaves its pipes open."""
    process = world._gateway.java_process
    with contextlib.suppress(Exception):
        world.close()
    try:
        process.wait(5.0)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    for pipe in (process.stdin, process.stdout, process.stderr):
        if pipe is not None:
            with contextlib.suppress(OSError):
                pipe.close()
    world._obj_tree_tempdir.cleanup()


@contextlib.contextmanager
def _java_options(options: str) -> Iterator[None]:
    """Hand options to a Java that is started inside; the package has no argument for them."""
    before = os.environ.get("JAVA_TOOL_OPTIONS")
    # What stands later wins: the user's own.
    os.environ["JAVA_TOOL_OPTIONS"] = f"{options} {before or ''}".strip()
    try:
        yield
    finally:
        if before is None:
            del os.environ["JAVA_TOOL_OPTIONS"]
        else:
            os.environ["JAVA_TOOL_OPTIONS"] = before
