"""`lamarck train live`: play, train on what was played, play with what was trained, and so on."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from ..config import RunConfig
from ..config_training import TrainConfig
from ..errors import ConfigError
from ..rundir import FREE, same_settings
from ..training.live_state import LiveState
from ..training.output import TrainDirectory, write
from . import options as o
from . import train_options as t
from .tables import console, print_json
from .train_fit import base_folder
from .train_watch import TrainWatch

RUN, EXPERTS = "collect.toml", "experts.json"
"""How the attempts of a live run are played, and whom they follow."""


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
    credit: Annotated[str | None, typer.Option(help="Estimator of the advantages, e.g. gigpo, grpo, rloo.")] = None,
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

    Ctrl-C stops cleanly; `lamarck train live --resume --out DIR` goes on, also after a crash or kill -9.
    """
    if out is None:
        raise ConfigError("--out is missing: where are the rounds to go?", hint="Give --out DIR.")
    training, playing = _divided(settings)
    directory = TrainDirectory(out)
    going_on = resume and directory.exists()
    expert = expert or (_before(out) if going_on else None)
    flags = t.Flags(
        "grpo", store, config, training, model, start, rows, epochs, updates, lr, batch, accumulate, rank, seed,
        None, [split] if split is not None else None, report_to,
    )  # fmt: skip
    more: dict[str, Any] = {
        "live.rounds": rounds, "live.tasks": tasks, "live.samples": samples, "grpo.credit": credit,
        "replay.patches": patches,
    }  # fmt: skip
    wanted = flags.resolve(directory.config_path if going_on else None, more)
    if not wanted.live.rounds:
        wanted = wanted.model_copy(update={"live": wanted.live.model_copy(update={"rounds": 3})})
    if expert and credit is None and not going_on and "credit" not in wanted.grpo.model_fields_set:
        semi = wanted.grpo.model_copy(update={"credit": "lamarck.training.semi_online:SemiOnline"})
        wanted = wanted.model_copy(update={"grpo": semi})
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
    state = _rounds(wanted, run, directory, expert or [], silent=quiet or as_json)
    _show(state, directory, as_json)


def _divided(settings: list[str] | None) -> tuple[list[str], list[str]]:
    """Return the assignments of training, and those of playing without their `run.`."""
    given = settings or []
    playing = [text.removeprefix("run.") for text in given if text.startswith("run.")]
    return [text for text in given if not text.startswith("run.")], playing


def _player(run: RunConfig, config: TrainConfig) -> RunConfig:
    """Return how to play: with the model that is trained, and never the same attempt twice."""
    name = config.model if config.model.startswith("embedded") else f"embedded:{config.model}"
    if run.model.name not in ("embedded", name):
        raise ConfigError(
            f"run.model.name is {run.model.name}, but live rounds play with the model they train, which is {name}.",
            hint="Leave it out, or collect with `lamarck run` and train with `lamarck train grpo --store RUN`.",
        )
    temperature = run.model.temperature or 1.0
    return run.model_copy(update={"model": run.model.model_copy(update={"name": name, "temperature": temperature})})


def _before(out: Path) -> list[Path]:
    """Return the experts that a run which is resumed follows."""
    file = out / EXPERTS
    return [Path(place) for place in json.loads(file.read_text(encoding="utf-8"))] if file.exists() else []


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


class Told:
    """Prints one line per phase.

    Args:
        rounds: how many there are.
        quiet: print nothing.
    """

    def __init__(self, rounds: int, quiet: bool) -> None:
        self._console = Console(stderr=True, highlight=False, soft_wrap=True, quiet=quiet)
        self._rounds = rounds

    def live(self, state: LiveState, doing: str, seconds_left: float | None) -> None:
        """Print where the rounds stand."""
        parts = [f"{doing} ({len(state.finished)} of {self._rounds} rounds finished)"]
        if state.rounds:
            last = state.rounds[-1]
            parts.append(f"{last.solved}/{last.attempts} solved in round {last.number}")
            parts.append(f"{sum(one.tokens for one in state.rounds):,} tokens so far")
        if seconds_left is not None and doing != "finished":
            parts.append(f"about {seconds_left:.0f} s left")
        self._console.print(", ".join(parts), markup=False)


def _rounds(
    config: TrainConfig, run: RunConfig, directory: TrainDirectory, expert: Sequence[Path], *, silent: bool
) -> LiveState:
    """Do the rounds.

    Raises:
        LamarckError: something is missing or wrong.
    """
    from ..training.base import require
    from ..training.live import Live
    from ..training.sources import load_sources
    from .live_collect import Experts, Runs

    require()
    told = Console(stderr=True, highlight=False, soft_wrap=True, quiet=silent)
    stored = load_sources(config, lambda text: told.print(text, style="dim", markup=False)).trajectories
    experts = _followed(config, expert)
    # Not opened: there is no update yet that Ctrl-C could wait for.
    stage = _stage(base_folder(config.model, TrainWatch("base model", quiet=silent)), silent)
    out = directory.path
    with directory.lock():
        write(out / RUN, run.dump_toml())
        write(out / EXPERTS, json.dumps([str(place.resolve()) for place in expert]) + "\n")
        # Last: from then on there is something to resume.
        write(directory.config_path, config.dump_toml())
        player = Experts(experts, run, config, out) if expert else Runs(run, config, out, quiet=silent)
        rounds = Live(config, player, stage, out, stored, Told(config.live.rounds, silent))
        try:
            state = asyncio.run(rounds.run())
        except KeyboardInterrupt:
            Console(stderr=True).print(f"Stopped. Go on with: lamarck train live --resume --out {out}", markup=False)
            raise typer.Exit(130) from None
        _publish(out / state.finished[-1].adapter, directory.adapter)
        return state


def _followed(config: TrainConfig, expert: Sequence[Path]) -> list[Any]:
    from ..training.sources import load_sources

    if not expert:
        return []
    samples = config.samples.model_copy(update={"splits": ()})
    return list(
        load_sources(config.model_copy(update={"stores": tuple(map(str, expert)), "samples": samples})).trajectories
    )


def _stage(folder: Path, silent: bool) -> Any:
    from ..training.quiet import hushed

    with hushed():
        from ..training.live_stage import LiveStage

    class Watched(LiveStage):
        """Shows a bar while it trains."""

        def train(self, config: TrainConfig, rows: Any, known: Any, out: Path) -> Path:
            with TrainWatch(f"training {out.parent.name}", quiet=silent) as watch:
                self.watch = watch
                return super().train(config, rows, known, out)

    return Watched(folder)


def _publish(made: Path, place: Path) -> None:
    """Put the last round's adapter where a stage has its own, whole or not at all."""
    beside = place.with_name(f".{place.name}-new")
    shutil.rmtree(beside, ignore_errors=True)
    shutil.copytree(made, beside)
    shutil.rmtree(place, ignore_errors=True)
    beside.rename(place)


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
    out.print(
        f"Try it with: lamarck eval --split valid_unseen --model embedded --adapter {directory.adapter}",
        markup=False, highlight=False, soft_wrap=True,
    )  # fmt: skip
