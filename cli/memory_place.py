"""Opening the memory that a command names."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from ..config import RunConfig
from ..config_memory import MemoryConfig
from ..config_tree import parse_assignment
from ..memory.bank import Memory
from ..rundir import RunDirectory
from . import options as o
from .tables import warnings_to

Place = Annotated[Path, typer.Argument(help="Folder of the memory, or of a run that has its own.")]


@contextlib.contextmanager
def opened(place: Path, settings: list[str] | None, *, create: bool = False) -> Iterator[Memory]:
    """Open a memory for a command; its warnings go to stderr."""
    handler = warnings_to(o.progress_console(False))
    logger = logging.getLogger("lamarck.memory")
    logger.addHandler(handler)
    say = o.progress_console(False)
    try:
        config = configured(place, settings)
        with Memory.open(config, place, create=create, notify=lambda text: say.print(text, style="dim")) as memory:
            yield memory
    finally:
        logger.removeHandler(handler)


def configured(place: Path, settings: list[str] | None) -> MemoryConfig:
    """Return the configuration of a memory: that of the run it lies in, if any, and then --set."""
    base: dict[str, Any] = {}
    if RunDirectory(place).exists():
        base = RunDirectory(place).load_config().memory.model_dump(exclude={"path", "mode"})
    pairs = dict(parse_assignment(text) for text in settings or [])
    overrides = {key if key.startswith("memory.") else f"memory.{key}": value for key, value in pairs.items()}
    flat: dict[str, Any] = {f"memory.{key}": value for key, value in base.items() if value is not None}
    return RunConfig.load(None, {**flat, **overrides}).memory


def when(at: object) -> str:
    """Return a time stamp in local time."""
    if not isinstance(at, float | int):
        return "never"
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(at))
