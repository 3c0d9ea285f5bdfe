"""What may have been seen before: by the model, since a set is public, or by the agent, in memory or training."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from pydantic import JsonValue

from ...core import Item, Task, content_id
from ...errors import ConfigError
from ...rundir import RunDirectory
from ...store import Store
from ...task_contents import said

PUBLIC = {
    "alfworld": "ALFWorld's games are public since 2020",
    "hotpotqa": "HotpotQA is public since 2018",
    "mbpp": "MBPP is public since 2021",
    "scienceworld": "ScienceWorld's tasks are public since 2022",
    "webshop": "WebShop's products and goals are public since 2022",
}
"""Tasksets whose tasks can be found on the web."""
MADE = frozenset({"household"})
"""Tasksets that make their tasks from a seed."""
MADE_WITHOUT_DATA = frozenset({"questions", "webshop"})
"""Tasksets that make their tasks from a seed where no data is given."""


@dataclass(frozen=True, slots=True)
class Overlap:
    """How many of the evaluated tasks are among those that something else saw."""

    where: str
    tasks: int
    """Different tasks that were seen there."""
    same_id: int
    same_content: int
    same_goal: int
    """Tasks whose goal reads the same; in generated sets that is common and no leak by itself."""
    items: int = 0
    """Memory items there."""


@dataclass(frozen=True, slots=True)
class Contamination:
    """What is known of earlier sight of the evaluated tasks."""

    public: str
    overlaps: tuple[Overlap, ...] = ()
    notes: tuple[str, ...] = field(default=())

    def as_dict(self) -> dict[str, object]:
        """Return everything as JSON-serialisable values."""
        return asdict(self)

    def lines(self) -> list[str]:
        """Return it as sentences."""
        lines = [self.public, *self.notes]
        for one in self.overlaps:
            held = f" and {one.items} memory items" if one.items else ""
            lines.append(
                f"{one.where} saw {one.tasks} tasks{held}: {one.same_id} of the evaluated ones by id, "
                f"{one.same_content} by content, {one.same_goal} by the words of the goal."
            )
        return lines


def contamination(
    taskset: str,
    options: Mapping[str, JsonValue],
    tasks: Mapping[str, Task],
    *,
    memory_mode: str = "off",
    memory: Path | None = None,
    seen: Iterable[Path] = (),
    samples: int = 1,
) -> Contamination:
    """Say what may have been seen before.

    Args:
        taskset: its name.
        options: its options.
        tasks: the evaluated ones by id.
        memory_mode: `off`, `read` or `learn`.
        memory: folder of the memory that was used.
        seen: runs, memories or stores that the agent learned from.
        samples: samples per task.

    Raises:
        ConfigError, StoreError: one of them is not there or cannot be read.
    """
    places = [memory] if memory is not None and memory_mode != "off" and (memory / "store.db").exists() else []
    overlaps = [overlap(path, tasks) for path in [*places, *seen]]
    notes = []
    if memory_mode == "learn":
        notes.append(
            "The memory learned during this run; its episodes are a learning curve, not one state of the agent."
        )
        if samples > 1:
            notes.append("Later samples of a task could recall earlier ones of the same task.")
    if places and not seen:
        notes.append("A memory keeps no tasks, only goals; name the runs it learned from with --seen to compare tasks.")
    return Contamination(public(taskset, options), tuple(overlaps), tuple(notes))


def public(taskset: str, options: Mapping[str, JsonValue]) -> str:
    """Return whether a model may have been trained on a taskset, as a sentence."""
    if taskset in MADE or (taskset in MADE_WITHOUT_DATA and options.get("data") is None):
        return f"The tasks of {taskset} are made from a seed; a model may know their form, not these tasks."
    if taskset in PUBLIC:
        return f"{PUBLIC[taskset]}: a model may have been trained on them."
    if taskset == "questions":
        return "The questions come from a file; if it is public, as GSM8K is, a model may have been trained on it."
    return f"Whether the tasks of {taskset} are public is not known here."


def overlap(path: Path, tasks: Mapping[str, Task]) -> Overlap:
    """Return how many of these tasks a run, a memory or a store has seen.

    Raises:
        ConfigError: there is no store.
        StoreError: it cannot be read.
    """
    with Store.open(store_of(path), create=False) as store:
        known = store.tasks()
        items = [Item.model_validate_json(row[0]) for row in store.select("SELECT body FROM items")]
    ids = {task.id for task in known}
    contents = {content_id(said(task)) for task in known}
    goals = {task.goal.casefold() for task in known} | {item.applies.casefold() for item in items}
    return Overlap(
        where=str(path),
        tasks=len(contents),
        same_id=sum(ident in ids for ident in tasks),
        same_content=sum(content_id(said(task)) in contents for task in tasks.values()),
        same_goal=sum(bool(task.goal) and task.goal.casefold() in goals for task in tasks.values()),
        items=len(items),
    )


def store_of(path: Path) -> str:
    """Return where the store of a run, a memory or a folder with a store is.

    Raises:
        ConfigError: there is none.
    """
    directory = RunDirectory(path)
    if directory.exists():
        return directory.store_url(directory.load_config())
    if path.is_dir() and not (path / "store.db").exists():
        raise ConfigError(f"{path} is no run, no memory and no store.", hint="Name a folder that holds store.db.")
    return str(path / "store.db" if path.is_dir() else path)
