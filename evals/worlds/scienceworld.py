"""ScienceWorld: thirty kinds of school experiments, in the published simulator.

Wang et al. 2022, "ScienceWorld: Is your Agent Smarter than a 5th Grader?". The simulator is a Java program; each
environment has one of its own.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from importlib.util import find_spec
from itertools import zip_longest
from typing import Any

from ...core import Origin, Task
from ...errors import ConfigError
from ...seams import Environment
from .replay import Progress, check_solutions
from .scienceworld_play import UNLIMITED, ScienceWorldEnvironment

VARIATIONS = {
    "boil": 30,
    "change-the-state-of-matter-of": 30,
    "chemistry-mix": 32,
    "chemistry-mix-paint-secondary-color": 36,
    "chemistry-mix-paint-tertiary-color": 36,
    "find-animal": 300,
    "find-living-thing": 300,
    "find-non-living-thing": 300,
    "find-plant": 300,
    "freeze": 30,
    "grow-fruit": 126,
    "grow-plant": 126,
    "identify-life-stages-1": 14,
    "identify-life-stages-2": 10,
    "inclined-plane-determine-angle": 168,
    "inclined-plane-friction-named-surfaces": 1386,
    "inclined-plane-friction-unnamed-surfaces": 162,
    "lifespan-longest-lived": 125,
    "lifespan-longest-lived-then-shortest-lived": 125,
    "lifespan-shortest-lived": 125,
    "measure-melting-point-known-substance": 436,
    "measure-melting-point-unknown-substance": 300,
    "melt": 30,
    "mendelian-genetics-known-plant": 120,
    "mendelian-genetics-unknown-plant": 480,
    "power-component": 20,
    "power-component-renewable-vs-nonrenewable-energy": 20,
    "test-conductivity": 900,
    "test-conductivity-of-unknown-substances": 600,
    "use-thermometer": 540,
}
"""How many variations the simulator has of each kind of task, so that listing tasks starts no Java."""
SPLITS = ("train", "dev", "test")
SIMPLER = ("easy", "noElectricalAction", "openContainers", "openDoors", "selfWateringFlowerPots", "teleportAction")
ELECTRICAL = ("power-component", "conductivity")
"""What stands in the names of the kinds of task that cannot do without electricity."""
MAX_STEPS = 100


class ScienceWorldTaskset:
    """ScienceWorld's tasks with their official variations for training, development and test.

    Args:
        types: kinds of task to keep, all thirty if not given.
        simplifications: what is made easier, separated by commas; `easy` is all of it, as in most published results.
        variations: at most this many variations of each kind of task per split.
        max_steps: steps after which an episode is truncated.
        actions: `all` lists each admissible action, some hundreds of them; `forms` lists what forms they have, to be
            filled in (not for protocol `choice`).
        heap_mb: memory for Java's heap, in MiB, in each environment's process.

    Raises:
        ConfigError: the package or Java is missing, or an option is none that there is.
    """

    name = "scienceworld"

    def __init__(
        self,
        types: Sequence[str] | None = None,
        simplifications: str = "easy",
        variations: int | None = None,
        max_steps: int = MAX_STEPS,
        actions: str = "all",
        heap_mb: int = 512,
    ) -> None:
        require_scienceworld()
        for kind in types or ():
            if kind not in VARIATIONS:
                raise ConfigError(f"scienceworld has no task {kind!r}; there are: {', '.join(VARIATIONS)}.")
        for part in filter(None, simplifications.split(",")):
            if part not in SIMPLER:
                raise ConfigError(f"scienceworld has no simplification {part!r}; there are: {', '.join(SIMPLER)}.")
        if actions not in ("all", "forms"):
            raise ConfigError(f"scienceworld can list actions as all or forms, not {actions!r}.")
        if max_steps < 1 or heap_mb < 128 or (variations is not None and variations < 1):
            raise ConfigError("scienceworld needs max_steps >= 1, variations >= 1 and heap_mb >= 128.")
        self._types = tuple(sorted(set(types or VARIATIONS)))
        for kind in self._types if SIMPLER[1] in simplifications.split(",") else ():
            if any(word in kind for word in ELECTRICAL):
                raise ConfigError(f"scienceworld task {kind} needs electricity.", hint=f"Leave {SIMPLER[1]} out.")
        self._simplifications, self._variations = simplifications, variations
        self._max_steps, self._forms, self._heap_mb = max_steps, actions == "forms", heap_mb

    def splits(self) -> list[str]:
        """Return the official splits."""
        return list(SPLITS)

    def tasks(self, split: str, *, seed: int = 0, limit: int | None = None) -> list[Task]:
        """Return the variations of a split, by turns of each kind of task; what is to be done stands in the first text.

        The seed does not matter: a variation is the same each time.

        Raises:
            ConfigError: there is no such split.
        """
        if split not in SPLITS:
            raise ConfigError(f"scienceworld has no split {split!r}; there are: {', '.join(SPLITS)}.")
        groups = [[(kind, n) for n in split_of(kind, split)][: self._variations] for kind in self._types]
        turns = [entry for turn in zip_longest(*groups) for entry in turn if entry is not None]
        return [self._task(kind, number, split) for kind, number in turns[:limit]]

    def environment(self) -> Environment:
        """Return an environment that plays every task of this set."""
        return self._environment()

    def walkthrough(self, task: Task) -> tuple[str, ...]:
        """Return the simulator's own actions that solve a task."""
        environment = self._environment(gold=True)
        try:
            environment.reset(task=task)
            return environment.gold()
        finally:
            environment.close()

    def check(
        self, split: str | None = None, limit: int | None = None, progress: Progress | None = None
    ) -> dict[str, Any]:
        """Replay the simulator's own solution of each task: every one must reach the full score.

        Raises:
            ConfigError: there is no such split.
        """
        environment = self._environment(gold=True)
        tasks = self.tasks(split or self.splits()[0], limit=limit)
        return check_solutions(environment, tasks, lambda task: environment.gold(), progress, listed=False)

    def _environment(self, gold: bool = False) -> ScienceWorldEnvironment:
        # Solutions may take longer than an agent is given.
        most = UNLIMITED if gold else self._max_steps
        return ScienceWorldEnvironment(most, self._forms, self._heap_mb, gold)

    def _task(self, kind: str, number: int, split: str) -> Task:
        return Task(
            id=f"{self.name}/{kind}/{number}" + (f"/{self._simplifications}" if self._simplifications else ""),
            goal=kind.replace("-", " "),
            environment=self.name,
            options={"task": kind, "variation": number, "simplifications": self._simplifications},
            split=split,
            category=kind,
            origin=Origin(by=self.name),
        )


def require_scienceworld() -> None:
    """Check that ScienceWorld can run here.

    Raises:
        ConfigError: the package or Java is missing; says how to install it.
    """
    if find_spec("scienceworld") is None or find_spec("py4j") is None:
        raise ConfigError("scienceworld is not installed.", hint="Run: pip install 'lamarck-agents[scienceworld]'.")
    if shutil.which("java") is None:
        raise ConfigError(
            "scienceworld needs Java, and there is no java on the PATH.",
            hint="Install a Java runtime (Debian: apt-get install default-jre-headless).",
        )


def split_of(kind: str, split: str) -> range:
    """Return the variations of a kind of task in a split: two quarters train, one dev, and what is left test."""
    quarter = VARIATIONS[kind] // 4
    ends = {"train": (0, 2 * quarter), "dev": (2 * quarter, 3 * quarter), "test": (3 * quarter, VARIATIONS[kind])}
    return range(*ends[split])
