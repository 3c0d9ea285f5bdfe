"""`lamarck eval`: play a split and report on it, report on a run that is there, or repeat an evaluation by its file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from ..config import RunConfig
from ..config_tree import parse_assignment
from ..errors import ConfigError
from ..evals.figures.at_k import usual_ks
from ..evals.figures.compare import MAX_INFRASTRUCTURE
from ..evals.figures.curves import WINDOW
from ..evals.figures.differences import differences
from ..evals.figures.evaluation import Described, Evaluation
from ..rundir import RunDirectory
from ..weights import read_manifest
from . import options as o
from .evaluate_report import Asked, Report
from .play import accepted, play, prepare, sentence
from .tables import console, print_json

__all__ = ["Report", "evaluate"]


def evaluate(
    run: Annotated[Path | None, typer.Argument(help="Report on this run instead of playing.")] = None,
    config: o.ConfigFile = None,
    taskset: o.TasksetName = None,
    split: o.Split = None,
    data: o.Data = None,
    limit: o.Limit = None,
    model: o.ModelName = None,
    adapter: o.Adapter = None,
    api_base: o.ApiBase = None,
    protocol: o.Protocol = None,
    samples: o.Samples = None,
    allocate: o.Allocate = None,
    concurrency: o.Concurrency = None,
    seed: o.Seed = None,
    max_steps: o.MaxSteps = None,
    memory: o.Memory = None,
    memory_mode: o.MemoryMode = None,
    baseline: o.Baseline = None,
    release: o.Release = None,
    settings: o.Set = None,
    out: o.Out = None,
    resume: o.Resume = False,
    again: Annotated[
        Path | None, typer.Option("--again", help="Repeat the evaluation of this evaluation.json, or of this run.")
    ] = None,
    k: Annotated[str | None, typer.Option("--k", help="Show pass@k and the like for these, e.g. 1,2,4.")] = None,
    window: Annotated[int, typer.Option(min=1, help="Episodes averaged in the learning curve.")] = WINDOW,
    seen: Annotated[
        list[Path] | None, typer.Option("--seen", help="Run, memory or store learned from, to look for overlap.")
    ] = None,
    max_infrastructure: Annotated[
        float, typer.Option(min=0.0, max=1.0, help="Share of samples without an outcome that is put up with.")
    ] = MAX_INFRASTRUCTURE,
    as_json: o.Json = False,
    quiet: o.Quiet = False,
) -> None:
    """Report success with 95 % intervals per task type, steps, tokens, cost and invalid actions.

    With RUN, nothing is played. Without it, the split is played first, as `lamarck run` does. With --again, exactly
    what an evaluation.json describes is played, and what cannot be the same is said.
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
        baseline,
        adapter,
        release,
        allocate,
    )
    asked = Asked(k=_ks(k), window=window, seen=tuple(seen or ()), max_infrastructure=max_infrastructure)
    repeated: Evaluation | None = None
    if run is not None:
        if flags != o.Flags() or again is not None or out is not None or resume:
            raise ConfigError("lamarck eval RUN reports on a finished run and takes no flags that change how to play.")
        directory = RunDirectory(run)
        resolved = directory.load_config()
    else:
        if again is not None:
            repeated, directory, resolved = _again(again, flags, out, resume)
        else:
            directory, resolved = prepare(flags, out, resume)
        _play(resolved, directory, repeated, resume=resume, quiet=quiet, as_json=as_json)
    _report(resolved, directory, repeated, asked, as_json=as_json)


def _play(
    config: RunConfig, directory: RunDirectory, repeated: Evaluation | None, *, resume: bool, quiet: bool, as_json: bool
) -> None:
    """Play the split, and say how that ended where not all of it was played."""
    said = None if repeated is None else _say_differences(repeated, quiet=quiet or as_json)
    result, counted = play(config, directory, resume=resume, quiet=quiet or as_json, described=said)
    if not as_json and (result.failed or result.interrupted or result.stopped_by):
        console().print(sentence(directory, result, counted, accepted(config, directory)), markup=False)


def _report(
    config: RunConfig, directory: RunDirectory, repeated: Evaluation | None, asked: Asked, *, as_json: bool
) -> None:
    """Print the figures of a run that is there."""
    # Where hard questions have more samples than easy ones, only what all of them have says something of all.
    alike = config.collect.samples if config.collect.allocate == "uniform" else 1
    report = Report.of(config, directory, replace(asked, k=asked.k or usual_ks(alike)))
    if repeated is not None:
        report.repeats(repeated)
    if as_json:
        print_json(report.as_dict())
    else:
        report.print()


