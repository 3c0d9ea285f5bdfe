"""`lamarck train live`: play, train on what was played, play with what was trained, and so on."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from ..config import RunConfig
from ..config_training import TrainConfig
from ..errors import ConfigError
from ..rundir import FREE, same_settings
from ..training.live_state import LiveState
from ..training.output import TrainDirectory
from ..training.summary import Summary
from . import options as o
from . import train_options as t
from .live_rounds import RUN, followed_before, play_and_train
from .tables import console, print_json


def live(
    taskset: o.TasksetName = None,
    out: t.Out = None,
    rounds: Annotated[int | None, typer.Option(help="Rounds of playing and training; 3 if not given.")] = None,
    tasks: Annotated[int | None, typer.Option(help="Tasks per round.")] = None,
    samples: Annotated[int | None, typer.Option(help="Attempts at each task.")] = None,
    split: Annotated[str | None, typer.Option(help="Split that is played; train if not given.")] = None,
    data: o.Data = None,
    limit: Annotated[int | None, typer.Option(help="Use only the first so many tasks of the split.")] = None,
    protocol: o.Protocol = None,
    max_steps: o.MaxSteps = None,
    concurrency: o.Concurrency = None,
    memory: Annotated[str | None, typer.Option(help="Folder of a memory to recall from while playing.")] = None,
    store: Annotated[list[Path] | None, typer.Option("--store", help="Attempts to replay beside. Repeatable.")] = None,
    expert: Annotated[
        list[Path] | None, typer.Option(help="Follow solved attempts of this run instead of playing. Repeatable.")
    ] = None,
    patches: Annotated[int | None, typer.Option(help="Expert actions that may stand in; -1 for any number.")] = None,
    config: Annotated[Path | None, typer.Option("--config", "-c", help="TOML file with training settings.")] = None,
    run_config: Annotated[Path | None, typer.Option(help="TOML file with settings of `lamarck run`.")] = None,
    model: t.Model = None,
    start: t.Start = None,
    rows: t.Rows = None,
    credit: t.Credit = None,
    epochs: t.Epochs = None,
    updates: Annotated[int | None, typer.Option(help="Updates per round at most.")] = None,
    lr: t.Rate = None,
    batch: t.Batch = None,
    accumulate: t.Accumulate = None,
    rank: t.Rank = None,
    seed: t.Seed = None,
    report_to: t.Report = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", "-s", help="Any setting: live.fresh=0.5, or with `run.` one of `lamarck run`."),
    ] = None,
    resume: t.Resume = False,
    as_json: o.Json = False,
    quiet: o.Quiet = False,
) -> None:
    """Play tasks, train on the attempts, and play the next ones with what came of it.

    Ctrl-C stops cleanly; `lamarck train live --resume --out DIR` goes on, also after a crash or kill -9. With
    --set run.model.name=vllm:MODEL one vLLM server plays all rounds, and sleeps while the GPU is trained on.
    """
    if out is None:
        raise ConfigError("--out is missing: where are the rounds to go?", hint="Give --out DIR.")
    training, playing = _divided(settings)
    directory = TrainDirectory(out)
    going_on = resume and directory.exists()
    expert = expert or (followed_before(out) if going_on else None)
    flags = t.Flags(
        store=store, config=config, settings=training, model=model, start=start, rows=rows, epochs=epochs,
        max_steps=updates, lr=lr, batch=batch, accumulate=accumulate, rank=rank, seed=seed,
        split=[split] if split is not None else None, report_to=report_to,
    )  # fmt: skip
    more: dict[str, Any] = {
        "live.rounds": rounds, "live.tasks": tasks, "live.samples": samples, "grpo.credit": credit,
        "replay.patches": patches,
    }  # fmt: skip
    wanted = flags.resolve("grpo", directory.config_path if going_on else None, more)
    wanted = _filled_in(wanted, following=bool(expert) and credit is None and not going_on)
    directory.check(wanted, resume=resume)
    play = o.Flags(
        run_config, playing, taskset=taskset, split=split, data=data, limit=limit, protocol=protocol,
        concurrency=concurrency, seed=seed, max_steps=max_steps, memory=memory,
        memory_mode="read" if memory is not None else None,
    )  # fmt: skip
    run = _player(play.resolve(base=out / RUN if going_on else None), wanted)
    _check(wanted, run, expert)
    if going_on:
        same_settings(out, RunConfig.load(out / RUN), run, FREE)
    state = play_and_train(wanted, run, directory, expert or [], silent=quiet or as_json)
    _show(state, directory, as_json)


def _divided(settings: list[str] | None) -> tuple[list[str], list[str]]:
    """Return the assignments of training, and those of playing without their `run.`."""
    given = settings or []
    playing = [text.removeprefix("run.") for text in given if text.startswith("run.")]
    return [text for text in given if not text.startswith("run.")], playing


def _filled_in(config: TrainConfig, *, following: bool) -> TrainConfig:
    """Return the settings with what live rounds take where nothing is said, also of rounds that begin by `following`.

    Stages of stored attempts have no rounds, and no steps that an expert took in the place of the policy.
    """
    if not config.live.rounds:
        config = config.model_copy(update={"live": config.live.model_copy(update={"rounds": 3})})
    if following and "credit" not in config.grpo.model_fields_set:
        semi = config.grpo.model_copy(update={"credit": "lamarck.training.semi_online:SemiOnline"})
        config = config.model_copy(update={"grpo": semi})
    return config


def _player(run: RunConfig, config: TrainConfig) -> RunConfig:
    """Return how to play: with the model that is trained, and never the same attempt twice."""
    from ..agent.llms import VLLM, same_model

    name = config.model if config.model.startswith("embedded") else f"embedded:{config.model}"
    if run.model.name.startswith(VLLM) and same_model(run.model.name, config.model):
        name = run.model.name
    elif run.model.name not in ("embedded", name):
        raise ConfigError(
            f"run.model.name is {run.model.name}, but live rounds play with the model they train, which is {name}.",
            hint="Leave it out, or name the same by vllm:MODEL. To play with another, collect with `lamarck run` and "
            "train with `lamarck train grpo --store RUN`.",
        )
    temperature = run.model.temperature or 1.0
    return run.model_copy(update={"model": run.model.model_copy(update={"name": name, "temperature": temperature})})


def _check(config: TrainConfig, run: RunConfig, expert: list[Path] | None) -> None:
    if config.validate_share:
        raise ConfigError("validate_share is for stored attempts; live rounds have none to hold back.")
    if config.stores and config.live.fresh == 1.0:
        raise ConfigError(
            "--store names attempts to replay, and live.fresh = 1 replays none.", hint="Add --set live.fresh=0.5."
        )
    if config.replay.patches and not expert:
        raise ConfigError("--patches is for expert attempts that are followed, and none are.", hint="Add --expert RUN.")
    if not expert and config.samples.splits and run.taskset.split not in config.samples.splits:
        raise ConfigError(
            f"split {run.taskset.split} is to be played and samples.splits = {list(config.samples.splits)} to be "
            "trained on.",
            hint="Give the split by --split, which sets both.",
        )


def _show(state: LiveState, directory: TrainDirectory, as_json: bool) -> None:
    if as_json:
        print_json({"out": str(directory.path), "adapter": str(directory.adapter), **state.model_dump(mode="json")})
        return
    shown = Table("round", "plays", "solved", "teach", "fresh", "replayed", "imitated", "tokens", "play s", "train s")
    for one in state.rounds:
        shown.add_row(
            str(one.number), str(one.asks), f"{one.solved}/{one.attempts}", f"{one.informative}/{one.groups}",
            str(one.fresh_rows), str(one.replayed_rows), str(one.imitated_rows), f"{one.tokens:,}",
            f"{one.collect_seconds:.0f}", f"{one.train_seconds:.0f}",
        )  # fmt: skip
    out = console()
    out.print(shown)
    out.print("solved: on training tasks, by the policy before the round's update", style="dim")
    out.print(f"Adapter of the last round: {directory.adapter}", markup=False, highlight=False, soft_wrap=True)
    told = Summary.read(directory.summary_path).next_command
    out.print(f"Try it with: {told}", markup=False, highlight=False, soft_wrap=True)
