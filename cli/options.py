"""Flags that several commands share, and the configuration they add up to."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from ..config import RunConfig
from ..config_tree import parse_assignment
from ..errors import ConfigError
from ..evals.baselines import baseline

ConfigFile = Annotated[Path | None, typer.Option("--config", "-c", help="TOML file; flags win over it.")]
Set = Annotated[
    list[str] | None, typer.Option("--set", "-s", help="Any setting, e.g. --set solver.history=5. Repeatable.")
]
TasksetName = Annotated[
    str | None, typer.Option("--taskset", "-t", help="A registered taskset (`lamarck env list`) or module:Class.")
]
Split = Annotated[str | None, typer.Option(help="Which split to play.")]
Data = Annotated[
    str | None, typer.Option(help="Where the taskset's data is; for alfworld a folder in the ALFWORLD_DATA layout.")
]
Limit = Annotated[int | None, typer.Option(help="Play at most this many tasks.")]
ModelName = Annotated[
    str | None,
    typer.Option(
        "--model",
        "-m",
        help="embedded, embedded:FOLDER, vllm:FOLDER, random, first, follower, expert, or litellm's.",
    ),
]
Adapter = Annotated[
    str | None, typer.Option("--adapter", help="Folder of an adapter that `lamarck train` made on this model.")
]
ApiBase = Annotated[str | None, typer.Option(help="URL of an OpenAI-compatible server.")]
Protocol = Annotated[str | None, typer.Option(help="choice, text, tools or react.")]
Samples = Annotated[int | None, typer.Option("--samples", "-n", help="Independent attempts at each task.")]
Allocate = Annotated[
    str | None,
    typer.Option(
        help="uniform, or blend: questions whose most frequent answer is least certain get more of --samples x tasks."
    ),
]
Concurrency = Annotated[int | None, typer.Option("--concurrency", "-j", help="Episodes at once.")]
Seed = Annotated[int | None, typer.Option(help="Seed of all sampling.")]
MaxSteps = Annotated[int | None, typer.Option(help="Steps per episode.")]
Memory = Annotated[
    str | None, typer.Option("--memory", help="Folder of a memory to recall from (and, with `run`, to learn into).")
]
MemoryMode = Annotated[str | None, typer.Option(help="off, read (frozen) or learn.")]
Baseline = Annotated[
    str | None, typer.Option(help="A baseline by its name, e.g. react; `lamarck baselines` lists them.")
]
Release = Annotated[
    str | None,
    typer.Option("--release", help="Play exactly this release: HOME (its head) or HOME@ID; see `lamarck release`."),
]
Out = Annotated[Path | None, typer.Option("--out", "-o", help="Run directory; made up from the time if not given.")]
Resume = Annotated[bool, typer.Option("--resume", help="Go on with the run in --out.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of tables.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress, only the result.")]


@dataclass(frozen=True)
class Flags:
    """The shared flags as given; None means not given."""

    config: Path | None = None
    assignments: list[str] | None = None
    taskset: str | None = None
    split: str | None = None
    data: str | None = None
    limit: int | None = None
    model: str | None = None
    api_base: str | None = None
    protocol: str | None = None
    samples: int | None = None
    concurrency: int | None = None
    seed: int | None = None
    max_steps: int | None = None
    memory: str | None = None
    memory_mode: str | None = None
    baseline: str | None = None
    adapter: str | None = None
    release: str | None = None
    allocate: str | None = None

    def resolve(self, base: Path | None = None) -> RunConfig:
        """Return the configuration: `base` or the file, then the baseline, then --set, then the flags.

        With a release, all that it decides is the release's; setting it otherwise is refused.

        A run that is resumed (`base`) has its baseline's settings already, as changed when it was started.

        Raises:
            ConfigError: a key or value is wrong, what was set is not what the baseline is, or settings contradict
                each other.
        """
        overrides: dict[str, Any] = {}
        if self.baseline is not None:
            overrides = {} if base is not None else dict(baseline(self.baseline).settings)
            overrides["baseline"] = self.baseline
        overrides |= dict(parse_assignment(text) for text in self.assignments or [])
        named = {
            "taskset.name": self.taskset,
            "taskset.split": self.split,
            "taskset.options.data": self.data,
            "taskset.limit": self.limit,
            "model.name": self.model,
            "model.adapter": self.adapter,
            "model.api_base": self.api_base,
            "solver.protocol": self.protocol,
            "solver.max_steps": self.max_steps,
            "collect.samples": self.samples,
            "collect.allocate": self.allocate,
            "collect.concurrency": self.concurrency,
            "collect.seed": self.seed,
            "memory.path": self.memory,
            "memory.mode": self.memory_mode,
            "release": self.release,
        }
        overrides |= {key: value for key, value in named.items() if value is not None}
        config = RunConfig.load(self.config or base, overrides)
        if config.collect.allocate == "blend" and config.collect.samples == 1:
            raise ConfigError(
                "collect.allocate = blend has nothing to allocate where each task has one sample.",
                hint="Give the mean number of samples per task by --samples, 2 or more.",
            )
        if config.release is not None:
            # Imported here: few runs are of a release, and this opens a database.
            from .release_play import same_release, with_release

            if base is not None and self.release is not None:
                same_release(base, self.release)
            config = with_release(config)
        if config.baseline is not None:
            baseline(config.baseline).check(config)
        return config


def progress_console(silent: bool) -> Console:
    """Return a console on stderr for progress bars; silent when only JSON is wanted."""
    return Console(stderr=True, quiet=silent)
