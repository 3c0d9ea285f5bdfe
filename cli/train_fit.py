"""`lamarck train sft|dpo|kto|grpo`: train an adapter from stored attempts."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from ..config_training import TrainConfig
from ..errors import ConfigError
from ..training.output import TrainDirectory
from ..training.summary import Summary, lines
from . import options as o
from . import train_options as t
from .tables import console, print_json
from .train_watch import TrainWatch


def sft(
    store: t.Stores = None,
    out: t.Out = None,
    config: o.ConfigFile = None,
    model: t.Model = None,
    start: t.Start = None,
    rows: t.Rows = None,
    epochs: t.Epochs = None,
    max_steps: t.Updates = None,
    lr: t.Rate = None,
    batch: t.Batch = None,
    accumulate: t.Accumulate = None,
    rank: t.Rank = None,
    seed: t.Seed = None,
    strip_recalled: t.Strip = None,
    split: t.Splits = None,
    report_to: t.Report = None,
    settings: t.Set = None,
    resume: t.Resume = False,
    as_json: o.Json = False,
    quiet: o.Quiet = False,
) -> None:
    """Imitate solved attempts, token by token as they were sampled."""
    flags = t.Flags(
        "sft", store, config, settings, model, start, rows, epochs, max_steps, lr, batch, accumulate, rank, seed,
        strip_recalled, split, report_to,
    )  # fmt: skip
    run(flags, {}, out, resume=resume, as_json=as_json, quiet=quiet)


def _preferring(kind: Literal["dpo", "kto"], told: str) -> Callable[..., None]:
    """Return the command of a kind that learns from better and worse: they take the same flags."""

    def command(
        store: t.Stores = None,
        out: t.Out = None,
        config: o.ConfigFile = None,
        model: t.Model = None,
        start: t.Start = None,
        rows: t.Rows = None,
        epochs: t.Epochs = None,
        max_steps: t.Updates = None,
        lr: t.Rate = None,
        batch: t.Batch = None,
        accumulate: t.Accumulate = None,
        rank: t.Rank = None,
        seed: t.Seed = None,
        strip_recalled: t.Strip = None,
        split: t.Splits = None,
        beta: t.Beta = None,
        loss: t.Losses = None,
        report_to: t.Report = None,
        settings: t.Set = None,
        resume: t.Resume = False,
        as_json: o.Json = False,
        quiet: o.Quiet = False,
    ) -> None:
        flags = t.Flags(
            kind, store, config, settings, model, start, rows, epochs, max_steps, lr, batch, accumulate, rank, seed,
            strip_recalled, split, report_to,
        )  # fmt: skip
        run(flags, {"beta": beta, **t.preferences(kind, loss)}, out, resume=resume, as_json=as_json, quiet=quiet)

    command.__name__, command.__doc__ = kind, told
    return command


dpo = _preferring("dpo", "Prefer the better of two answers that sibling attempts gave to the same prompt.")
kto = _preferring("kto", "Push answers of attempts that did better than their siblings, and away from the others.")


def grpo(
    store: t.Stores = None,
    out: t.Out = None,
    config: o.ConfigFile = None,
    model: t.Model = None,
    start: t.Start = None,
    rows: t.Rows = None,
    credit: Annotated[str | None, typer.Option(help="Estimator of the advantages, e.g. gigpo, grpo, rloo.")] = None,
    loss: Annotated[str | None, typer.Option(help="TRL's loss type, e.g. dapo, grpo, dr_grpo, cispo.")] = None,
    reward: Annotated[
        list[str] | None, typer.Option(help="A reward and its weight, e.g. --reward environment=1. Repeatable.")
    ] = None,
    beta: t.Beta = None,
    epochs: t.Epochs = None,
    max_steps: t.Updates = None,
    lr: t.Rate = None,
    batch: t.Batch = None,
    accumulate: t.Accumulate = None,
    rank: t.Rank = None,
    seed: t.Seed = None,
    strip_recalled: t.Strip = None,
    split: t.Splits = None,
    report_to: t.Report = None,
    settings: t.Set = None,
    resume: t.Resume = False,
    as_json: o.Json = False,
    quiet: o.Quiet = False,
) -> None:
    """Reinforce what did better than its siblings, step by step, with TRL's GRPO losses."""
    flags = t.Flags(
        "grpo", store, config, settings, model, start, rows, epochs, max_steps, lr, batch, accumulate, rank, seed,
        strip_recalled, split, report_to,
    )  # fmt: skip
    more = {"grpo.credit": credit, "grpo.loss": loss, "grpo.beta": beta, "grpo.rewards": t.weights(reward)}
    run(flags, more, out, resume=resume, as_json=as_json, quiet=quiet)


COMMANDS = (sft, dpo, kto, grpo)


def run(flags: t.Flags, more: dict[str, Any], out: Path | None, *, resume: bool, as_json: bool, quiet: bool) -> None:
    """Train one stage and print what came of it.

    Raises:
        LamarckError: something is missing or wrong.
    """
    directory, config = prepare(flags, more, out, resume)
    silent = quiet or as_json
    with TrainWatch(f"{config.kind} {directory.path.name}", quiet=silent) as watch:
        summary = fitted(config, directory, watch, resume=resume)
    if as_json:
        print_json(summary.model_dump(mode="json"))
    else:
        out_ = console()
        for line in lines(summary):
            out_.print(line, markup=False, soft_wrap=True)
    if summary.interrupted:
        raise typer.Exit(130)


def prepare(flags: t.Flags, more: dict[str, Any], out: Path | None, resume: bool) -> tuple[TrainDirectory, TrainConfig]:
    """Return the directory and the configuration; a resumed stage starts from its own `train.toml`.

    Raises:
        ConfigError: no folder or store is named, or the folder holds another stage.
    """
    if out is None:
        raise ConfigError("--out is missing: where is the adapter to go?", hint="Give --out DIR.")
    directory = TrainDirectory(out)
    config = flags.resolve(directory.config_path if resume and directory.exists() else None, more)
    for name in ("self_imitation", "patches"):
        if value := getattr(config.replay, name):
            raise ConfigError(f"replay.{name} is {value}, which only rounds heed.", hint="Use `lamarck train live`.")
    directory.check(config, resume=resume)
    return directory, config


def fitted(config: TrainConfig, directory: TrainDirectory, watch: TrainWatch, *, resume: bool) -> Summary:
    """Load what is needed and train.

    Raises:
        LamarckError: something is missing or wrong.
    """
    from ..training.base import load_base, require
    from ..training.sources import load_sources

    require()
    # Cheap questions first: what is wrong with the stores or the model shows before torch is loaded.
    sources = load_sources(config, watch.say)
    folder = base_folder(config.model, watch)
    with _loading():
        from ..training.curves import check_reporters
        from ..training.stage import train

        check_reporters(config)
        base = load_base(config, folder)
    return train(config, sources, base, directory.path, resume=resume, watch=watch)


def base_folder(model: str, watch: TrainWatch) -> Path:
    """Return the folder of a base model: `embedded` is fetched where it is not there yet.

    Raises:
        LamarckError: it cannot be had.
    """
    from ..agent.llms import embedded_folder

    return embedded_folder(model, watch.say)


@contextlib.contextmanager
def _loading() -> Iterator[None]:
    """Import and load without the libraries' own bars and warnings."""
    from ..training.quiet import hushed

    with hushed():
        yield
