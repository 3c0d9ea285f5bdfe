"""Laying the rows of a batch out as one sequence in which equal beginnings stand once.

The prompts of an episode begin alike, and so do those of attempts at one task. Sorted, each row shares with the one
before it its longest common beginning and adds only what follows: together they are a tree (a trie) of tokens, and
each row is a path in it. A node may attend to the nodes above it on its path and to nothing else; then its hidden
state is what it would be in each of its rows alone, for any causal model that reads no more than positions and keys.

Pure functions over numpy arrays: nothing here knows a model.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Trie:
    """Rows as one tree; M is the number of its nodes, in the order in which they are laid out."""

    tokens: Ints
    """(M,)"""
    positions: Ints
    """Depth of each node, which is its position in its rows: (M,)."""
    paths: tuple[Ints, ...]
    """Nodes of each row, in the order the rows were given: (n,) each, ascending."""
    pieces: tuple[tuple[int, int, int], ...]
    """Where the nodes came from: first node, node behind the last, and a row whose path holds them all."""


@dataclass(frozen=True)
class Chunk:
    """Neighbouring nodes whose attention is computed at once, against the nodes that any of them sees."""

    start: int
    stop: int
    columns: tuple[tuple[int, int], ...]
    """Runs of nodes that are seen, ascending: first, behind the last."""
    seen: Bools | None
    """(stop - start, number of columns); None where the chunk is the columns, and each sees those up to itself."""


@dataclass(frozen=True)
class Packed:
    """The batch laid out, and where in it the tokens to score are."""

    trie: Trie
    sources: Ints
    """Nodes whose next token is to be scored: (K,), ascending."""
    row: Ints
    """Row of the batch of each scored token: (S,)."""
    column: Ints
    """Its place in the completion: (S,)."""
    source: Ints
    """Index into `sources` of the node before it: (S,)."""
    token: Ints
    """The token itself: (S,)."""


def build_trie(rows: Sequence[Ints]) -> Trie:
    """Lay rows out as a tree; rows without tokens have empty paths."""
    order = sorted(range(len(rows)), key=lambda index: rows[index].astype(">u4").tobytes())
    paths: list[Ints] = [np.empty(0, np.int64)] * len(rows)
    tokens, positions, pieces = [], [], []
    count, before, path = 0, np.empty(0, np.int64), np.empty(0, np.int64)
    for index in order:
        row = rows[index]
        same = common(before, row)
        fresh = len(row) - same
        path = np.concatenate([path[:same], np.arange(count, count + fresh)])
        paths[index], before = path, row
        if fresh:
            tokens.append(row[same:])
            positions.append(np.arange(same, len(row)))
            pieces.append((count, count + fresh, index))
            count += fresh
    none = [np.empty(0, np.int64)]
    return Trie(np.concatenate(tokens or none), np.concatenate(positions or none), tuple(paths), tuple(pieces))


def common(a: Ints, b: Ints) -> int:
    """Return how many tokens two rows begin with in common."""
    length = min(len(a), len(b))
    differ = np.flatnonzero(a[:length] != b[:length])
    return int(differ[0]) if len(differ) else length


def pack(ids: Ints, mask: Bools, scored: Bools) -> Packed:
    """Lay a padded batch out.

    Args:
        ids: (B, L) token ids, padded on either side.
        mask: (B, L), true where there is a token.
        scored: (B, T), true where a token of the completion (the last T columns) is to be scored.

    Only what stands before a scored token is laid out: behind the last one of a row nothing is needed.

    Raises:
        ValueError: a row's first token is to be scored; nothing stands before it.
    """
    width = ids.shape[1]
    row, column = np.nonzero(scored & mask[:, width - scored.shape[1] :])
    # How many tokens of its row stand before each place.
    before: Ints = np.cumsum(mask, axis=1) - mask
    place: Ints = before[row, column + width - scored.shape[1]]
    if len(place) and place.min() < 1:
        raise ValueError("the first token of a row cannot be scored.")
    needed = np.zeros(len(ids), np.int64)
    np.maximum.at(needed, row, place)
    trie = build_trie([ids[index][mask[index]][: needed[index]] for index in range(len(ids))])
    nodes = np.array([trie.paths[r][last - 1] for r, last in zip(row, place.tolist(), strict=True)], np.int64)
    sources, source = np.unique(nodes, return_inverse=True)
    token = ids[row, column + width - scored.shape[1]]
    return Packed(trie, sources, row, column, source, token)


def block_mask(trie: Trie) -> Bools:
    """Return who may attend to whom, whole: (M, M). Made for tests and for small batches."""
    out = np.zeros((len(trie.tokens), len(trie.tokens)), np.bool_)
    for start, stop, row in trie.pieces:
        path = trie.paths[row]
        out[start:stop, path] = trie.positions[start:stop, None] >= trie.positions[path][None]
    return out


def chunks(trie: Trie, *, size: int = 256, slack: int = 16_384) -> list[Chunk]:
    """Cut the block mask into the rectangles that are not empty.

    One rectangle of M by M costs the square of all rows together; most of it is masked. Here a chunk of at most `size`
    nodes is held against the nodes above it only. Small neighbours share a chunk where that wastes no more than
    `slack` cells, since a call costs something too.
    """
    found: list[Chunk] = []
    held: list[tuple[int, int, Ints]] = []
    seen: Ints = np.empty(0, np.int64)
    for start, stop, row in _cut(trie, size):
        path = trie.paths[row]
        above = path[: int(trie.positions[stop - 1]) + 1]
        if held:
            both = np.union1d(seen, above)
            nodes, own = stop - held[0][0], stop - start
            waste = nodes * len(both) - (nodes - own) * len(seen) - own * len(above)
            if nodes <= size and waste <= slack:
                held, seen = [*held, (start, stop, above)], both
                continue
            found.append(_chunk(trie, held, seen))
        held, seen = [(start, stop, above)], above
    if held:
        found.append(_chunk(trie, held, seen))
    return found


def _cut(trie: Trie, size: int) -> list[tuple[int, int, int]]:
    """Return the pieces, long ones in parts of equal length."""
    out = []
    for start, stop, row in trie.pieces:
        parts = -(-(stop - start) // size)
        edges = [start + (stop - start) * part // parts for part in range(parts + 1)]
        out += [(first, last, row) for first, last in pairwise(edges)]
    return out


def _chunk(trie: Trie, held: Sequence[tuple[int, int, Ints]], columns: Ints) -> Chunk:
    first, last = held[0][0], held[-1][1]
    breaks = np.flatnonzero(np.diff(columns) != 1) + 1
    runs = tuple((int(run[0]), int(run[-1]) + 1) for run in np.split(columns, breaks))
    if len(held) == 1 and runs == ((first, last),):
        return Chunk(first, last, runs, None)
    seen = np.zeros((last - first, len(columns)), np.bool_)
    for start, stop, above in held:
        at = np.searchsorted(columns, above)
        seen[start - first : stop - first, at] = trie.positions[start:stop, None] >= trie.positions[above][None]
    return Chunk(first, last, runs, seen)
