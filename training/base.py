"""The model that is trained: base weights from a folder, and the adapter on them that learns."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, cast

from ..config_training import TrainConfig
from ..errors import ConfigError, TrainingError, boundary
from ..weights import check_base, check_model, weights_id
from .adapters import Adapter

NEEDS = ("torch", "transformers", "trl", "peft", "datasets", "accelerate")
INSTALL = "Run: pip install 'lamarck-agents[train]'"


@dataclass(frozen=True)
class Base:
    """A model with its tokenizer, ready to be trained."""

    model: Any
    """A peft model whose adapter is trained, or the plain transformers model."""
    tokenizer: Any
    name: str
    weights: str
    """12 hex digits: id of the base weights."""
    folder: Path
    adapter: Adapter | None = None
    """The adapter that training goes on from."""

    @property
    def vocabulary(self) -> int:
        """How many token ids the model has a row for."""
        return int(self.model.get_input_embeddings().weight.shape[0])

    @property
    def context(self) -> int | None:
        """Longest input in tokens, where the model states one."""
        found = getattr(self.model.config, "max_position_embeddings", None)
        return int(found) if found else None


def load_base(config: TrainConfig, folder: Path, *, plain: bool = False) -> Base:
    """Load the base model, its tokenizer, and a new adapter or the one of `config.start`.

    An adapter that is trained further keeps its own rank, scale and layers; `config.adapter` is for new ones. The
    first weights of a new one are fixed by `config.seed`.

    Args:
        config: says number format, adapter and seed.
        folder: the base model, as transformers saves it.
        plain: leave the model without an adapter.

    Raises:
        ConfigError: extras are missing, the folder holds no whole model, or the adapter is none, damaged or made for
            other weights.
        TrainingError: there is not enough memory.
    """
    require()
    check_model(folder)
    name = folder.resolve().name
    weights = weights_id(folder)
    start = None if config.start is None or plain else Adapter.read(config.start)
    if start is not None:
        check_base(start, name, weights)
    model, tokenizer = _load(config, folder)
    if not plain:
        model = _continued(model, start) if start is not None else _fresh(model, config)
    return Base(model, tokenizer, name, weights, folder, start)


def require(modules: Sequence[str] = NEEDS) -> None:
    """Make sure that what training needs is installed.

    Raises:
        ConfigError: something is not.
    """
    missing = [module for module in modules if find_spec(module) is None]
    if missing:
        raise ConfigError(f"training needs {', '.join(missing)}.", hint=INSTALL)


def _load(config: TrainConfig, folder: Path) -> tuple[Any, Any]:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    dtype = _dtype(config.optimizer.dtype)
    hint = "Copy the model again, whole."
    with boundary(ConfigError, f"cannot load the tokenizer of {folder}", hint=hint, kind="damaged"):
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    try:
        model, info = AutoModelForCausalLM.from_pretrained(
            folder, dtype=getattr(torch, dtype), local_files_only=True, output_loading_info=True
        )
    except (MemoryError, torch.OutOfMemoryError) as error:
        raise TrainingError(f"there is not enough memory to load {folder}.", hint="Take a smaller model.") from error
    except Exception as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise ConfigError(f"cannot load model {folder}: {reason}", hint=hint, kind="damaged") from error
    missing = sorted(info["missing_keys"])
    if missing:
        # transformers would go on with random numbers in their place.
        raise ConfigError(
            f"model {folder} lacks {len(missing)} of its weights, {missing[0]} among them.", hint=hint, kind="damaged"
        )
    if len(tokenizer) > model.get_input_embeddings().weight.shape[0]:
        raise ConfigError(
            f"the tokenizer of {folder} has {len(tokenizer)} tokens, and the model rows for "
            f"{model.get_input_embeddings().weight.shape[0]}.",
            hint=hint,
            kind="damaged",
        )
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    return model, tokenizer


def _dtype(wanted: str) -> str:
    import torch

    if wanted != "auto":
        return wanted
    return "bfloat16" if torch.cuda.is_available() and torch.cuda.is_bf16_supported() else "float32"


def _fresh(model: Any, config: TrainConfig) -> Any:
    import torch
    from peft import LoraConfig, get_peft_model

    targets, alpha = config.adapter.targets, cast(Any, config.adapter.alpha)  # peft says int and computes with any
    lora = LoraConfig(
        r=config.adapter.rank,
        lora_alpha=alpha,
        lora_dropout=config.adapter.dropout,
        target_modules=targets if isinstance(targets, str) else list(targets),
        task_type="CAUSAL_LM",
    )
    with (
        boundary(ConfigError, f"adapter.targets = {targets!r}", ValueError, hint="`all-linear` fits every model."),
        torch.random.fork_rng(devices=[]),
        warnings.catch_warnings(action="ignore", category=FutureWarning),
    ):
        # peft asks transformers by a name that will go
        torch.manual_seed(config.seed)
        return get_peft_model(model, lora)


def _continued(model: Any, start: Adapter) -> Any:
    from peft import PeftModel

    hint = "Copy it again whole."
    with (
        boundary(ConfigError, f"cannot load adapter {start.folder}", hint=hint),
        warnings.catch_warnings(action="ignore", category=FutureWarning),
    ):
        return PeftModel.from_pretrained(model, str(start.folder), is_trainable=True)
