"""The machine that a stage trains on: where the model is, on how many threads, and how much memory it took."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


def place(model: Any) -> None:
    """Put a model where it will be trained, before it is asked for log-probabilities."""
    import torch

    if torch.cuda.is_available():
        model.to("cuda")


@contextmanager
def threads(wanted: int | None) -> Iterator[None]:
    """Use so many CPU threads for a while; None leaves them as they are."""
    import torch

    before = torch.get_num_threads()
    if wanted is not None:
        torch.set_num_threads(wanted)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def reset_peak() -> None:
    """Begin to watch how much GPU memory is taken at most."""
    import torch

    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()


def let_go() -> None:
    """Give memory back for playing, on a GPU to other processes as well: a trainer and its model hold each other."""
    gc.collect()
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        torch.cuda.empty_cache()


def device(model: Any) -> dict[str, Any]:
    """Return the name of the device and, for a GPU, the most memory that was taken in bytes: fields of `Summary`."""
    import torch

    if model.device.type != "cuda":
        return {"device": str(model.device)}
    return {
        "device": torch.cuda.get_device_name(model.device),
        "peak_memory_bytes": torch.cuda.max_memory_allocated(),
    }
