"""What a vector index is to the rest: what it holds, what it answers, and how it breaks."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

if TYPE_CHECKING:
    from .embedding import Matrix

BATCH = 5000
"""Vectors per call; Chroma refuses more than a few ten thousand."""


class Hit(NamedTuple):
    """A text and the cosine of its vector with the query's.

    Texts, not items: many items may apply to the same text, and a graph of equal vectors falls apart.
    """

    text_id: str
    similarity: float


class Mark(NamedTuple):
    """What an index holds."""

    embedder: str
    dimension: int
    upto: int
    """All items up to this number are in it."""
    size: int
    generation: str = ""
    """Changes with every write, so that other processes see that theirs is old."""


class Broken(Exception):
    """The index cannot be used and must be built anew."""


class Backend(Protocol):
    """Where vectors are searched."""

    place: str

    def mark(self) -> Mark | None:
        """Return what it holds; None where there is nothing."""
        ...

    def search(self, vectors: Matrix, k: int) -> list[list[Hit]]:
        """Return the k nearest of each vector.

        Raises:
            Broken: it is damaged.
            StoreError: it cannot be reached.
        """
        ...

    def extend(self, ids: Sequence[str], vectors: Matrix, mark: Mark) -> None:
        """Add vectors; doing it again changes nothing.

        Raises:
            Broken: it is damaged.
            StoreError: it cannot be reached.
        """
        ...

    def drop(self) -> None:
        """Remove everything."""
        ...

    def close(self) -> None:
        """Let go of it."""
        ...


def hits_of(found: Any) -> list[list[Hit]]:
    """Return what a query of Chroma's found; its distance is 1 - cosine."""
    return [
        [Hit(ident, 1.0 - distance) for ident, distance in zip(ids, distances, strict=True)]
        for ids, distances in zip(found["ids"], found["distances"], strict=True)
    ]


@contextlib.contextmanager
def chroma_errors() -> Iterator[None]:
    """Name what Chroma raises when its folder is damaged; its Rust core panics beside `Exception`."""
    try:
        yield
    except Broken:
        raise
    except BaseException as error:
        if isinstance(error, Exception) or type(error).__name__ == "PanicException":
            text = str(error).strip().splitlines() or [type(error).__name__]
            raise Broken(text[0]) from error
        raise
