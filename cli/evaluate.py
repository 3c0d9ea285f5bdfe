"""`lamarck eval`: play a split and report on it, or report on a run that is there."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from ..config import RunConfig
from ..core import Release
from ..errors import ConfigError
from ..evals.metrics import Tally, split_hash, tally
from ..rundir import RunDirectory
from ..store import Store
from ..tools.made_convergence import Convergence, convergence
from ..tools.made_log import ToolLog
from . import options as o
from .play import play, prepare, sentence
from .tables import console, print_json, results_table, totals
from .wire_made import tools_store


def evaluate(
    run: Annotated[Path | None, typer.Argument(help="Report on this run instead of playing.")] = None,
    config: o.ConfigFile = None,
    taskset: o.TasksetName = None,
    split: o.Split = None,
    data: o.Data = None,
    limit: o.Limit = None,
    model: o.ModelName = None,
    api_base: o.ApiBase = None,
    protocol: o.Protocol = None,
    samples: o.Samples = None,
    concurrency: o.Concurrency = None,
    seed: o.Seed = None,
    max_steps: o.MaxSteps = None,
    memory: o.Memory = None,
    memory_mode: o.MemoryMode = None,
    settings: o.Set = None,
    out: o.Out = None,
    resume: o.Resume = False,
    as_json: o.Json = False,
    quiet: o.Quiet = False,
) -> None:
    """Report success with 95 % intervals per task type, steps, tokens, cost and invalid actions.

    With RUN, nothing is played. Without it, the split is played first, as `lamarck run` does.
    """
    flags = o.Flags(
        config,
        settings,
        taskset,
        split,
        data,
        limit,
        model,
        api_base,
        protocol,
        samples,
        concurrency,
        seed,
        max_steps,
        memory,
        memory_mode or ("read" if memory is not None and not resume else None),
    )
    if run is not None:
        if flags != o.Flags():
            raise ConfigError("lamarck eval RUN reports on a finished run and takes no flags that change how to play.")
        directory = RunDirectory(run)
        resolved = directory.load_config()
    else:
        directory, resolved = prepare(flags, out, resume)
        result, counted = play(resolved, directory, resume=resume, quiet=quiet or as_json)
        if not as_json and (result.failed or result.interrupted or result.stopped_by):
            console().print(sentence(directory, result, counted), markup=False)
    report = Report.of(resolved, directory)
    if as_json:
        print_json(report.as_dict())
    else:
        report.print()


class Report:
    """The figures of one run, with what is needed to believe and repeat them."""

    def __init__(self, config: RunConfig, directory: RunDirectory, release: Release | None) -> None:
        self.config, self.directory, self.release = config, directory, release
        self.total, self.categories = Tally(), dict[str, Tally]()
        self.task_ids: set[str] = set()
        self.made: Convergence | None = None

    @classmethod
    def of(cls, config: RunConfig, directory: RunDirectory) -> Report:
        """Read the run's trajectories and add them up."""
        with Store.open(directory.store_url(config), create=False) as store:
            run_id = directory.run_id
            found = list(store.headers(run_id=run_id))
            if not found:
                raise ConfigError(f"run {directory.path} has no finished episode yet.")
            release_id = found[0].release_id
            report = cls(config, directory, store.get_release(release_id) if release_id else None)
            report.total, report.categories = tally(store.trajectories(run_id=run_id))
            report.task_ids = {trajectory.task.id for trajectory in found}
        if config.tools.make:
            with Store.open(tools_store(config, directory), create=False) as tools:
                report.made = convergence(ToolLog(tools).entries())
        return report

    def facts(self) -> dict[str, object]:
        """Return where the figures come from."""
        task, model, solver = self.config.taskset, self.config.model, self.config.solver
        return {
            "run": str(self.directory.path),
            "run_id": self.directory.run_id,
            "taskset": task.name,
            "split": task.split,
            "tasks": len(self.task_ids),
            "split_hash": split_hash(sorted(self.task_ids)),
            "seed": self.config.collect.seed,
            "samples": self.config.collect.samples,
            "model": self.release.base_model if self.release else model.name,
            "release": self.release.id if self.release else None,
            "protocol": solver.protocol,
            "temperature": model.temperature,
            "max_steps": solver.max_steps,
            "on_loop": solver.on_loop,
            "grammar": "+".join(sorted(self.total.grammars)) or None,
        }

    def as_dict(self) -> dict[str, object]:
        """Return facts and figures as JSON-serialisable values."""
        categories = {name: part.as_dict() for name, part in self.categories.items()}
        made = {"made_tools": {**asdict(self.made), "new_per_call": self.made.total}} if self.made else {}
        return {**self.facts(), "all": self.total.as_dict(), "categories": categories, **made}

    def print(self) -> None:
        """Print the table and, under it, where the figures come from."""
        out = console()
        rows = {**self.categories, "all": self.total}
        out.print(results_table(f"{self.config.taskset.name} {self.config.taskset.split}", rows))
        facts = {key: value for key, value in self.facts().items() if value is not None}
        for line in totals(self.total):
            out.print(line, markup=False)
        if self.made is not None:
            rate = "-" if self.made.total is None else f"{self.made.total:.3f}"
            line = f"{self.made.tools} tools made and {self.made.calls} calls of them so far: {rate} new tools per call"
            out.print(line, markup=False)
        out.print("   ".join(f"{key} {value}" for key, value in facts.items()), style="dim", markup=False)
