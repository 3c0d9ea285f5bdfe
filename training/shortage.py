"""Out of disk or out of memory: what libraries raise then, and what can be said about it."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Literal

from ..errors import LamarckError, TrainingError

DISK = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
DISK_WORDS = ("no space left", "quota exceeded", "file too large", "pytorchstreamwriter failed", "iostream error")
"""safetensors passes the system's error on as text; torch.save says only that writing failed."""
MEMORY_WORDS = (
    "out of memory",
    "can't allocate memory",
    "cannot allocate memory",
    "not enough memory",
    "_status_alloc_failed",
)
"""The last is what cuBLAS and cuDNN say, and torch passes on, where there is no room for their own workspace."""


def shortage(error: BaseException) -> Literal["disk", "memory"] | None:
    """Return what an exception, or one that led to it, says there is too little of."""
    seen: BaseException | None = error
    while seen is not None:
        text = str(seen).lower()
        if (isinstance(seen, OSError) and seen.errno in DISK) or any(word in text for word in DISK_WORDS):
            return "disk"
        if (
            isinstance(seen, MemoryError)
            or (isinstance(seen, OSError) and seen.errno == errno.ENOMEM)
            or (isinstance(seen, RuntimeError) and any(word in text for word in MEMORY_WORDS))
        ):
            return "memory"
        seen = seen.__cause__ or seen.__context__
    return None


@contextmanager
def shortages(where: str, less: str, left: Callable[[], str]) -> Iterator[None]:
    """Turn running out of disk or memory into one line.

    Args:
        where: the folder that is written to.
        less: what to set to need less memory.
        left: says what there is to go on from.

    Raises:
        TrainingError: there was too little of either. Other exceptions pass.
    """
    try:
        yield
    except LamarckError:
        raise
    except Exception as error:
        kind = shortage(error)
        if kind is None:
            raise
        if kind == "disk":
            raise TrainingError(
                f"there is no room left to write to {where}. {left()}", hint="Make room, then --resume.", kind="disk"
            ) from error
        raise TrainingError(f"there is not enough memory. {left()}", hint=f"Save {less}.", kind="memory") from error
