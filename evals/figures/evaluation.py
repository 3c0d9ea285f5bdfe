"""One evaluation as a small file: what was evaluated, on what, how; by its hash it can be repeated.

It is written beside `run.toml`. The id is a hash of everything in it but where things are and when it was made.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, JsonValue, ValidationError

from ... import __version__
from ...config import RunConfig, TasksetConfig
from ...config_tree import place
from ...core import Release, Task, Wire, content_id
from ...errors import ConfigError, StoreError
from ...rundir import FREE, flatten
from ...seams import Taskset
from ...task_contents import EVALUATION, is_place
from ..metrics import split_hash
from .contents import copies, data_name, task_names
from .differences import changed_policy, changed_tasks
from .settings import PLACES, UNSEEN, counts, is_secret

FILE = EVALUATION
NEW_MEMORY = "new, learning"
"""What a release calls a memory that was empty when the run began, and learned in it."""


class Budget(Wire):
    """What one episode may use; None is without limit."""

    max_steps: int
    max_tokens: int | None = None
    max_cost_usd: float | None = None
    max_seconds: float | None = None


class Seeds(Wire):
    """Where chance begins."""

    tasks: int = 0
    """Selects and orders the tasks, where the taskset draws them."""
    sampling: int = 0
    """Of everything else; an episode's own seed follows from it, the task and the sample."""


