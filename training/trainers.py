"""From examples and settings to the right one of TRL's trainers."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..config_training import OptimizerConfig, TrainConfig
from ..errors import TrainingError
from .base import Base
from .collate import Weighed
from .curves import PROJECT
from .examples import Judged, Pair
from .objectives.named import objective_named
from .output import TrainDirectory
from .preferences import judged_config, loss_in_words, pair_config
from .prepared import Prepared
from .rows import Row
from .summary import NOUNS

RATES = {"sft": 2e-4, "dpo": 2e-5, "kto": 2e-5, "grpo": 2e-5}
"""Learning rates of adapters where none is set."""
SCHEDULES = {"constant": "constant_with_warmup", "linear": "linear", "cosine": "cosine"}


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
        raise TrainingError("there is nothing to train on.", hint="Collect more with `lamarck run --samples 4`.")
    if rows < 2 and kind in ("kto", "grpo"):
        raise TrainingError(f"one row alone is not enough for {kind}.", hint="Collect more, or take --rows step.")
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
    if config.kind == "grpo" and config.grpo.ratio == "sequence" and config.grpo.loss == "dapo":
        found.append("with one ratio per row, loss dapo counts rows by their length; GSPO's own loss is grpo")
    if config.kind in ("dpo", "kto"):
        found.append(f"loss {loss_in_words(config)}")
    return tuple(found)


def rate(config: TrainConfig) -> float:
    """Return the learning rate: what is set, or the kind's own."""
    return config.optimizer.learning_rate or RATES[config.kind]


def trainer_for(
    config: TrainConfig, prepared: Prepared[Any], base: Base, directory: TrainDirectory, fitted: Fit, **keywords: Any
) -> Any:
    """Return a trainer of TRL for the stage.

    Args:
        config: the settings of the stage.
        prepared: examples of its kind.
        base: the model with its adapter.
        directory: where checkpoints go.
        fitted: rows per update.
        keywords: more of what the trainer takes: callbacks, and for grpo `returns` and `notify`.
    """
    given = {
        "model": base.model,
        "processing_class": base.tokenizer,
        "held": prepared.validate,
        **keywords,
    }
    return TRAINERS[config.kind](config, prepared, _settings(config, directory, fitted, prepared), given)


def reached(trainer: Any, checkpoint: Path) -> bool:
    """Say whether a checkpoint is that of the last update; then the trainer takes its state, and the model its weights.

    transformers looks whether it is at the end only behind an update, and would make one more.
    """
    from transformers import TrainerState

    state = TrainerState.load_from_json(str(checkpoint / "trainer_state.json"))
    *_, planned = trainer.set_initial_training_values(trainer.args, trainer.get_train_dataloader())
    if state.global_step < planned:
        return False
    state.max_steps = planned
    trainer.state = state
    trainer.model.load_adapter(str(checkpoint), "default", is_trainable=True)
    return True


def _sft(config: TrainConfig, prepared: Prepared[Row], settings: dict[str, Any], given: dict[str, Any]) -> Any:
    from trl import SFTConfig

    from .offline import imitate

    return imitate(prepared.train, args=SFTConfig(max_length=None, **settings), **given)


def _dpo(config: TrainConfig, prepared: Prepared[Pair], settings: dict[str, Any], given: dict[str, Any]) -> Any:
    from .offline import PairTrainer

    return PairTrainer(pairs=prepared.train, args=pair_config(config, **settings), **given)


def _kto(config: TrainConfig, prepared: Prepared[Judged], settings: dict[str, Any], given: dict[str, Any]) -> Any:
    from .offline import JudgedTrainer

    args = judged_config(config, prepared.train, **settings)
    # KTO takes its batches in order; siblings stand together, and good and bad ones should meet.
    mixed = random.Random(config.seed).sample(prepared.train, len(prepared.train))
    return JudgedTrainer(judged=mixed, args=args, **given)


def _grpo(config: TrainConfig, prepared: Prepared[Weighed], settings: dict[str, Any], given: dict[str, Any]) -> Any:
    from .grpo import RowTrainer, row_config

    known, wanted = dict(settings), config.grpo
    args = row_config(
        known.pop("output_dir"),
        batch=known.pop("per_device_train_batch_size"),
        accumulate=known.pop("gradient_accumulation_steps"),
        loss_type=wanted.loss,
        beta=wanted.beta,
        epsilon=wanted.clip_low,
        # TRL's cispo takes the cap itself where the others take what is added to 1.
        epsilon_high=wanted.clip_high + (wanted.loss == "cispo"),
        importance_sampling_level=wanted.ratio,
        # Dr. GRPO divides by the longest completion there may be.
        max_completion_length=config.samples.max_tokens,
        num_generations_eval=1,
        **known,
    )
    if wanted.loss in TWO_SIDED and any(one.row.stripped for one in prepared.train):
        given["clip_stripped"] = wanted.clip_stripped
    if wanted.objective is not None:
        given["objective"] = objective_named(wanted.objective, wanted.objective_options)
    notify = given.pop("notify", None)
    if wanted.packing:
        from .packed_trainer import PackedRowTrainer

        told = {} if notify is None else {"notify": notify}
        return PackedRowTrainer(rows=prepared.train, args=args, **told, **given)
    return RowTrainer(rows=prepared.train, args=args, **given)


TWO_SIDED = frozenset({"grpo", "dapo", "bnpo", "dr_grpo", "luspo"})
"""Losses that clip the ratio to both sides; cispo reads the upper bound otherwise, and the others read none."""
TRAINERS: Mapping[str, Callable[..., Any]] = {"sft": _sft, "dpo": _dpo, "kto": _kto, "grpo": _grpo}


def updates(optimizer: OptimizerConfig, fitted: Fit, rows: int) -> int:
    """Return about how many updates there will be."""
    if optimizer.max_steps is not None:
        return optimizer.max_steps
    return max(1, round(optimizer.epochs * rows / (fitted.batch * fitted.accumulate)))


def _settings(config: TrainConfig, directory: TrainDirectory, fitted: Fit, prepared: Prepared[Any]) -> dict[str, Any]:
    """Return what all of TRL's configurations share."""
    import torch

    wanted, evaluate = config.optimizer, bool(prepared.validate)
    return {
        "output_dir": str(directory.checkpoints),
        "per_device_train_batch_size": fitted.batch,
        "per_device_eval_batch_size": fitted.batch,
        "gradient_accumulation_steps": fitted.accumulate,
        "num_train_epochs": wanted.epochs,
        "max_steps": wanted.max_steps or -1,
        "learning_rate": rate(config),
        # Rounded down: transformers rounds up, and its first update of a warm-up has rate 0.
        "warmup_steps": int(wanted.warmup * updates(wanted, fitted, len(prepared.train))),
        "lr_scheduler_type": SCHEDULES[wanted.schedule],
        "weight_decay": wanted.weight_decay,
        "max_grad_norm": wanted.clip,
        "gradient_checkpointing": wanted.gradient_checkpointing,
        "bf16": False,  # the weights are in the format they are trained in
        "seed": config.seed,
        "save_strategy": "steps",
        "save_steps": config.save_steps,
        "save_total_limit": config.keep,
        "eval_strategy": "steps" if evaluate else "no",
        "eval_steps": config.save_steps if evaluate else None,
        "prediction_loss_only": True,
        "logging_steps": 1,
        "logging_nan_inf_filter": False,  # a loss that is no number ends training
        "disable_tqdm": True,
        "dataloader_pin_memory": torch.cuda.is_available(),
        "report_to": "none",  # `curves` brings the callbacks
        "project": PROJECT,
        "run_name": directory.path.name,
    }
