"""`lamarck train sft|dpo|kto|grpo`: train an adapter from stored attempts."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import typer

from ..config_training import TrainConfig
from ..errors import ConfigError
from ..training.output import TrainDirectory
from ..training.summary import Summary, lines
from . import train_options as t
from .tables import console, print_json
from .train_watch import TrainWatch


def _command(kind: t.Kind, flags: type[t.Flags], told: str) -> Callable[..., None]:
    """Return the command of a kind, whose options are the fields of `flags`."""

    def command(**given: Any) -> None:
        run(kind, flags(**given))

    made: Any = command
    made.__name__, made.__doc__, made.__signature__ = kind, told, t.signature(flags)
    return command


COMMANDS = (
    _command("sft", t.Flags, "Imitate solved attempts, token by token as they were sampled."),
    _command("dpo", t.Preferring, "Prefer the better of two answers that sibling attempts gave to the same prompt."),
    _command(
        "kto", t.Preferring, "Push answers of attempts that did better than their siblings, and away from the others."
    ),
    _command(
        "grpo", t.Reinforcing, "Reinforce what did better than its siblings, step by step, with TRL's GRPO losses."
    ),
)


def run(kind: t.Kind, flags: t.Flags) -> None:
    """Train one stage and print what came of it.

    Raises:
        LamarckError: something is missing or wrong.
    """
    directory, config = prepare(kind, flags)
    silent = flags.quiet or flags.as_json
    with TrainWatch(f"{config.kind} {directory.path.name}", quiet=silent) as watch:
        summary = fitted(config, directory, watch, resume=flags.resume)
    if flags.as_json:
        print_json(summary.model_dump(mode="json"))
    else:
        out = console()
        for line in lines(summary):
            out.print(line, markup=False, soft_wrap=True)
    if summary.interrupted:
        raise typer.Exit(130)


def prepare(kind: t.Kind, flags: t.Flags) -> tuple[TrainDirectory, TrainConfig]:
    """Return the directory and the configuration; a resumed stage starts from its own `train.toml`.

    Raises:
        ConfigError: no folder or store is named, or the folder holds another stage.
    """
    if flags.out is None:
        raise ConfigError("--out is missing: where is the adapter to go?", hint="Give --out DIR.")
    directory = TrainDirectory(flags.out)
    config = flags.resolve(kind, directory.config_path if flags.resume and directory.exists() else None)
    for name in ("self_imitation", "patches"):
        if value := getattr(config.replay, name):
            raise ConfigError(f"replay.{name} is {value}, which only rounds heed.", hint="Use `lamarck train live`.")
    directory.check(config, resume=flags.resume)
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
    if config.samples.splice:
        from .train_splice import with_splices

        with directory.lock():
            sources = with_splices(config, sources, watch.say, directory.splices_path)
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
