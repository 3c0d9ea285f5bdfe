"""How many rows go into an update, how many updates there are, and at which rate."""

from __future__ import annotations

from dataclasses import dataclass

from ..config_training import OptimizerConfig, TrainConfig
from ..errors import TrainingError
from .headers import NOTHING
from .preferences import loss_in_words
from .summary import NOUNS

RATES = {"sft": 2e-4, "dpo": 2e-5, "kto": 2e-5, "grpo": 2e-5}
"""Learning rates of adapters where none is set."""


@dataclass(frozen=True)
class Fit:
    """How many rows go into an update."""

    batch: int
    accumulate: int
    notes: tuple[str, ...] = ()
    """What had to be changed of the settings, and why."""


def fit(kind: str, optimizer: OptimizerConfig, rows: int) -> Fit:
    """Return batch and accumulation as set, or smaller where there are too few rows for one update.

    Raises:
        TrainingError: there are no rows, or one alone for a kind that compares.
    """
    if not rows:
        hint = "Collect more with `lamarck run --samples 4`."
        raise TrainingError("there is nothing to train on.", hint=hint, kind=NOTHING)
    if rows < 2 and kind in ("kto", "grpo"):
        hint = "Collect more, or take --rows step."
        raise TrainingError(f"one row alone is not enough for {kind}.", hint=hint, kind=NOTHING)
    batch, accumulate, notes = optimizer.batch, optimizer.accumulate, []
    if kind == "kto" and batch < 2:
        # KTO estimates its KL from the other answers of a batch.
        batch, accumulate = 2, max(1, accumulate // 2)
        notes.append(f"kto needs two rows at once: batch 2 instead of 1, {accumulate} batches per update")
    if kind == "grpo" and batch * accumulate < 2:
        accumulate = 2
        notes.append("grpo needs two rows per update: 2 batches per update instead of 1")
    if batch * accumulate > rows:
        smaller = min(batch, rows)
        accumulate = max(1, rows // smaller)
        notes.append(
            f"{rows} {NOUNS[kind]} do not fill an update of {optimizer.batch} x {optimizer.accumulate}: "
            f"taking {smaller} x {accumulate}"
        )
        batch = smaller
    return Fit(batch, accumulate, tuple(notes))


def remarks(config: TrainConfig, fitted: Fit, rows: int) -> tuple[str, ...]:
    """Return what is worth knowing of how so many rows will be trained on."""
    each, found = fitted.batch * fitted.accumulate, list(fitted.notes)
    if config.kind == "grpo" and (over := rows % each):
        once = config.optimizer.max_steps is None and config.optimizer.epochs <= 1
        found.append(
            f"{over} of {rows} rows fill no update of {each}: "
            + ("they are never seen" if once else "each epoch leaves out as many, others each time")
        )
    wanted = config.grpo
    if config.kind == "grpo" and wanted.objective is None and (wanted.ratio, wanted.loss) == ("sequence", "dapo"):
        found.append("with one ratio per row, loss dapo counts rows by their length; GSPO's own loss is grpo")
    if config.kind in ("dpo", "kto"):
        found.append(f"loss {loss_in_words(config)}")
    return tuple(found)


def rate(config: TrainConfig) -> float:
    """Return the learning rate: what is set, or the kind's own."""
    return config.optimizer.learning_rate or RATES[config.kind]


def updates(optimizer: OptimizerConfig, fitted: Fit, rows: int) -> int:
    """Return about how many updates there will be."""
    if optimizer.max_steps is not None:
        return optimizer.max_steps
    return max(1, round(optimizer.epochs * rows / (fitted.batch * fitted.accumulate)))
