"""Flags that all kinds of training share, and the configuration they add up to."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from ..config_training import TrainConfig
from ..config_tree import parse_assignment
from ..errors import ConfigError

Kind = Literal["sft", "dpo", "kto", "grpo"]
Stores = Annotated[
    list[Path] | None, typer.Option("--store", help="Run directory, store or exported file. Repeatable.")
]
Out = Annotated[Path | None, typer.Option("--out", "-o", help="Folder of the stage.")]
Model = Annotated[str | None, typer.Option("--model", "-m", help="embedded, or a folder that transformers can load.")]
Start = Annotated[Path | None, typer.Option("--start", help="Adapter to train further; a new one if not given.")]
Rows = Annotated[str | None, typer.Option(help="episode or step: what one row holds.")]
Epochs = Annotated[float | None, typer.Option(help="Passes over the rows.")]
Updates = Annotated[int | None, typer.Option("--max-steps", help="Updates at most.")]
Rate = Annotated[float | None, typer.Option("--lr", help="Learning rate; 2e-4 for sft, else 2e-5, if not given.")]
Batch = Annotated[int | None, typer.Option(help="Rows that go through the model at once.")]
Accumulate = Annotated[int | None, typer.Option(help="Batches per update.")]
Rank = Annotated[int | None, typer.Option(help="Rank of a new adapter.")]
Seed = Annotated[int | None, typer.Option(help="Seed of the first weights and of the order of the rows.")]
Strip = Annotated[bool | None, typer.Option("--strip-recalled", help="Take recalled text out of the prompts.")]
Splits = Annotated[
    list[str] | None, typer.Option("--split", help="Splits to train on; train if not given. Repeatable.")
]
Report = Annotated[
    list[str] | None, typer.Option("--report-to", help="tensorboard (the default), wandb or trackio. Repeatable.")
]
Set = Annotated[
    list[str] | None, typer.Option("--set", "-s", help="Any setting, e.g. --set validate_share=0.1. Repeatable.")
]
Beta = Annotated[float | None, typer.Option(help="How close to stay to the model that training starts from.")]
Losses = Annotated[
    list[str] | None,
    typer.Option(
        "--loss",
        help="dpo: TRL's loss types and their weights, --loss sigmoid --loss sft=1 if not given; kto: kto (if not "
        "given) or apo_zero_unpaired. Repeatable.",
    ),
]
Resume = Annotated[bool, typer.Option("--resume", help="Go on with the stage in --out.")]


@dataclass(frozen=True)
class Flags:
    """The flags that all kinds share, as given; None means not given."""

    kind: Kind
    stores: list[Path] | None
    config: Path | None
    assignments: list[str] | None
    model: str | None
    start: Path | None
    rows: str | None
    epochs: float | None
    max_steps: int | None
    lr: float | None
    batch: int | None
    accumulate: int | None
    rank: int | None
    seed: int | None
    strip_recalled: bool | None
    splits: list[str] | None
    report_to: list[str] | None

    def resolve(self, base: Path | None, more: dict[str, Any]) -> TrainConfig:
        """Return the configuration: `base` or the file, then --set, then the flags.

        Args:
            base: `train.toml` of a stage that is resumed.
            more: flags of one kind, by dotted key; None means not given.

        Raises:
            ConfigError: a key or value is wrong.
        """
        named = {
            "stores": None if self.stores is None else [str(store) for store in self.stores],
            "model": self.model,
            "start": None if self.start is None else str(self.start),
            "samples.rows": self.rows,
            "samples.splits": self.splits,
            "samples.strip_recalled": self.strip_recalled,
            "adapter.rank": self.rank,
            "optimizer.epochs": self.epochs,
            "optimizer.max_steps": self.max_steps,
            "optimizer.learning_rate": self.lr,
            "optimizer.batch": self.batch,
            "optimizer.accumulate": self.accumulate,
            "report_to": self.report_to,
            "seed": self.seed,
        }
        overrides = {"kind": self.kind} | dict(parse_assignment(text) for text in self.assignments or [])
        overrides |= {key: value for key, value in (named | more).items() if value is not None}
        return TrainConfig.load(self.config or base, overrides)


def preferences(kind: Kind, losses: list[str] | None) -> dict[str, Any]:
    """Return the settings that `--loss` stands for.

    Raises:
        ConfigError: a weight is no number, or kto is given several losses.
    """
    if losses is None or kind == "dpo":
        return {"preferences.loss": weights(losses, "--loss")}
    if len(losses) > 1:
        raise ConfigError(f"--loss is given {len(losses)} times, and kto has one loss.")
    return {"preferences.kto_loss": losses[0]}


def weights(given: list[str] | None, flag: str = "--reward") -> dict[str, float] | None:
    """Return the weight of each reward or loss from `name=weight`; a name alone weighs 1.

    Raises:
        ConfigError: a weight is no number.
    """
    if given is None:
        return None
    found = {}
    for text in given:
        name, _, weight = text.partition("=")
        try:
            found[name] = float(weight or 1)
        except ValueError:
            raise ConfigError(f"{flag} {text}: {weight!r} is no number.", hint="Write name=weight.") from None
    return found
