"""A draw of live training: which tasks it has, where it is kept, and the model that plays it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..config import ModelConfig
from ..training.live import round_folder
from ..training.live_parts import Draw

if TYPE_CHECKING:
    from ..agent.vllm import VllmLLM

PLAYED = "played"
"""File in the folder of a draw that says it is complete."""


def draw_folder(out: Path, draw: Draw) -> Path:
    """Return where a draw is kept."""
    return round_folder(out, draw.round) / f"play-{draw.ask + 1:02d}"


def slice_of(ids: Sequence[str], number: int, size: int) -> list[str]:
    """Return the `number`-th slice of `size` ids, beginning again at the end; no id twice."""
    first = number * size
    return list(dict.fromkeys(ids[place % len(ids)] for place in range(first, first + size)))


def with_adapter(model: ModelConfig, adapter: Path | None) -> ModelConfig:
    """Return the settings of a model with the adapter of a round, or with none."""
    return model.model_copy(update={"adapter": str(adapter.resolve()) if adapter is not None else None})


async def use_adapter(llm: VllmLLM | None, adapter: Path | None) -> None:
    """Let a model that is kept over the rounds answer with this round's adapter.

    Raises:
        ConfigError, ModelError: see `VllmLLM.load`.
    """
    if llm is not None:
        await llm.load(adapter)


async def put_to_sleep(llm: VllmLLM | None) -> None:
    """Put a server of ours to sleep, where it was started so that it can.

    Raises:
        ModelError: it refuses.
    """
    if llm is not None and llm.server.config.sleep:
        await llm.sleep()


def played(folder: Path) -> bool:
    """Say whether a draw is complete."""
    return (folder / PLAYED).exists()
