"""The order of rows in an epoch, such that rows that begin alike meet in a batch."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence

from torch.utils.data import Sampler

from .rows import Row


class TogetherSampler(Sampler[int]):
    """Blocks of neighbouring rows, in an order that is another one each epoch.

    Rows of one trajectory stand together, and beside them those of its group, which share the first prompt. Groups,
    the trajectories in them and then the blocks are shuffled, so that what meets is related and what follows is not.
    A row comes at most once per epoch; those that fill no batch wait for the next one, which leaves out others.

    Args:
        rows: what is trained on.
        block: rows of one forward pass.
        blocks: blocks of one batch of the loader.
        repeats: how often the loader wants each batch.
        shuffle: without it, the order of the rows decides.
        seed: of the shuffling, together with the number of the epoch.
    """

    def __init__(
        self, rows: Sequence[Row], *, block: int, blocks: int, repeats: int = 1, shuffle: bool = True, seed: int = 0
    ) -> None:
        self._block, self._blocks, self._repeats = block, blocks, repeats
        self._shuffle, self._seed, self._epoch = shuffle, seed, 0
        self._count = len(rows)
        groups: dict[str, dict[str, list[int]]] = {}
        for index, row in enumerate(rows):
            groups.setdefault(row.group_id, {}).setdefault(row.trajectory_id, []).append(index)
        self._groups = [list(group.values()) for group in groups.values()]

    def __iter__(self) -> Iterator[int]:
        rows = self.order(self._epoch)
        self._epoch += 1
        size = self._block * self._blocks
        for start in range(0, len(rows), size):
            for _ in range(self._repeats):
                yield from rows[start : start + size]

    def __len__(self) -> int:
        size = self._block * self._blocks
        return self._count // size * size * self._repeats

    def set_epoch(self, epoch: int) -> None:
        """Begin at an epoch, as a resumed run does."""
        self._epoch = epoch

    def order(self, epoch: int) -> list[int]:
        """Return the rows of one epoch in order, without repeats."""
        draw = random.Random(f"{self._seed} {epoch}")
        groups = [list(group) for group in self._groups]
        if self._shuffle:
            draw.shuffle(groups)
            for group in groups:
                draw.shuffle(group)
        rows = [index for group in groups for trajectory in group for index in trajectory]
        blocks = [rows[n : n + self._block] for n in range(0, len(rows) - self._block + 1, self._block)]
        if self._shuffle:
            draw.shuffle(blocks)
        return [index for block in blocks[: len(blocks) // self._blocks * self._blocks] for index in block]