class Evaluation(Wire):
    """Frozen release, tasks, seeds and budget."""

    schema_version: Literal[1] = 1
    id: str = ""
    release: Release
    taskset: str
    options: dict[str, JsonValue] = Field(default_factory=dict)
    """Of the taskset, without where its data is."""
    data: str | None = None
    """Hash of the data that the tasks do not name one by one."""
    split: str
    split_hash: str
    """Hash of the task ids, whatever their order."""
    tasks: dict[str, str]
    """Task id to a hash of its contents, in the order played; a limit or a choice of ids is resolved here."""
    files: dict[str, str] = Field(default_factory=dict)
    """Task id to a hash of its file that a copy under another name has too; of tasks that are files. Not part of the
    id, as the tasks are."""
    seeds: Seeds = Seeds()
    samples: int = 1
    budget: Budget
    settings: dict[str, JsonValue] = Field(default_factory=dict)
    """All other settings that change results, as dotted keys, also those at their defaults."""
    version: str
    """Of this package."""
    places: dict[str, JsonValue] = Field(default_factory=dict)
    """Where things were, as dotted keys. Not part of the id."""
    created_at: float = 0.0

    @classmethod
    def of(cls, config: RunConfig, taskset: Taskset, tasks: Sequence[Task], release: Release) -> Evaluation:
        """Describe what is about to be played.

        Args:
            config: the resolved configuration.
            taskset: as it was loaded.
            tasks: those that will be played, in order.
            release: what the agent inherits.

        Raises:
            ConfigError: a data file cannot be read, or two tasks have one id.
        """
        flat = flatten(config.model_dump(mode="json", exclude={"taskset"}))
        options = config.taskset.options
        places = {key: flat.get(key) for key in PLACES if flat.get(key) is not None}
        places |= {f"taskset.options.{key}": value for key, value in options.items() if is_place(key, value)}
        own = {f"solver.{name}" for name in Budget.model_fields} | {"collect.samples", "collect.seed"}
        draft = cls(
            release=release,
            taskset=config.taskset.name,
            options={key: value for key, value in options.items() if not is_place(key, value)},
            data=data_name(taskset, options),
            split=config.taskset.split,
            split_hash=split_hash([task.id for task in tasks]),
            tasks=task_names(taskset, tasks),
            files=copies(taskset, tasks),
            seeds=Seeds(tasks=config.taskset.seed, sampling=config.collect.seed),
            samples=config.collect.samples,
            budget=Budget(**{name: getattr(config.solver, name) for name in Budget.model_fields}),
            settings={key: flat[key] for key in sorted(flat) if key not in own and counts(key, config)},
            places={key: value for key, value in sorted(places.items()) if not is_secret(value)},
            version=__version__,
            created_at=round(time.time(), 3),
        )
        return draft.model_copy(update={"id": draft.hashed()})

    def hashed(self) -> str:
        """Return the id that the contents have; a field that a later version adds does not change it.

        The order of the tasks counts where a memory learned from one to the next.
        """
        skip: Any = {"id": True, "files": True, "places": True, "created_at": True, "release": {"created_at"}}
        plain = self.model_dump(mode="json", exclude=skip, exclude_defaults=True)
        return content_id(plain, list(self.tasks)) if self.learns else content_id(plain)

    @property
    def learns(self) -> bool:
        """Whether a memory learned while it was played."""
        return self.settings.get("memory.mode") == "learn"

    @property
    def planned(self) -> int:
        """How many samples there are."""
        return len(self.tasks) * self.samples

    def config(self, overrides: Mapping[str, Any] | None = None) -> RunConfig:
        """Return the configuration that repeats this, on exactly these tasks.

        Args:
            overrides: dotted keys of settings that change no result: places, and how a run gets on.

        Raises:
            ConfigError: an override would make it another evaluation, or a setting is not known any more.
        """
        for key, value in (overrides or {}).items():
            if not self._may_differ(key, value):
                raise ConfigError(
                    f"{key} would make it another evaluation.", hint="Leave it out, or play without --again."
                )
        budget = {f"solver.{key}": value for key, value in self.budget}
        # A memory that was new must be new again: by now there is in it what was learned.
        new = self.learns and self.release.memory_snapshot == NEW_MEMORY
        gone = {"memory.path", "memory.store"} if new else set()
        places = {key: value for key, value in self.places.items() if key not in gone}
        flat: dict[str, Any] = {**self.settings, **budget, **places, **(overrides or {})}
        tree: dict[str, Any] = {}
        flat |= {"collect.samples": self.samples, "collect.seed": self.seeds.sampling}
        for key, value in flat.items():
            place(tree, key, value)
        task = tree.setdefault("taskset", {})
        task |= {"name": self.taskset, "split": self.split, "seed": self.seeds.tasks, "ids": list(self.tasks)}
        task["options"] = {**self.options, **task.get("options", {})}
        return RunConfig.load(None, tree)

    def _may_differ(self, key: str, value: JsonValue) -> bool:
        """Say whether a setting can be another one in a repeat: a place, or how a run gets on."""
        option = key.removeprefix("taskset.options.")
        if option != key:
            return key in self.places or is_place(option, value)
        return key in FREE | PLACES | UNSEEN and key != "baseline"

    def check(self, taskset: Taskset, config: TasksetConfig, tasks: Sequence[Task]) -> None:
        """Make sure that these are the tasks that were evaluated.

        Raises:
            ConfigError: tasks are missing or have changed; it says which.
        """
        names = task_names(taskset, tasks)
        missing = [ident for ident in self.tasks if ident not in names]
        changed = [ident for ident, name in self.tasks.items() if names.get(ident, name) != name]
        for what, ids in (("are missing", missing), ("have changed", changed)):
            if ids:
                raise ConfigError(
                    f"this is not evaluation {self.id[:12]}: {len(ids)} of its {len(self.tasks)} tasks {what}, "
                    f"the first is {ids[0]}.",
                    hint="Name the data it was made with by --data DIR.",
                )
        data = data_name(taskset, config.options)
        if data != self.data:
            raise ConfigError(
                f"this is not evaluation {self.id[:12]}: the data of taskset {self.taskset} were {self.data} and are "
                f"{data} now.",
                hint="Name the data it was made with by --data DIR.",
            )

    def write(self, folder: Path) -> Path:
        """Write `evaluation.json` into a folder, whole or not at all.

        Raises:
            StoreError: it cannot be written.
        """
        target = folder / FILE
        temporary = target.with_name(FILE + ".tmp")
        try:
            temporary.write_text(self.model_dump_json(indent=2) + "\n", encoding="utf-8")
            temporary.replace(target)
        except OSError as error:
            raise StoreError(f"cannot write {target}: {error.strerror}.") from error
        return target

    @classmethod
    def read(cls, path: Path) -> Evaluation:
        """Read one from a file, or from the folder of a run.

        Raises:
            ConfigError: there is none, it is damaged, or it was changed and bears an id that is not its own.
        """
        file = path / FILE if path.is_dir() else path
        try:
            found = cls.model_validate_json(file.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError) as error:
            hint = "Runs of earlier versions wrote none: play such a run anew with its run.toml as --config."
            raise ConfigError(
                f"cannot read evaluation {file}: {getattr(error, 'strerror', None) or error}.", hint=hint
            ) from error
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            where = ".".join(map(str, first["loc"])) or "the file"
            raise ConfigError(f"{file} is no evaluation: {where}: {first['msg'].lower()}.") from None
        if found.hashed() != found.id:
            raise ConfigError(f"{file} was changed after it was written: its contents do not have the id it bears.")
        return found


Described = Callable[[Evaluation], None]
"""Told what is about to be played."""


def record(folder: Path, evaluation: Evaluation) -> Evaluation:
    """Write the evaluation into the folder of a run; return the one that is there, where the run is resumed.

    Raises:
        ConfigError: the run was begun on other tasks, or with other weights.
        StoreError: it cannot be written.
    """
    if not (folder / FILE).exists():
        evaluation.write(folder)
        return evaluation
    begun = Evaluation.read(folder)
    if changed_weights := changed_policy(begun, evaluation):
        raise ConfigError(f"cannot resume {folder}: {changed_weights}.", hint="Bring it back, or start a new run.")
    changed = changed_tasks(begun, evaluation)
    if changed or begun.data != evaluation.data:
        what = changed[0] if changed else "the data of the taskset have changed"
        raise ConfigError(
            f"cannot resume {folder}: {what}.", hint="Bring back the data it was begun with, or start a new run."
        )
    return begun
