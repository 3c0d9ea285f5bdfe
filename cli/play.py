"""`lamarck run`: collect episodes into a run directory."""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import asdict
from pathlib import Path

import typer

from ..agent.events import RunResult
from ..config import RunConfig
from ..evals.figures.evaluation import Described
from ..evals.metrics import Tally
from ..rundir import RunDirectory
from ..store import Store
from . import options as o
from .accepted import Accepted, accepted_in
from .tables import console, print_json
from .watch import Watch


def run(
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
    as_json: o.Json = False,
    quiet: o.Quiet = False,
) -> None:
    """Play the tasks of a split and store every step.

    Ctrl-C stops cleanly; `lamarck run --resume --out DIR` goes on, also after a crash or kill -9.
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
        memory_mode or ("learn" if memory is not None and not resume else None),
        baseline,
        adapter,
        release,
        allocate,
    )
    directory, resolved = prepare(flags, out, resume)
    result, tally = play(resolved, directory, resume=resume, quiet=quiet or as_json)
    if as_json:
        print_json(summary(directory, result, tally, accepted(resolved, directory)))
    else:
        said = sentence(directory, result, tally, accepted(resolved, directory))
        console().print(said, markup=False, highlight=False)
    if result.failed or result.stopped_by or result.interrupted:
        raise typer.Exit(130 if result.interrupted else 1)


def prepare(flags: o.Flags, out: Path | None, resume: bool) -> tuple[RunDirectory, RunConfig]:
    """Return the directory and the configuration; a resumed run starts from its own `run.toml`."""
    if out is not None and resume and RunDirectory(out).exists():
        directory = RunDirectory(out)
        return directory, flags.resolve(base=directory.config_path)
    config = flags.resolve()
    if out is None:
        stamp = time.strftime("%Y%m%d-%H%M%S")
        name = "".join(c if c.isalnum() or c in "-." else "-" for c in f"{config.taskset.name}-{label(config)}")
        out = Path("runs") / f"{stamp}-{name}"
    return RunDirectory(out), config


def label(config: RunConfig) -> str:
    """Return what plays, in a word or two: the model, behind its baseline where that is not the model itself."""
    name = config.model.name
    return name if config.baseline in (None, name) else f"{config.baseline} {name}"


def play(
    config: RunConfig, directory: RunDirectory, *, resume: bool, quiet: bool, described: Described | None = None
) -> tuple[RunResult, Tally]:
    """Play a run to its end or interruption and return how it went.

    Args:
        config: the resolved configuration.
        directory: of the run.
        resume: go on with the run in it.
        quiet: show failures only.
        described: told what is about to be played, before the first episode.

    Raises:
        LamarckError: something is missing or wrong.
    """
    # Imported here: wiring pulls in LangGraph, which `lamarck --help` can do without.
    from .release_play import check_release
    from .wire import collect

    check_release(config)
    directory.create(config, resume=resume)
    with directory.lock(), directory.logging(), Store.open(directory.store_url(config)) as store:
        with Watch(f"{config.taskset.name}/{config.taskset.split} {label(config)}", quiet=quiet) as watch:
            notify = None if quiet else watch.say
            result = asyncio.run(collect(config, directory, store, watch, notify, described))
        return result, watch.tally


def accepted(config: RunConfig, directory: RunDirectory) -> Accepted | None:
    """Return what its verifier made of a run whose truth is withheld, None of any other."""
    return accepted_in(directory) if config.verify.withhold else None


def summary(
    directory: RunDirectory, result: RunResult, tally: Tally, told: Accepted | None = None
) -> dict[str, object]:
    """Return what `--json` prints; `told` where the truth is withheld."""
    withheld = {} if told is None else {"truth": "withheld", "accepted": asdict(told)}
    return {
        "run": str(directory.path),
        "run_id": directory.run_id,
        "total": result.total,
        "already": result.already,
        "finished": result.finished,
        "failed": result.failed,
        "spared": result.spared,
        "interrupted": result.interrupted,
        "stopped_by": result.stopped_by or None,
        "seconds": round(result.seconds, 3),
        "replays": result.replays.model_dump(),
        "this_time": json.loads(json.dumps(tally.as_dict())),
        **withheld,
    }


def sentence(directory: RunDirectory, result: RunResult, tally: Tally, told: Accepted | None = None) -> str:
    """Return what happened and what can be done next, in a few lines; `told` where the truth is withheld."""
    won = f"{tally.successes} solved, " if told is None else ""
    lines = [
        f"{result.finished} episodes in {result.seconds:.1f} s, {won}{tally.steps} steps; "
        f"{result.already + result.finished} of {result.total} finished in {directory.path}"
    ]
    if told is not None:
        lines.append(f"{told.sentence()[0].upper()}{told.sentence()[1:]}.")
    if result.replays.calls:
        used = f"{result.replays.tokens:,} tokens, {result.replays.cost_usd:.4f} USD"
        lines.append(f"New tools were tried on their tasks with {result.replays.calls} model calls ({used}).")
    if result.spared:
        lines.append(f"{result.spared} samples of the budget were not needed: the most frequent answers are clear.")
    if result.failed:
        lines.append(f"{result.failed} given up after infrastructure failures; they have no reward.")
    if result.stopped_by:
        lines.append(f"Stopped by {result.stopped_by}.")
    if result.interrupted or result.stopped_by or result.failed:
        lines.append(f"Go on with: lamarck run --resume --out {directory.path}")
    else:
        lines.append(f"Look at it with: lamarck eval {directory.path}   or   lamarck show {directory.path}")
    return "\n".join(lines)
