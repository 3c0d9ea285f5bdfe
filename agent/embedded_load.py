"""From a folder, and an adapter's where there is one, to the model that answers."""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal, NamedTuple

from ..errors import ConfigError, ModelError, boundary
from ..weights import check_base, policy_version, read_manifest, weights_id
from .embedded_lanes import one_thread

LAPS = 12
"""How often each number format is timed."""
UNBOUNDED = 1 << 30
"""Room in tokens of a model that does not count positions."""


class Loaded(NamedTuple):
    """A model, and what has to be known of it."""

    model: Any
    tokenizer: Any
    context: int
    """Tokens it has room for."""
    dtype: str
    version: str
    """Policy version: id of the weights and, behind a `+`, of the adapter on them."""


def load_model(folder: Path, adapter: Path | None, dtype: str, threads: int | None = None) -> Loaded:
    """Load base weights, and an adapter into them.

    Args:
        folder: as transformers saves a model.
        adapter: as `lamarck train` saves one.
        dtype: `auto` times bfloat16 and float32 once and takes the faster.
        threads: CPU threads of torch by which a call is computed, and `auto` measured; None leaves them as they are.

    Raises:
        ConfigError: there is no adapter, it is damaged, was trained on other weights, or peft is not installed.
        ModelError: the folder holds no readable, whole model, or one that cannot chat.
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    chosen = faster_dtype(threads) if dtype == "auto" else dtype
    # Torn files, unknown architectures and foreign formats each fail with a type of their own.
    with boundary(ModelError, f"cannot load model {folder}"):
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        model, info = AutoModelForCausalLM.from_pretrained(
            folder, dtype=getattr(torch, chosen), local_files_only=True, output_loading_info=True
        )
    if missing := sorted(info["missing_keys"]):
        # transformers would go on with random numbers in their place.
        raise ModelError(f"model {folder} lacks {len(missing)} of its weights, {missing[0]} among them.")
    if tokenizer.chat_template is None:
        raise ModelError(
            f"model {folder} has no chat template, so it cannot be asked anything.",
            hint="Take an instruction-tuned model, or put a chat_template.jinja into its folder.",
        )
    version = weights_id(folder)
    if adapter is not None:
        manifest = read_manifest(adapter)
        check_base(manifest, folder.resolve().name, version)
        model, version = _with_adapter(model, adapter, merge=chosen == "float32"), policy_version(version, manifest.id)
    context = getattr(model.config, "max_position_embeddings", None) or UNBOUNDED
    return Loaded(model.eval(), tokenizer, int(context), chosen, version)


def _with_adapter(model: Any, adapter: Path, *, merge: bool) -> Any:
    """Return the model with an adapter beside its weights, or added into them.

    Merged it is faster (an eighth, reading long prompts) and in float32 the same: log-probabilities of SmolLM2-135M
    move by 2e-6 nats at the mean. In bfloat16 the sum is rounded: they are then 0.060 nats from those of float32, and
    0.037 with the adapter beside, which is what training computes (12 answers, an adapter that moves them by 1.4).
    """
    if find_spec("peft") is None:
        raise ConfigError("an adapter needs peft.", hint="Run: pip install 'lamarck-agents[train]'")
    from peft import PeftModel

    hint = "Copy it again whole."
    with boundary(ModelError, f"cannot load adapter {adapter}", hint=hint), warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # peft asks transformers by a name that will go
        adapted = PeftModel.from_pretrained(model, str(adapter))
        return adapted.merge_and_unload() if merge else adapted.get_base_model()


def faster_dtype(
    threads: int | None = None, clock: Callable[[], float] = time.perf_counter
) -> Literal["bfloat16", "float32"]:
    """Return the number format in which this machine multiplies matrices of the model's size faster.

    Args:
        threads: CPU threads of torch that multiply, as in `load_model`: which is faster may hang on their number.
        clock: tells the time in seconds.
    """
    with one_thread("lamarck-dtype", threads) as executor:
        return executor.submit(_timed, clock).result()


def _timed(clock: Callable[[], float]) -> Literal["bfloat16", "float32"]:
    import torch

    shapes = {"left": (64, 576), "right": (576, 1536)}
    pairs = {
        dtype: tuple(torch.ones(shape, dtype=getattr(torch, dtype)) for shape in shapes.values())
        for dtype in ("float32", "bfloat16")
    }
    seconds = dict.fromkeys(pairs, math.inf)
    # In turns, so that what else the machine does slows down both: a run that goes on must come to the same format.
    for _ in range(LAPS):
        for dtype, (left, right) in pairs.items():
            began = clock()
            left @ right
            seconds[dtype] = min(seconds[dtype], clock() - began)
    return "bfloat16" if seconds["bfloat16"] < seconds["float32"] else "float32"