def _again(file: Path, flags: o.Flags, out: Path | None, resume: bool) -> tuple[Evaluation, RunDirectory, RunConfig]:
    """Return an evaluation, where it is repeated, and the configuration that does; its tasks are checked.

    Raises:
        ConfigError: a flag would change what is evaluated, or the tasks are not those that were.
    """
    # Imported here, as in `play`: wiring pulls in LangGraph.
    from ..agent.tasksets import load_taskset
    from .wire import select

    free = o.Flags(
        assignments=flags.assignments,
        data=flags.data,
        api_base=flags.api_base,
        concurrency=flags.concurrency,
        memory=flags.memory,
        memory_mode=flags.memory_mode if flags.memory is not None else None,
        adapter=flags.adapter,
    )
    if flags != free or flags.memory_mode == "learn":
        raise ConfigError(
            "--again plays what the file says; it takes only --data, --api-base, --memory, --adapter, -j, --set and "
            "--out.",
            hint="Leave the other flags out, or play without --again.",
        )
    evaluation = Evaluation.read(file)
    if flags.memory is not None and evaluation.settings.get("memory.mode") == "off":
        raise ConfigError(f"evaluation {evaluation.id[:12]} was made without a memory.", hint="Leave out --memory.")
    places = {
        "taskset.options.data": flags.data,
        "model.api_base": flags.api_base,
        "collect.concurrency": flags.concurrency,
        "memory.path": flags.memory,
        "model.adapter": flags.adapter,
    }
    given = {key: value for key, value in places.items() if value is not None}
    resolved = evaluation.config({**dict(parse_assignment(text) for text in flags.assignments or []), **given})
    _check_adapter(evaluation, resolved.model.adapter)
    taskset = load_taskset(resolved.taskset.name, resolved.taskset.options)
    try:
        tasks = select(taskset, resolved.taskset)
    except ConfigError as error:
        raise ConfigError(
            f"this is not what evaluation {evaluation.id[:12]} was made on: {error.message}",
            hint="Name the data it was made with by --data DIR.",
        ) from error
    evaluation.check(taskset, resolved.taskset, tasks)
    return evaluation, _repeat_directory(evaluation, out, resume), resolved


def _check_adapter(evaluation: Evaluation, folder: str | None) -> None:
    """Make sure that the folder holds the adapter with which an evaluation was made.

    Raises:
        ConfigError: it is gone, another or damaged, or there was none.
    """
    name, wanted = f"evaluation {evaluation.id[:12]}", evaluation.release.adapter
    if wanted is None:
        if folder is not None:
            raise ConfigError(f"{name} was made without an adapter.", hint="Leave out --adapter.")
        return
    hint = "Name the folder where it is now by --adapter DIR."
    if folder is None:
        raise ConfigError(f"{name} was made with adapter {wanted[:12]}, and does not say where it is.", hint=hint)
    try:
        found = read_manifest(folder).id
    except ConfigError as error:
        raise ConfigError(f"{name} was made with adapter {wanted[:12]}: {error.message}", hint=hint) from error
    if found != wanted:
        raise ConfigError(f"{name} was made with adapter {wanted[:12]}, and {folder} holds {found[:12]}.", hint=hint)


def _repeat_directory(evaluation: Evaluation, out: Path | None, resume: bool) -> RunDirectory:
    folder = out if out is not None else Path("runs") / f"again-{evaluation.id[:12]}"
    directory = RunDirectory(folder)
    if out is None and not resume:
        number = 2
        while directory.exists():
            directory, number = RunDirectory(f"{folder}-{number}"), number + 1
    return directory


def _say_differences(old: Evaluation, *, quiet: bool) -> Described:
    def said(new: Evaluation) -> None:
        lines = differences(old, new)
        screen = o.progress_console(quiet)
        if not lines:
            screen.print(f"repeats evaluation {old.id[:12]}: nothing is different", style="dim", markup=False)
        for line in lines:
            screen.print(f"cannot be the same as evaluation {old.id[:12]}: {line}", style="yellow", markup=False)

    return said


def _ks(text: str | None) -> Sequence[int]:
    try:
        ks = tuple(sorted({int(part) for part in text.split(",")})) if text is not None else ()
    except ValueError:
        ks = (0,)
    if any(one < 1 for one in ks):
        raise ConfigError(f"--k {text!r} is no list of whole numbers from 1 on, such as 1,2,4.")
    return ks
