"""From examples and settings to the right one of TRL's trainers."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ..config_training import TrainConfig
from .base import Base
from .collate import Weighed
from .curves import PROJECT
from .examples import Judged, Pair
from .fit import Fit, rate, updates
from .objectives.named import objective_named
from .output import TrainDirectory
from .preferences import judged_config, pair_config
from .prepared import Prepared
from .rows import Row

SCHEDULES = {"constant": "constant_with_warmup", "linear": "linear", "cosine": "cosine"}


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
