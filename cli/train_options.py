"""Flags that all kinds of training share, and the configuration they add up to."""

from __future__ import annotations

import inspect
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from ..config_training import TrainConfig
from ..config_tree import parse_assignment
from ..errors import ConfigError
from . import options as o

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


Credit = Annotated[str | None, typer.Option(help="Estimator of the advantages, e.g. gigpo, grpo, rloo.")]
Objective = Annotated[str | None, typer.Option(help="TRL's loss type, e.g. dapo, grpo, dr_grpo, cispo.")]
Rewards = Annotated[
    list[str] | None, typer.Option(help="A reward and its weight, e.g. --reward environment=1. Repeatable.")
]


@dataclass(frozen=True, kw_only=True)
class Flags:
    """The flags that all kinds share, as given; None means not given. Each field is an option of the commands."""

    store: Stores = None
    out: Out = None
    config: o.ConfigFile = None
    model: Model = None
    start: Start = None
    rows: Rows = None
    epochs: Epochs = None
    max_steps: Updates = None
    lr: Rate = None
    batch: Batch = None
    accumulate: Accumulate = None
    rank: Rank = None
    seed: Seed = None
    strip_recalled: Strip = None
    split: Splits = None
    report_to: Report = None
    settings: Set = None
    resume: Resume = False
    as_json: o.Json = False
    quiet: o.Quiet = False

    def resolve(self, kind: Kind, base: Path | None, more: dict[str, Any] | None = None) -> TrainConfig:
        """Return the configuration: `base` or the file, then --set, then the flags.

        Args:
            kind: what is trained.
            base: `train.toml` of a stage that is resumed.
            more: other flags, by dotted key; None means not given.

        Raises:
            ConfigError: a key or value is wrong.
        """
        named = {
            "stores": None if self.store is None else [str(store) for store in self.store],
            "model": self.model,
            "start": None if self.start is None else str(self.start),
            "samples.rows": self.rows,
            "samples.splits": self.split,
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
        overrides = {"kind": kind} | dict(parse_assignment(text) for text in self.settings or [])
        named |= self.own(kind) | (more or {})
        overrides |= {key: value for key, value in named.items() if value is not None}
        return TrainConfig.load(self.config or base, overrides)

    def own(self, kind: Kind) -> dict[str, Any]:
        """Return what the flags of one kind set, by dotted key; None means not given."""
        return {}


@dataclass(frozen=True, kw_only=True)
class Preferring(Flags):
    """The flags of dpo and kto."""

    beta: Beta = None
    loss: Losses = None

    def own(self, kind: Kind) -> dict[str, Any]:
        """See `Flags.own`."""
        return {"beta": self.beta, **preferences(kind, self.loss)}


@dataclass(frozen=True, kw_only=True)
class Reinforcing(Flags):
    """The flags of grpo."""

    credit: Credit = None
    loss: Objective = None
    reward: Rewards = None
    beta: Beta = None

    def own(self, kind: Kind) -> dict[str, Any]:
        """See `Flags.own`."""
        rewards = weights(self.reward)
        return {
            "grpo.credit": self.credit, "grpo.loss": self.loss, "grpo.beta": self.beta, "grpo.rewards": rewards
        }  # fmt: skip


def signature(flags: type[Flags]) -> inspect.Signature:
    """Return the signature of a command with these flags; those of one kind stand in front of the optimizer's."""
    found = inspect.signature(flags, eval_str=True).parameters
    shared = [field.name for field in fields(Flags)]
    at = shared.index("epochs")
    order = [*shared[:at], *(name for name in found if name not in shared), *shared[at:]]
    return inspect.Signature([found[name] for name in order])


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
